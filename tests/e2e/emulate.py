"""Google, GitHub and Entra as npm's emulate plays them: their endpoints, token shapes, error words and account pickers.

Nobody can be disabled there, and none of the three sends logout tokens: 0.12.2 has no endpoint for either. What can be done to a person
is what they, or a company, do at those vendors too: take access back (`Emulators.revoke`) or end a membership (`Emulators.dismiss`); and
every token that a service gave can be made dead (`Emulators.forget`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e import parts
from tests.e2e.browserless import Browserless, Front, Page
from tests.e2e.client_document import certificate_for
from tests.e2e.identity_providers import IdentityProvider, SignIn
from tests.e2e.processes import Process, free_port

SECRET = "emulate-client-secret-of-the-end-to-end-tests"
GOOGLE = "https://accounts.google.com"
TENANT = "3f1c9a52-7d0e-4b66-9d38-5a1e0c7b2f44"
STRANGERS_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"  # of personal accounts
PEOPLE = {name: f"{name}@example.com" for name in ("alice", "bob", "carol", "dave")} | {"mallory": "mallory@gmail.com"}
ORGANIZATION = "acme"
OWNER = "test_token_admin"  # emulate's own
REVOCATION = {"google": "/oauth2/revoke", "microsoft": "/oauth2/v2.0/revoke", "github": None}


@dataclass(frozen=True)
class Emulators:
    """Where each service listens, before it does: a broker is configured first, since clients name the broker's address."""

    google: IdentityProvider
    github: IdentityProvider
    entra: IdentityProvider
    ports: Mapping[str, int]
    folder: Path

    def environment(self) -> dict[str, str]:
        """The settings of all three."""
        return {**self.google.environment(), **self.github.environment(), **self.entra.environment()}

    def forget(self, idp: IdentityProvider) -> None:
        """Make every token dead that the service gave."""
        self._control("forget", idp)

    def revoke(self, idp: IdentityProvider, browser: Browserless, person: str) -> None:
        """Make one person's tokens dead: GitHub's by the person's own settings page, the others' by the revocation endpoint."""
        if idp.type != "github":
            self._control("revoke", idp, "/" + PEOPLE[person])
            return
        page = browser.open(f"{_url(self.ports['github'])}/settings/connections/applications/{idp.client_id}")
        assert browser.submit(page, page.form).status == 200

    def dismiss(self, person: str) -> None:
        """Take somebody out of GitHub's organisation, as its owner does."""
        url = f"{_url(self.ports['github'])}/orgs/{ORGANIZATION}/members/{person}"
        answer = httpx2.delete(url, headers={"Authorization": f"Bearer {OWNER}"}, trust_env=False)
        assert answer.status_code == 204, answer.text

    def _control(self, what: str, idp: IdentityProvider, whom: str = "") -> None:
        service = {"entra": "microsoft"}.get(idp.type, idp.type)
        answer = httpx2.post(f"http://127.0.0.1:{self.ports['control']}/{what}/{service}{whom}", trust_env=False)
        assert answer.status_code == 204

    @contextmanager
    def running(self, broker: str) -> Iterator[None]:
        """Start them; `broker` is the issuer that the clients come back to."""
        settings = self.folder / "emulate.json"
        settings.write_text(json.dumps(self._settings(broker)))
        command: list[str | Path] = [parts.node(), parts.HERE / "npm" / "emulate.mjs", settings]
        process = Process(command, self.folder / "emulate.log", environment={"PATH": os.environ["PATH"]})
        try:
            process.wait_until(lambda: '"ready"' in process.written(), within=60)
            yield
        finally:
            process.stop()

    def _settings(self, broker: str) -> dict[str, Any]:
        def client(*providers: str) -> dict[str, Any]:
            redirect_uris = [f"{broker}/callback/{provider}" for provider in providers]
            return {"client_id": "broker", "client_secret": SECRET, "name": "Broker", "redirect_uris": redirect_uris}

        addresses = [{"email": email, "name": name.title()} for name, email in PEOPLE.items()]
        members = [{"login": name} for name in ("alice", "carol", "dave")] + [{"login": "admin", "role": "admin"}]
        tenants = {PEOPLE["mallory"]: STRANGERS_TENANT}
        seeds = {
            "google": {"users": addresses, "oauth_clients": [client("google")]},
            "microsoft": {
                "users": [{**who, "tenant_id": tenants.get(who["email"], TENANT)} for who in addresses],
                "oauth_clients": [client("entra", "colleagues")],
            },
            "github": {  # whoever is first answers for tokens that nobody knows
                "users": [{"login": name, "email": PEOPLE[name]} for name in reversed(PEOPLE)],
                "orgs": [{"login": ORGANIZATION, "members": members}],
                "oauth_apps": [client("github", "strict")],
            },
        }
        certificate, key = self.folder / "site.pem", self.folder / "site.key"
        return {
            "packages": str(parts.emulate()),
            "control": self.ports["control"],
            "services": {
                name: {
                    "port": self.ports[name],
                    "inner": self.ports[f"inner {name}"],
                    "baseUrl": GOOGLE if name == "google" else _url(self.ports[name]),
                    "seed": seed,
                    "revocation": REVOCATION[name],
                }
                for name, seed in seeds.items()
            },
            "front": {
                "port": self.ports["front"],
                "certificate": str(certificate),
                "key": str(key),
                "host": GOOGLE.removeprefix("https://"),
                "service": "google",
            },
        }


def emulators(folder: Path, **more: Mapping[str, str]) -> Emulators:
    """Choose the ports; `more` are further settings for each provider, by its id."""
    inner = (f"inner {service}" for service in REVOCATION)
    ports = {name: free_port() for name in (*REVOCATION, *inner, "control", "front")}
    certificate, _ = certificate_for(GOOGLE.removeprefix("https://"), folder)
    proxy = f"http://127.0.0.1:{ports['front']}"
    github, microsoft = _url(ports["github"]), _url(ports["microsoft"])
    through = {
        "PROXY": proxy,
        "CA_FILE": str(certificate),
        "DISCOVERY_URL": f"{GOOGLE}/.well-known/openid-configuration",
    }
    return Emulators(
        google=IdentityProvider(
            "google",
            GOOGLE,
            SECRET,
            more={**through, "AUTH_METHOD": "client_secret_post", **more.get("google", {})},  # it reads no Basic header
            sign=_pick("email"),
            front=Front(GOOGLE, proxy, certificate),
        ),
        github=IdentityProvider(
            "github",
            f"{github}/login/oauth",
            SECRET,
            more={"BASE_URL": github, "API_URL": github, **more.get("github", {})},
            sign=_pick("login"),
        ),
        entra=IdentityProvider(
            "entra",
            f"{microsoft}/{TENANT}/v2.0",
            SECRET,
            more={"AUTHORITY": microsoft, "GRAPH_URL": microsoft, "TENANT": TENANT, **more.get("entra", {})},
            sign=_pick("email"),
        ),
        ports=ports,
        folder=folder,
    )


def _url(port: int) -> str:
    return f"http://localhost:{port}"


def _pick(field: str) -> SignIn:
    """Return how an account is chosen: each has a form of its own, and none a password."""

    def pick(browser: Browserless, page: Page, person: str, _password: str) -> Page:
        wanted = person if field == "login" else PEOPLE[person]
        [form] = [form for form in page.forms if form.fields.get(field) == wanted]
        return browser.submit(page, form)

    return pick
