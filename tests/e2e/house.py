"""One identity provider, one broker before it, one MCP server and one app: what most logins of these tests need."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e.app import REDIRECT_URI, App
from tests.e2e.broker_process import Broker, public_client, resource, running_broker
from tests.e2e.browserless import Browserless, Page
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import wait_until
from tests.e2e.witness import Witness

NOTES = "http://127.0.0.1:8766/mcp"  # nothing listens there; only its name matters
NOTES_SECRET = "the-secret-with-which-the-notes-server-introspects"
RECHECK = {"RECHECK_INTERVAL": "1s"}  # the shortest there is
OUT = 10  # seconds until a test gives up waiting for a due re-check
AT_ONCE = 1  # second, rule B15


@dataclass(frozen=True)
class House:
    """The running parts."""

    idp: IdentityProvider
    broker: Broker
    witness: Witness

    def browser(self) -> Browserless:
        """A person's browser that stops at the app's door."""
        return Browserless(self.witness, leave_at=REDIRECT_URI, front=self.idp.front)

    def app(self) -> App:
        """The pre-registered app."""
        return App(self.witness, self.broker.issuer, client_id="notebook", resource=NOTES)

    def approve(self, browser: Browserless, app: App, **asked: str) -> Page:
        """Open the app's link and allow it; returns the identity provider's sign-in page."""
        consent = browser.open(app.authorization_url(**asked))
        assert consent.status == 200, consent.text
        return browser.submit(consent, consent.form, ("provider", self.idp.provider))

    def asked_for_another(self, browser: Browserless, app: App) -> Page:
        """Ask for another code as far as that goes without a password; returns where it ended: at the app, or elsewhere."""
        consent = browser.open(app.authorization_url())
        live = consent.form.offers("decision", "allow")
        return browser.submit(consent, consent.form, ("decision", "allow") if live else ("provider", self.idp.provider))

    def is_active(self, access_token: str) -> bool:
        """Whether introspection, asked by the MCP server, says that the token serves (RFC 7662 section 2.2)."""
        answer = httpx2.post(
            self.broker.url("/introspect"), data={"token": access_token}, auth=("notes", NOTES_SECRET), trust_env=False
        )
        assert answer.status_code == 200, answer.text
        active: bool = answer.json()["active"]
        return active

    def wait_until_due(self) -> None:
        """Let so much time pass that whatever was asked of the provider before is older than RECHECK."""
        over = time.monotonic() + 2.1  # the interval, and the fraction that whole seconds hide
        wait_until(lambda: time.monotonic() > over, within=5, describe=lambda: "the clock stands still")

    def refreshed_by_a_recheck(self, app: App, tokens: dict[str, Any], *, operation: str) -> dict[str, Any]:
        """Refresh until the provider was asked; returns the newest tokens. `operation` is what asking is called in the metrics."""
        before = self.broker.upstream_calls(self.idp.provider, operation)
        newest = tokens

        def asked() -> bool:
            nonlocal newest
            status, newest = app.refresh(newest["refresh_token"])
            assert status == 200, newest
            return self.broker.upstream_calls(self.idp.provider, operation) > before

        wait_until(asked, within=OUT, describe=lambda: f"{self.idp.provider} was not asked again")
        return newest

    def out_at_the_next_recheck(self, app: App, tokens: dict[str, Any]) -> None:
        """Refresh until the re-check is due; assert that it ends the grant for good (rule B16)."""
        newest = tokens
        refused: dict[str, Any] = {}

        def is_refused() -> bool:
            nonlocal newest, refused
            status, body = app.refresh(newest["refresh_token"])
            if status == 200:
                newest = body
                return False
            assert status == 400, body
            refused = body
            return True

        wait_until(is_refused, within=OUT, describe=lambda: "still served after the interval")
        assert refused["error"] == "invalid_grant"
        assert not self.is_active(newest["access_token"])

    def out_within_a_second(self, app: App, tokens: dict[str, Any]) -> None:
        """Assert that introspection and the token endpoint know the grant no more within a second (rule B15)."""
        began = time.monotonic()
        wait_until(
            lambda: not self.is_active(tokens["access_token"]),
            within=AT_ONCE,
            describe=lambda: "the token still serves",
        )
        status, body = app.refresh(tokens["refresh_token"])
        assert (status, body["error"]) == (400, "invalid_grant")
        assert time.monotonic() < began + AT_ONCE

    def out_when_revoked(self, app: App, browser: Browserless, tokens: dict[str, Any]) -> None:
        """End everything of a person here, as an administrator does; assert that it is over within a second."""
        self.broker.command("users", "revoke", app.claims(tokens["access_token"])["sub"])
        self.out_within_a_second(app, tokens)
        assert not browser.open(app.authorization_url()).form.offers("decision", "allow")


@contextmanager
def running_house(
    idp: IdentityProvider, folder: Path, environment: Mapping[str, str] | None = None, *, port: int | None = None
) -> Iterator[House]:
    """Start the broker for `idp`; `environment` adds settings, `port` is the one that the provider knows it by."""
    settings = {
        **idp.environment(),
        **resource("notes", NOTES, "Notes"),
        "BROKER_RESOURCES__NOTES__SECRET": NOTES_SECRET,
        **public_client("notebook", REDIRECT_URI, "Notebook"),
        **(environment or {}),
    }
    with running_broker(folder, settings, port=port) as (broker, witness):
        yield House(idp, broker, witness)
