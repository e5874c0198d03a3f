"""A company at npm's oidc-provider: the broker registers there for each test, people come and go."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from tests.e2e.browserless import Browserless
from tests.e2e.identity_providers import OIDC_PROVIDER_SECRET, IdentityProvider


def register(provider: IdentityProvider, broker: str, *, id: str, **metadata: Any) -> IdentityProvider:  # noqa: A002  # as in the settings
    """Register a client for the broker at that issuer (RFC 7591); returns the provider by that client."""
    wanted = {
        "application_type": "native",
        "redirect_uris": [f"{broker}/callback/{id}"],
        "grant_types": ["authorization_code", "refresh_token"],
        "backchannel_logout_uri": f"{broker}/backchannel-logout/{id}",
        "backchannel_logout_session_required": True,
        **metadata,
    }
    headers = {"Authorization": f"Bearer {OIDC_PROVIDER_SECRET}"}
    answer = httpx2.post(provider.issuer + "/reg", json=wanted, headers=headers, trust_env=False)
    assert answer.status_code == 201, answer.text
    client = answer.json()
    return replace(provider, id=id, client_id=client["client_id"], client_secret=client.get("client_secret"))


@dataclass(frozen=True)
class OidcCompany:
    """Whoever is hired here is of the group `eng`."""

    idp: IdentityProvider
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def hire(self) -> str:
        """Return the name of a new person."""
        person = f"{self.idp.provider}-{next(self._numbers)}"
        self._employ(person, enabled=True)
        return person

    def disable(self, person: str) -> None:
        """Let somebody go: the provider finds no such account any more."""
        self._employ(person, enabled=False)

    def sign_out(self, browser: Browserless, _person: str) -> None:
        """End the session, as the person does in the browser (RP-Initiated Logout 1.0 section 2)."""
        page = browser.open(self.idp.issuer + "/session/end")
        browser.submit(page, page.form, fields={"logout": "yes"})

    def _employ(self, person: str, *, enabled: bool) -> None:
        url = f"{self.idp.issuer}/people/{person}"
        assert httpx2.put(url, json={"enabled": enabled}, trust_env=False).status_code == 204
