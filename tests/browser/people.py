"""People at real browsers: one Chromium, a profile for each person, and the steps of a login as they click them."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Page, Request, Response

from tests.browser.sites import Site
from tests.e2e.app import App
from tests.e2e.broker_process import Broker
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.witness import Witness

CHROMIUM_FLAGS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOTES = "http://127.0.0.1:8766/mcp"
BOARD = "http://127.0.0.1:8767/mcp"


@dataclass(frozen=True)
class Town:
    """The broker, the identity provider (another site), the app's landing page and a stranger's site (another site again)."""

    idp: IdentityProvider
    broker: Broker
    witness: Witness
    landing: Site
    stranger: Site

    def app(self, client_id: str = "notebook", resource: str = NOTES) -> App:
        """A pre-registered app."""
        return App(
            self.witness,
            self.broker.issuer,
            client_id=client_id,
            resource=resource,
            redirect_uri=self.landing.redirect_uri,
        )


@dataclass
class Profile:
    """One person's profile of the browser, with every request and answer that passed."""

    context: BrowserContext
    town: Town
    requests: list[Request] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Watch what passes."""
        self.context.set_default_timeout(20_000)  # milliseconds
        self.context.on("request", self._request)
        self.context.on("response", self._answer)

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        self.town.witness.see_url(request.url)

    def _answer(self, response: Response) -> None:
        self.answers.append(response)
        self.town.witness.see_answer(response.url, response.status)

    def urls(self, prefix: str) -> list[str]:
        """The addresses asked for that start with `prefix`."""
        return [request.url for request in self.requests if request.url.startswith(prefix)]

    def statuses(self, path: str) -> list[int]:
        """The statuses of the broker's answers at a path."""
        address = self.town.broker.url(path)
        return [answer.status for answer in self.answers if answer.url.partition("?")[0] == address]

    def cookies(self) -> dict[str, str]:
        """The broker's cookies in this profile, by name."""
        found = {cookie["name"]: cookie["value"] for cookie in self.context.cookies(self.town.broker.origin + "/")}
        for name, value in found.items():
            self.town.witness.keep(f"cookie {name}", value)
        return {name: value for name, value in found.items() if name.startswith("broker-")}

    def open(self, url: str) -> Page:
        """Open an address in a new tab."""
        tab = self.context.new_page()
        tab.goto(url)
        return tab

    def allow_and_reach_the_provider(self, tab: Page) -> str:
        """Press the provider's button of a consent page; returns the link that went upstream."""
        tab.locator('button[name="provider"]').click()
        tab.wait_for_url(self.town.idp.issuer + "/sign-in/**")
        return self.urls(self.town.idp.issuer + "/auth?")[-1]

    def sign_in(self, tab: Page, person: str) -> None:
        """Fill in the provider's form and send it."""
        tab.get_by_label("Name").fill(person)
        tab.get_by_label("Password").fill(f"{person}-password")
        tab.get_by_role("button", name="Sign in").click()

    def log_in(self, app: App, person: str = "alice") -> dict[str, str]:
        """A whole login; returns the app's answer."""
        tab = self.open(app.authorization_url())
        self.allow_and_reach_the_provider(tab)
        self.sign_in(tab, person)
        return self.landed(tab)

    def landed(self, tab: Page) -> dict[str, str]:
        """Wait for the app's landing page; returns its answer and closes the tab."""
        tab.wait_for_url(self.town.landing.redirect_uri + "?**")
        tab.close()
        self.cookies()
        return self.town.landing.answers[-1]
