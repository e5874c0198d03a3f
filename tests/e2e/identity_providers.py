"""The identity providers of the end-to-end tests as processes, and how a person signs in at each without a browser."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e import parts
from tests.e2e.browserless import Browserless, Front, Page
from tests.e2e.processes import Process, answers, free_port, wait_until

KEYCLOAK_START = 300  # seconds; the first start of an unpacked distribution is slow
KEYCLOAK_SECRET = "keycloak-client-secret-of-the-end-to-end-tests"  # as in keycloak/mcp-realm.json
OIDC_PROVIDER_SECRET = "oidc-provider-client-secret-of-the-end-to-end-tests"


def by_password(field: str, button: tuple[str, str] | None = None) -> SignIn:
    """Return how a person signs in at a page with a name, in `field`, and a password."""

    def sign_in(browser: Browserless, page: Page, person: str, password: str) -> Page:
        return browser.submit(page, page.form, button, {field: person, "password": password})

    return sign_in


SignIn = Callable[[Browserless, Page, str, str], Page]
SIGN_INS: dict[str, SignIn] = {"keycloak": by_password("username"), "oidc": by_password("login", ("do", "sign-in"))}


@dataclass(frozen=True)
class IdentityProvider:
    """One that runs. `type` is the broker's word for it, and the provider's id where `id` says no other.

    `more` are further settings by their name; `sign` is how a person signs in; `front` is the proxy that leads a browser there.
    """

    type: str
    issuer: str
    client_secret: str | None
    process: Process | None = None  # None: somebody else's
    id: str = ""
    client_id: str = "broker"
    more: Mapping[str, str] = field(default_factory=dict)
    sign: SignIn | None = None
    front: Front | None = None

    @property
    def provider(self) -> str:
        """The provider's id, as it stands in the callback's path and on the consent page's button."""
        return self.id or self.type

    def environment(self) -> dict[str, str]:
        """The settings that make it the broker's provider."""
        settings = {
            "TYPE": self.type,
            "ISSUER": self.issuer,
            "CLIENT_ID": self.client_id,
            "DISPLAY_NAME": f"Test company ({self.provider})",
            **({"CLIENT_SECRET": self.client_secret} if self.client_secret else {}),
            **self.more,
        }
        return {f"BROKER_PROVIDERS__{self.provider.upper()}__{name}": value for name, value in settings.items()}

    def requests(self, method: str, path: str) -> int:
        """How many requests of a kind it has had (npm's oidc-provider only)."""
        assert self.process is not None
        lines = (json.loads(line) for line in self.process.written().splitlines() if line.startswith("{"))
        return sum(line.get("method") == method and line.get("path") == path for line in lines)

    def sign_in(self, browser: Browserless, page: Page, person: str, password: str | None = None) -> Page:
        """Fill in the provider's form; the password defaults to the person's own."""
        return (self.sign or SIGN_INS[self.type])(browser, page, person, password or f"{person}-password")


@contextmanager
def running_oidc_provider(folder: Path) -> Iterator[IdentityProvider]:
    """The npm package oidc-provider, certified by the OpenID Foundation."""
    node, packages, port = parts.node(), parts.npm_packages(), free_port()
    environment = {
        "PORT": str(port),
        "CLIENT_SECRET": OIDC_PROVIDER_SECRET,
        "PACKAGES": str(packages),
        "PATH": os.environ["PATH"],
    }
    process = Process([node, parts.HERE / "npm" / "idp.mjs"], folder / "oidc-provider.log", environment=environment)
    try:
        process.wait_until(lambda: '"ready"' in process.written(), within=60)
        yield IdentityProvider("oidc", f"http://localhost:{port}", OIDC_PROVIDER_SECRET, process)
    finally:
        process.stop()


@contextmanager
def running_keycloak(folder: Path) -> Iterator[IdentityProvider]:
    """Keycloak with the realm of keycloak/mcp-realm.json; the one at MCP_BROKER_E2E_KEYCLOAK_PORT where that is set."""
    started_port = os.environ.get("MCP_BROKER_E2E_KEYCLOAK_PORT")
    port = int(started_port) if started_port else free_port()
    issuer = f"http://localhost:{port}/realms/mcp"
    discovery = issuer + "/.well-known/openid-configuration"
    distribution = parts.keycloak()
    if started_port:
        log = parts.cache() / "keycloak.log"  # as .ci/run writes it
        wait_until(lambda: answers(discovery), within=KEYCLOAK_START, describe=lambda: log.read_text()[-4000:])
        yield IdentityProvider("keycloak", issuer, KEYCLOAK_SECRET)
        return
    start: list[str | Path] = ["bash", parts.HERE / "keycloak" / "start.sh", distribution, str(port)]
    process = Process(start, folder / "keycloak.log", environment=os.environ)
    try:
        process.wait_until(lambda: answers(discovery), within=KEYCLOAK_START)
        yield IdentityProvider("keycloak", issuer, KEYCLOAK_SECRET, process)
    finally:
        process.stop()
