"""Keys and certificates as administrators have them: PEM text, made once in a test run."""

from __future__ import annotations

import datetime as dt
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.providers.signing import SigningKey

Private = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | dsa.DSAPrivateKey
)


@functools.cache
def private(kind: str, which: int = 0) -> Private:
    """Return a key: `RSA`, `RSA-1024`, `P-256`, `P-384`, `P-521`, `Ed25519`; `P-224`, `Ed448` and `DSA` sign nothing here."""
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "RSA-1024":
            return rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "Ed448":
            return ed448.Ed448PrivateKey.generate()
        case "DSA":
            return dsa.generate_private_key(2048)
    curves = {"P-224": ec.SECP224R1(), "P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def pem(kind: str, which: int = 0, *, password: bytes | None = None) -> str:
    """Return a private key as PKCS #8 PEM."""
    encryption: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return private(kind, which).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def verification_key(kind: str, which: int = 0) -> SigningKey:
    """Return the key as a provider registers it."""
    text = pem(kind, which)
    if kind == "RSA":
        return RSAKey.import_key(text)
    return OKPKey.import_key(text) if kind == "Ed25519" else ECKey.import_key(text)


@functools.cache
def certificate(kind: str, which: int = 0, *, ends: int = 1_900_000_000) -> str:
    """Return a self-signed certificate of a key that ends at an epoch second, as PEM."""
    key = private(kind, which)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime.fromtimestamp(1_500_000_000, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(ends, dt.UTC))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode()
