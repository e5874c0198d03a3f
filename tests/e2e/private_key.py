"""A client that authenticates at npm's oidc-provider by a key of its own (RFC 7523 section 2.2) instead of a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import import_key

from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.oidc_company import register

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class KeyPair:
    """The key that the provider knows, and the one that the broker signs with: the same, but where a test says so."""

    registered: Private
    ours: Private
    algorithm: str

    @classmethod
    def new(cls) -> KeyPair:
        """Return one that serves."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(registered=key, ours=key, algorithm="ES256")


def by_key(provider: IdentityProvider, broker: str, pair: KeyPair, folder: Path, *, id: str) -> IdentityProvider:  # noqa: A002  # as in the settings
    """Register a client for the broker by its public key; returns the provider by that client. The private key goes into the folder."""
    client = register(
        provider,
        broker,
        id=id,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg=pair.algorithm,
        jwks={"keys": [_public(pair.registered)]},
    )
    assert client.client_secret is None
    return replace(
        client, more={"AUTH_METHOD": "private_key_jwt", "PRIVATE_KEY": str(_file(pair.ours, folder / f"{id}.pem"))}
    )


def _public(key: Private) -> Mapping[str, object]:
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return import_key(pem, "RSA" if isinstance(key, rsa.RSAPrivateKey) else "EC").as_dict(private=False)


def _file(key: Private, path: Path) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
