"""Client assertions with real keys, and what an attacker would change in them."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.broker.records import ISSUER, NOW

CLIENT_ID = "machine"


@cache
def key_of(alg: str, number: int = 0) -> Key:
    """Return a private key for an algorithm, the same one every time."""
    parameters: Any = {"use": "sig", "kid": f"{alg}-{number}"}
    if alg in ("RS256", "PS256"):
        return RSAKey.generate_key(2048, parameters)
    if alg == "ES256":
        return ECKey.generate_key("P-256", parameters)
    return OKPKey.generate_key("Ed25519", parameters)


def public(*keys: Key, **changes: Any) -> dict[str, Any]:
    """Return a key set as a client publishes it; `changes` go into each key (None removes a member)."""
    members = [dict(key.as_dict(private=False)) | changes for key in keys]
    return {"keys": [{name: value for name, value in member.items() if value is not None} for member in members]}


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good assertion; a change to None removes a claim."""
    good = {"iss": CLIENT_ID, "sub": CLIENT_ID, "aud": ISSUER, "exp": NOW + 300, "iat": NOW, "jti": "jti-1"}
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: Key, alg: str, body: dict[str, Any] | None = None, **header: Any) -> str:
    """Return a compact JWS; a header of None is left out."""
    full = {"alg": alg, "typ": "JWT", "kid": key.kid} | header
    kept = {name: value for name, value in full.items() if value is not None}
    signing_input = assembled(kept, claims() if body is None else body, b"").removesuffix(".")
    signature = JWSRegistry.algorithms[alg].sign(signing_input.encode(), key)
    return f"{signing_input}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def assembled(header: Any, payload: Any, signature: bytes = b"x" * 64) -> str:
    """Return a JWS-shaped text of arbitrary parts."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))
