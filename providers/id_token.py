"""ID token claims (OpenID Connect Core section 3.1.3.7; security rule B5): what a signed token must say to count for this login. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from providers.base import Fault, UpstreamError
from providers.claims import VerifiedClaims
from providers.signed_token import SignedClaims

LEEWAY = 60  # seconds
_OLDEST = 600  # seconds; our nonce is no older than the login, which dies after ten minutes (rule B3)
_MAX_SUBJECT = 255  # characters, Core section 2
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}
_MAX_TIME = 253_402_300_799  # the end of the year 9999

_Rules = tuple[tuple[str, Callable[[SignedClaims, "Expected", int], bool]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What this login asked for. `max_age` in seconds; `access_token` is the one that came with the ID token.

    `nonce` is None only for a refreshed ID token whose predecessor had none.
    """

    issuer: str
    client_id: str
    nonce: str | None = field(repr=False)
    access_token: str = field(repr=False)
    max_age: int | None = None


def check(signed: SignedClaims, expected: Expected, now: int) -> VerifiedClaims:
    """Return the claims once every rule holds; raises UpstreamError with the first rule that does not. `now` is epoch seconds."""
    return _check(_RULES, signed, expected, now)


def check_refreshed(signed: SignedClaims, expected: Expected, now: int) -> VerifiedClaims:
    """Return the claims of an ID token that came with a refresh (Core section 12.2); raises UpstreamError as `check` does.

    It needs no `nonce`, and repeats that of its predecessor where it has one. Whom it is about, the caller compares.
    """
    return _check(_REFRESHED, signed, expected, now)


def _check(rules: _Rules, signed: SignedClaims, expected: Expected, now: int) -> VerifiedClaims:
    for reason, holds in rules:
        if not holds(signed, expected, now):
            raise UpstreamError(Fault.PROTOCOL, reason)
    return VerifiedClaims(signed.values)


def subject(claims: VerifiedClaims) -> str:
    """Return the verified `sub`."""
    return str(claims.values["sub"])


def auth_time(claims: VerifiedClaims) -> int:
    """Return when the person signed in, in epoch seconds; when the provider does not say, when it made the token."""
    return int(claims.values.get("auth_time") or claims.values["iat"])


def is_audience(values: Mapping[str, Any], client_id: str) -> bool:
    """Whether `aud`, a text or a list of texts, names the client (RFC 7519 section 4.1.3)."""
    aud = values.get("aud")
    return aud == client_id or (isinstance(aud, list) and all(isinstance(a, str) for a in aud) and client_id in aud)


def is_fresh(values: Mapping[str, Any], now: int) -> bool:
    """Whether `exp` lies ahead, with leeway (RFC 7519 section 4.1.4)."""
    exp = values.get("exp")
    return is_time(exp) and now < exp + LEEWAY


def is_subject(value: Any) -> TypeGuard[str]:
    """Whether a value can be a `sub` (Core section 2): a text, not blank, not long, printable."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_SUBJECT and value.isprintable() and not value.isspace()


def is_time(value: Any) -> TypeGuard[int]:
    """Whether a NumericDate is a whole number of seconds that a calendar can hold; true is not 1."""
    return type(value) is int and 0 <= value <= _MAX_TIME


def _issuer(signed: SignedClaims, expected: Expected, _now: int) -> bool:
    return signed.values.get("iss") == expected.issuer


def _audience(signed: SignedClaims, expected: Expected, _now: int) -> bool:
    return is_audience(signed.values, expected.client_id)


def _authorized_party(signed: SignedClaims, expected: Expected, _now: int) -> bool:
    """`azp` is us wherever it is said, and must be said where the token has other audiences too."""
    azp, aud = signed.values.get("azp"), signed.values["aud"]
    return azp == expected.client_id or (
        "azp" not in signed.values and (isinstance(aud, str) or set(aud) == {expected.client_id})
    )


def _not_expired(signed: SignedClaims, _expected: Expected, now: int) -> bool:
    return is_fresh(signed.values, now)


def _issued(signed: SignedClaims, _expected: Expected, now: int) -> bool:
    iat = signed.values.get("iat")
    return is_time(iat) and iat <= now + LEEWAY


def _recent(signed: SignedClaims, _expected: Expected, now: int) -> bool:
    """`iat` lies no further back than the login itself (Core section 3.1.3.7, item 10, leaves the range to us).

    A token that repeats this login's nonce was made after it began; an older `iat` is an IdP that is broken or replays. A
    refreshed token is not held to this: it has no nonce of ours, and some providers answer with the one they made before.
    """
    return int(signed.values["iat"]) >= now - _OLDEST - LEEWAY


def _begun(signed: SignedClaims, _expected: Expected, now: int) -> bool:
    nbf = signed.values.get("nbf", 0)
    return is_time(nbf) and nbf <= now + LEEWAY


def _nonce(signed: SignedClaims, expected: Expected, _now: int) -> bool:
    nonce, wanted = signed.values.get("nonce"), expected.nonce
    return isinstance(nonce, str) and wanted is not None and hmac.compare_digest(nonce.encode(), wanted.encode())


def _nonce_repeated(signed: SignedClaims, expected: Expected, now: int) -> bool:
    return "nonce" not in signed.values or expected.nonce is None or _nonce(signed, expected, now)


def _no_event(signed: SignedClaims, _expected: Expected, _now: int) -> bool:
    """A logout token is no ID token (Back-Channel Logout section 4.1); where no nonce is needed, only this tells."""
    return "events" not in signed.values


def _subject(signed: SignedClaims, _expected: Expected, _now: int) -> bool:
    return is_subject(signed.values.get("sub"))


def _access_token_hash(signed: SignedClaims, expected: Expected, _now: int) -> bool:
    """`at_hash`, where present, is the left half of the access token's hash (Core section 3.1.3.6)."""
    if "at_hash" not in signed.values:
        return True
    name = _HASHES.get(signed.alg[-3:], "sha512")  # Ed25519 hashes with SHA-512
    half = hashlib.new(name, expected.access_token.encode()).digest()
    wanted = base64.urlsafe_b64encode(half[: len(half) // 2]).rstrip(b"=")
    at_hash = signed.values["at_hash"]
    return isinstance(at_hash, str) and hmac.compare_digest(at_hash.encode(), wanted)


def _signed_in(signed: SignedClaims, expected: Expected, now: int) -> bool:
    """`auth_time` is a time not ahead of us, and recent enough where `max_age` was asked (Core section 3.1.2.1)."""
    at = signed.values.get("auth_time")
    if at is None:
        return expected.max_age is None
    return is_time(at) and at <= now + LEEWAY and (expected.max_age is None or now <= at + expected.max_age + LEEWAY)


def _not_impersonated(signed: SignedClaims, _expected: Expected, _now: int) -> bool:
    return "act" not in signed.values


_RULES: _Rules = (
    ("id_token_issuer", _issuer),
    ("id_token_audience", _audience),
    ("id_token_azp", _authorized_party),
    ("id_token_expired", _not_expired),
    ("id_token_iat", _issued),
    ("id_token_iat", _recent),
    ("id_token_nbf", _begun),
    ("id_token_nonce", _nonce),
    ("id_token_subject", _subject),
    ("id_token_at_hash", _access_token_hash),
    ("id_token_auth_time", _signed_in),
    ("id_token_act", _not_impersonated),  # an administrator in somebody's name (RFC 8693 section 4.1)
)
_REFRESHED: _Rules = (
    *(rule for rule in _RULES if rule[1] not in (_nonce, _signed_in, _recent)),
    ("id_token_nonce", _nonce_repeated),
    ("id_token_events", _no_event),
)
