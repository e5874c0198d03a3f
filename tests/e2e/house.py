"""One identity provider, one broker before it, one MCP server and one app: what most logins of these tests need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.app import REDIRECT_URI, App
from tests.e2e.broker_process import Broker, public_client, resource, running_broker
from tests.e2e.browserless import Browserless, Page
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.witness import Witness

NOTES = "http://127.0.0.1:8766/mcp"  # nothing listens there; only its name matters


@dataclass(frozen=True)
class House:
    """The running parts."""

    idp: IdentityProvider
    broker: Broker
    witness: Witness

    def browser(self) -> Browserless:
        """A person's browser that stops at the app's door."""
        return Browserless(self.witness, leave_at=REDIRECT_URI)

    def app(self) -> App:
        """The pre-registered app."""
        return App(self.witness, self.broker.issuer, client_id="notebook", resource=NOTES)

    def approve(self, browser: Browserless, app: App, **asked: str) -> Page:
        """Open the app's link and allow it; returns the identity provider's sign-in page."""
        consent = browser.open(app.authorization_url(**asked))
        assert consent.status == 200, consent.text
        return browser.submit(consent, consent.form, ("provider", self.idp.type))


@contextmanager
def running_house(idp: IdentityProvider, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[House]:
    """Start the broker for `idp`; `environment` adds settings."""
    settings = {
        **idp.environment(),
        **resource("notes", NOTES, "Notes"),
        **public_client("notebook", REDIRECT_URI, "Notebook"),
        **(environment or {}),
    }
    with running_broker(folder, settings) as (broker, witness):
        yield House(idp, broker, witness)
