"""How the scripted identity provider recognises the broker: by exactly one method (RFC 6749 section 2.3.1, RFC 7523 section 3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from joserfc.jws import JWSRegistry

from tests.providers.signing import SigningKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Assertions:
    """The client assertions that a provider accepts, and those it has seen."""

    audience: str  # what an assertion names, as text
    also: set[str] = field(default_factory=set)  # what it may name instead
    keys: list[SigningKey] = field(default_factory=list)
    federated: set[str] = field(default_factory=set)  # tokens of another issuer, taken as they are
    seen: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)  # header and claims

    def accepts(self, assertion: str, client_id: str, now: int) -> bool:
        """Whether an assertion is the client's: by a registered key, for us alone, young, and never seen before."""
        if assertion in self.federated:
            return True
        head, payload, signature = assertion.split(".")
        header, claims = (json.loads(_decode(part)) for part in (head, payload))
        if "jti" not in claims:
            return False
        replayed = claims["jti"] in [seen["jti"] for _, seen in self.seen]
        self.seen.append((header, claims))
        primitive = JWSRegistry.algorithms["Ed25519" if header["alg"] == "EdDSA" else header["alg"]]
        signed = any(
            _fits(key, header["alg"]) and primitive.verify(f"{head}.{payload}".encode(), _decode(signature), key)
            for key in self.keys
        )
        return (
            signed
            and not replayed
            and claims["iss"] == claims["sub"] == client_id
            and claims["aud"] in (self.audience, *self.also)
            and now - 60 < claims["exp"] <= now + 600
        )


def is_client(
    params: Mapping[str, str],
    headers: Mapping[str, str],
    expected: tuple[str, str | None],
    assertions: Assertions,
    now: int,
) -> bool:
    """Whether the client authenticated by exactly one method, with these credentials or an assertion that is accepted."""
    presented: Sequence[tuple[str | None, str | None]] = []
    if "client_assertion" in params:
        if (
            params.get("client_assertion_type") != ASSERTION_TYPE
            or "client_secret" in params
            or "authorization" in headers
        ):
            return False
        return params.get("client_id") == expected[0] and assertions.accepts(
            params["client_assertion"], expected[0], now
        )
    if "client_id" in params:
        presented = [(params.get("client_id"), params.get("client_secret"))]
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        pair = base64.b64decode(credentials).decode().partition(":")
        presented = [*presented, (unquote_plus(pair[0]), unquote_plus(pair[2]))]
    return list(presented) == [expected]


def _fits(key: SigningKey, alg: str) -> bool:
    return (
        key.key_type == {"R": "RSA", "P": "RSA", "E": "EC"}[alg[0]]
        if not alg.startswith("Ed")
        else key.key_type == "OKP"
    )


def _decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
