"""Making and using one signing key: JWS compact serialisation (RFC 7515 section 7.1) for RS256, ES256 and Ed25519 (RFC 8037).

The protected header is encoded once for each key and type, and the signature is made directly: signing is the price of a token.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, OKPKey, RSAKey

ALGORITHMS = {"RS256": "RS256", "ES256": "ES256", "Ed25519": "EdDSA"}  # as configured -> JWS name
RSA_BITS = 2048
_PUBLIC_KEYS: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {
    "RS256": RSAKey,
    "ES256": ECKey,
    "Ed25519": OKPKey,
}
PUBLIC_MEMBERS = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")
_ES256 = ec.ECDSA(hashes.SHA256())
_RS256 = (padding.PKCS1v15(), hashes.SHA256())
_encode_json = json.JSONEncoder(separators=(",", ":")).encode


def generate(alg: str) -> tuple[bytes, dict[str, str]]:
    """Return a new private key (PKCS#8 DER) and its public JWK; takes up to a second for RS256. Raises KeyError for another `alg`."""
    private = _GENERATORS[alg]()
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # The JWK comes from the public key alone: it cannot hold a private member (rule F3).
    key = _PUBLIC_KEYS[alg].import_key(public)
    members = {**key.as_dict(private=False), "kid": key.thumbprint(), "alg": ALGORITHMS[alg], "use": "sig"}
    return der, {name: str(members[name]) for name in PUBLIC_MEMBERS if name in members}


class Signer:
    """One private key, ready to sign."""

    def __init__(self, kid: str, alg: str, private_der: bytes) -> None:
        """Load the key; raises ValueError for bytes that are none, KeyError for another `alg`."""
        self._kid = kid
        self._alg = ALGORITHMS[alg]
        private = serialization.load_der_private_key(private_der, password=None)
        self._sign, self._in_thread = _signature(private)
        self._headers: dict[str, bytes] = {}  # by typ, of which there are a handful

    async def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Return the claims as a compact JWS of this type."""
        payload = base64.urlsafe_b64encode(_encode_json(claims).encode()).rstrip(b"=")
        signing_input = self._header(typ) + payload
        if self._in_thread:  # RS256 takes half a millisecond; OpenSSL releases the interpreter's lock meanwhile
            signature = await asyncio.get_running_loop().run_in_executor(None, self._sign, signing_input)
        else:
            signature = self._sign(signing_input)
        return (signing_input + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()

    def _header(self, typ: str) -> bytes:
        header = self._headers.get(typ)
        if header is None:
            text = _encode_json({"alg": self._alg, "typ": typ, "kid": self._kid})
            header = self._headers[typ] = base64.urlsafe_b64encode(text.encode()).rstrip(b"=") + b"."
        return header


def _signature(private: object) -> tuple[Callable[[bytes], bytes], bool]:
    """Return the function that signs, and whether it is slow enough for a thread of its own."""
    if isinstance(private, rsa.RSAPrivateKey):
        return lambda data: private.sign(data, *_RS256), True
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return lambda data: _raw(private.sign(data, _ES256)), False
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign, False
    raise ValueError("not a signing key")


def _raw(der: bytes) -> bytes:
    """Return an ECDSA signature as r || s (RFC 7518 section 3.4)."""
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


_GENERATORS: Mapping[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey]] = {
    "RS256": lambda: rsa.generate_private_key(65537, RSA_BITS),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}
