"""An issuer for the resource server's tests: real keys, real JWTs, metadata and keys over a counted in-memory transport."""

from __future__ import annotations

import asyncio
import base64
import json
from functools import cache
from typing import Any

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

ISSUER = "https://auth.example.com/oauth"
RESOURCE = "https://mcp.example.com/mcp"
START = 1_800_000_000


class ManualClock:
    """A clock that moves when it is told to; both hands together unless only one is set."""

    def __init__(self) -> None:
        """Start at a fixed time."""
        self.wall = START
        self.hand = 1000.0

    def now(self) -> int:
        """Return seconds since the epoch."""
        return self.wall

    def monotonic(self) -> float:
        """Return the hand that never goes back."""
        return self.hand

    async def sleep(self, _seconds: float) -> None:
        await asyncio.sleep(0)

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.wall += seconds
        self.hand += seconds


def key_of(alg: str, number: int = 0) -> Key:
    """Return a private key for an algorithm, the same one every time."""
    return _generate(alg, number)


@cache
def _generate(alg: str, number: int) -> Key:
    parameters: Any = {"use": "sig", "alg": alg, "kid": f"{alg}-{number}"}
    if alg == "RS256":
        return RSAKey.generate_key(2048, parameters)
    if alg == "ES256":
        return ECKey.generate_key("P-256", parameters)
    return OKPKey.generate_key("Ed25519", parameters)


def public(key: Key) -> dict[str, Any]:
    """Return a key as it is published."""
    return dict(key.as_dict(private=False))


def encode(raw: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(key: Key, header: dict[str, Any], payload: dict[str, Any] | bytes) -> str:
    """Sign as a compact JWS with the key's own algorithm, whatever the header says."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signing_input = f"{encode(json.dumps(header).encode())}.{encode(raw)}"
    algorithm = jws.JWSRegistry.algorithms[str(key.alg)]
    return f"{signing_input}.{encode(algorithm.sign(signing_input.encode(), key))}"


class Issuer:
    """Signs tokens and answers for its metadata and keys. `down` makes it fail, `fetches` counts what was asked for."""

    def __init__(self, clock: ManualClock, *, issuer: str = ISSUER) -> None:
        """Publish one RS256 key."""
        self.clock = clock
        self.issuer = issuer
        self.published: list[Any] = [public(key_of("RS256"))]
        self.fetches: list[str] = []
        self.down = False
        self.metadata: dict[str, Any] = {"issuer": issuer, "jwks_uri": issuer + "/.well-known/jwks.json"}
        self.http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))

    @property
    def key_fetches(self) -> int:
        """How often the keys were asked for."""
        return sum(url.endswith("jwks.json") for url in self.fetches)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token; a change to None leaves the claim out."""
        now = self.clock.now()
        claims = {
            "iss": self.issuer,
            "aud": RESOURCE,
            "sub": "u_7Hq2",
            "client_id": "client-1",
            "scope": "notes:read notes:write",
            "iat": now,
            "exp": now + 900,
            "jti": "j-1",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, alg: str = "RS256", number: int = 0, typ: str | None = "at+jwt", **changes: Any) -> str:
        """Return a signed token."""
        key = key_of(alg, number)
        header = {"alg": alg, "kid": key.kid, **({"typ": typ} if typ else {})}
        return sign(key, header, self.claims(**changes))

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.fetches.append(str(request.url))
        if self.down:
            raise httpx2.ConnectError("down")
        if request.url.path == "/.well-known/oauth-authorization-server/oauth":
            return httpx2.Response(200, json=self.metadata)
        if str(request.url) == self.metadata["jwks_uri"]:
            return httpx2.Response(200, json={"keys": self.published})
        return httpx2.Response(404)
