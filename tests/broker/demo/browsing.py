"""A browser for the tests of the development identity provider: it keeps cookies, reads forms and presses buttons."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from broker.demo.idp import create_idp
from broker.demo.idp_memory import RelyingParty
from tests.broker.resource_issuer import ManualClock

ISSUER = "http://127.0.0.1:9401"
CALLBACK = "http://127.0.0.1:9400/oauth/callback/demo"
VERIFIER = "v" * 43
CLIENT = RelyingParty(
    client_id="broker",
    client_secret="a secret with spaces & signs",
    redirect_uris=(CALLBACK, CALLBACK + "?tenant=a"),
    post_logout_redirect_uris=("http://127.0.0.1:9400/oauth/bye",),
    backchannel_logout_uri="http://127.0.0.1:9400/oauth/backchannel-logout/demo",
)
OTHER = RelyingParty(client_id="other", client_secret="other", redirect_uris=("http://127.0.0.1:9500/cb",))


def challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class World:
    """The provider, its clock, one browser, and the logout tokens that were sent."""

    clock: ManualClock = field(default_factory=ManualClock)
    sent: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    down: bool = False

    def __post_init__(self) -> None:
        """Start the provider in this process."""
        outbox = httpx2.AsyncClient(transport=httpx2.MockTransport(self._receive))
        self.app = create_idp(ISSUER, clients=[CLIENT, OTHER], clock=self.clock, http=outbox)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app), base_url=ISSUER)

    def _receive(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append((str(request.url), dict(parse_qsl(request.content.decode()))))
        if self.down:
            raise httpx2.ConnectError("down")
        return httpx2.Response(200)

    async def ask(self, **changes: str | None) -> httpx2.Response:
        """Send the browser to /authorize; a change to None leaves a parameter out."""
        params = {
            "client_id": CLIENT.client_id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "st",
            "nonce": "n-1",
            "code_challenge": challenge(VERIFIER),
            "code_challenge_method": "S256",
            **changes,
        }
        query = urlencode({name: value for name, value in params.items() if value is not None})
        return await self.http.get(f"/authorize?{query}")

    async def pick(self, page: httpx2.Response, person: str, **headers: str) -> httpx2.Response:
        """Press a person's button."""
        return await self.http.post("/pick", data={"transaction": transaction(page), "person": person}, headers=headers)

    async def code(self, person: str = "alice", **changes: str | None) -> str:
        """Sign somebody in and return the code."""
        return answer(await self.pick(await self.ask(**changes), person))["code"]

    async def redeem(self, code: str, changes: dict[str, str] | None = None) -> httpx2.Response:
        """Redeem a code with HTTP Basic."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return await self.token(form | (changes or {}))

    async def refresh(self, token: str) -> httpx2.Response:
        """Redeem a refresh token with HTTP Basic."""
        return await self.token({"grant_type": "refresh_token", "refresh_token": token})

    async def token(self, form: dict[str, str]) -> httpx2.Response:
        """Call the token endpoint as the broker."""
        return await self.http.post("/token", data=form, headers=basic(CLIENT.client_id, CLIENT.client_secret))

    async def tokens(self, person: str = "alice", **changes: str | None) -> dict[str, Any]:
        """Sign somebody in and return the token response."""
        response = await self.redeem(await self.code(person, **changes))
        assert response.status_code == 200
        return dict(response.json())


def basic(client_id: str, secret: str) -> dict[str, str]:
    encoded = urlencode({client_id: secret}).replace("=", ":", 1)
    return {"Authorization": "Basic " + base64.b64encode(encoded.encode()).decode()}


def transaction(page: httpx2.Response) -> str:
    assert page.status_code == 200
    found = re.search(r'name="transaction" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def answer(response: httpx2.Response) -> dict[str, str]:
    """Return what came back to the client, after checking that every answer names its issuer once (RFC 9207)."""
    assert response.status_code == 303
    location = urlsplit(response.headers["location"])
    pairs = parse_qsl(location.query)
    assert [value for name, value in pairs if name == "iss"] == [ISSUER]
    return dict(pairs)
