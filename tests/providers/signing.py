"""Real keys and real signatures for tests, with no opinion on what is signed."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

SigningKey = RSAKey | ECKey | OKPKey
_FAMILIES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_HASHES = {"EdDSA": "sha512", "Ed25519": "sha512"} | {
    f"{kind}{n}": f"sha{n}" for kind in ("RS", "PS", "ES") for n in (384, 512)
}


def family_of(alg: str) -> str:
    """Return the kind of key that `alg` needs."""
    return _FAMILIES.get(alg, "RSA")


def key_of(family: str, generation: int = 0) -> SigningKey:
    """Return the key of a family (`RSA`, a curve) and generation: made once in a test run."""
    return _made(family, generation)


@functools.cache
def _made(family: str, _generation: int) -> SigningKey:
    if family == "RSA":
        return RSAKey.generate_key(2048)
    if family == "Ed25519":
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key(family)


def public_jwk(family: str, generation: int = 0) -> dict[str, Any]:
    """Return the public part of a key as a JWK without `kid`."""
    return dict(key_of(family, generation).as_dict(private=False))


def b64(data: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(header: Mapping[str, Any], payload: bytes, key: SigningKey) -> str:
    """Return a compact JWS by the header's `alg`; `none` has no signature and HS256 uses the public key as its secret."""
    signing_input = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    alg = header["alg"]
    if alg == "none":
        signature = b""
    elif alg == "HS256":
        signature = hmac.digest(key.as_pem(private=False), signing_input.encode(), "sha256")
    else:
        signature = JWSRegistry.algorithms[alg].sign(signing_input.encode(), key)
    return f"{signing_input}.{b64(signature)}"


def at_hash(access_token: str, alg: str) -> str:
    """Return the access token hash of OpenID Connect Core section 3.1.3.6."""
    digest = hashlib.new(_HASHES.get(alg, "sha256"), access_token.encode()).digest()
    return b64(digest[: len(digest) // 2])
