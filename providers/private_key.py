"""The key that signs our assertions to one provider (RFC 7515, RFC 7518): read from PEM or a file, with its certificate if it has one.

Refused: keys under 2048 bits, curves without a signature algorithm, a certificate of another key. What was read is never quoted.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

_LEAST_BITS = 2048
_BY_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_MAX_FILE = 64 * 1024  # bytes
_KEY_FAULT = "PRIVATE_KEY must be, or name a file with, an unencrypted PEM key: RSA of 2048 bits or more, P-256, P-384, P-521, Ed25519"
_CERTIFICATE_FAULT = "CERTIFICATE must be, or name a file with, the PEM certificate of PRIVATE_KEY"

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Unusable(ValueError):
    """A key or certificate that cannot be used; a sentence for the administrator without any of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionKey:
    """A private key with what tells the provider which one it is. `algorithm` None: RSA, the caller says which."""

    key: RSAKey | ECKey | OKPKey = field(repr=False)
    algorithm: str | None
    header: Mapping[str, str]
    certificate_expires_at: int | None = None  # epoch seconds

    def sign(self, claims: Mapping[str, Any], *, rsa_algorithm: str = "RS256") -> str:
        """Return the claims as a compact JWS (RFC 7515 section 7.1)."""
        alg = self.algorithm or rsa_algorithm
        header = {"alg": alg, "typ": "JWT", **self.header}
        signing_input = f"{_b64(_json(header))}.{_b64(_json(claims))}"
        primitive = JWSRegistry.algorithms["Ed25519" if alg == "EdDSA" else alg]  # two names for one, RFC 9864
        return f"{signing_input}.{_b64(primitive.sign(signing_input.encode(), self.key))}"


def load_key(private_key: str, certificate: str | None = None, key_id: str | None = None) -> AssertionKey:
    """Return the key in `private_key`, which is PEM or names a file, as is `certificate`; raises Unusable.

    Without `key_id` the header names no `kid`: a provider with one key of ours needs none, and may have given it another.
    """
    private = _private(_pem(private_key, _KEY_FAULT))
    header = {"kid": key_id} if key_id else {}
    expires_at = None
    if certificate is not None:
        found = _certificate(_pem(certificate, _CERTIFICATE_FAULT), private)
        header["x5t#S256"] = _b64(hashlib.sha256(found.public_bytes(Encoding.DER)).digest())  # RFC 7515 section 4.1.8
        expires_at = int(found.not_valid_after_utc.timestamp())
    key, algorithm = _imported(private)
    return AssertionKey(key=key, algorithm=algorithm, header=header, certificate_expires_at=expires_at)


def _pem(text: str, fault: str) -> bytes:
    r"""Return PEM from the setting (with `\n` for line breaks, where it had to be one line) or from the file that it names."""
    if "-----BEGIN" in text:
        return text.replace("\\n", "\n").encode()
    try:
        with Path(text).open("rb") as file:
            return file.read(_MAX_FILE)
    except (OSError, ValueError):
        raise Unusable(fault) from None


def _private(pem: bytes) -> Private:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unusable(_KEY_FAULT) from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _BY_CURVE:
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise Unusable(_KEY_FAULT)


def _certificate(pem: bytes, private: Private) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        theirs = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        raise Unusable(_CERTIFICATE_FAULT) from None
    if theirs != private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise Unusable(_CERTIFICATE_FAULT)
    return certificate


def _imported(private: Private) -> tuple[RSAKey | ECKey | OKPKey, str | None]:
    """Return the key as the signing library has it, with its algorithm; not by PEM again, whose checks take a tenth of a second."""
    if isinstance(private, rsa.RSAPrivateKey):
        return RSAKey(private, private), None
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return ECKey(private, private), _BY_CURVE[private.curve.name]
    return OKPKey(private, private), "EdDSA"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
