"""Compact JWS (RFC 7515 section 5.2): parsed strictly, verified against keys that the provider publishes, never by its own header.

Algorithms come from the list below, never from a token or from discovery alone (security rule B5; RFC 8725 section 3.1). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from providers.base import Fault, UpstreamError
from providers.strict import Malformed, base64url, json_object

_PRIMITIVES: Final = {
    "RS256": "RS256", "RS384": "RS384", "RS512": "RS512",
    "PS256": "PS256", "PS384": "PS384", "PS512": "PS512",
    "ES256": "ES256", "ES384": "ES384", "ES512": "ES512",
    "Ed25519": "Ed25519", "EdDSA": "Ed25519",  # RFC 9864 section 2.2: the older name, for this curve only
}  # fmt: skip
ALGORITHMS: Final = frozenset(_PRIMITIVES)
MAX_TOKEN = 256 * 1024  # characters: hundreds of groups fit
_MAX_HEADER = 16 * 1024  # characters: a certificate chain fits
_SEGMENTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A published key and what it may verify; `algorithms` are of the key's own kind and curve.

    `issuer` is whose tokens it signs, where the key itself says so (Entra ID; security rule B9).
    """

    kid: str | None
    algorithms: frozenset[str]
    key: RSAKey | ECKey | OKPKey = field(repr=False)
    issuer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedToken:
    """A well-formed token that proves nothing yet: only its header is read, to find a key."""

    alg: str
    kid: str | None
    signing_input: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedClaims:
    """Claims that the provider signed; whether they are for us, about now and about this login is still open."""

    alg: str
    values: Mapping[str, Any] = field(repr=False)
    key_issuer: str | None = None


def parse(token: str, algorithms: frozenset[str] = ALGORITHMS, *, kind: str | None = None) -> UnverifiedToken:
    """Return the token's parts; raises UpstreamError unless it is a compact JWS by one of `algorithms`.

    `kind` is the one type ending in `+jwt` that it may say it is (`logout+jwt`); without a kind it may say none.
    """
    segments = token.split(".") if len(token) <= MAX_TOKEN else []
    if len(segments) != _SEGMENTS or len(segments[0]) > _MAX_HEADER:
        raise _refused("token_malformed")
    try:
        header, payload, signature = json_object(base64url(segments[0])), base64url(segments[1]), base64url(segments[2])
    except Malformed:
        header = {}
    for reason, is_good in _HEADER_RULES:
        if not is_good(header):
            raise _refused(reason)
    if not _is_kind(header, kind):
        raise _refused("token_type")
    if header["alg"] not in algorithms & ALGORITHMS:
        raise _refused("token_algorithm")
    return UnverifiedToken(
        alg=header["alg"],
        kid=header.get("kid"),
        signing_input=f"{segments[0]}.{segments[1]}".encode(),
        payload=payload,
        signature=signature,
    )


def verify(token: UnverifiedToken, keys: Iterable[VerificationKey]) -> SignedClaims | None:
    """Return the claims if one of `keys` made the signature, else None; raises UpstreamError when they are no JSON object."""
    signer = next((key for key in keys if _signed_by(token, key)), None)
    if signer is None:
        return None
    try:
        return SignedClaims(alg=token.alg, values=json_object(token.payload), key_issuer=signer.issuer)
    except Malformed:
        raise _refused("token_malformed") from None


def _signed_by(token: UnverifiedToken, key: VerificationKey) -> bool:
    if token.alg not in key.algorithms:
        return False
    return JWSRegistry.algorithms[_PRIMITIVES[token.alg]].verify(token.signing_input, token.signature, key.key)


def _refused(reason: str) -> UpstreamError:
    return UpstreamError(Fault.PROTOCOL, reason)


def read_unverified(token: str) -> Mapping[str, Any]:
    """Return the claims of a token that was verified before and kept since; empty when it cannot be read any more."""
    try:
        return json_object(parse(token).payload)
    except (Malformed, UpstreamError):
        return {}


def _is_kind(header: Mapping[str, Any], kind: str | None) -> bool:
    """Whether `typ` is absent or names no other kind of token (RFC 8725 section 3.11)."""
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str):
        return False
    typ = typ.lower().removeprefix("application/")  # RFC 7515 section 4.1.9
    return typ == kind or not typ.endswith("+jwt")


# jwk, jku, x5u and x5c may be there and are never looked at; unknown parameters are ignored (RFC 7515 section 4).
_HEADER_RULES: tuple[tuple[str, Callable[[Mapping[str, Any]], bool]], ...] = (
    ("token_malformed", lambda header: isinstance(header.get("alg"), str)),
    ("token_malformed", lambda header: isinstance(header.get("kid", ""), str)),
    ("token_critical", lambda header: "crit" not in header and header.get("b64", True) is True),  # we understand none
)
