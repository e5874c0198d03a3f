"""Access tokens at the resource server (RFC 9068 section 4, RFC 8725): what a verified payload must say. Pure.

Judged here: type, issuer, audience, time, and who the token is for; not scopes, which the caller compares with what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.protocol import jws

LEEWAY = 60  # seconds, for tokens that come in (rule F4)
LATEST = 1 << 53  # seconds; a later time is no time

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 section 3.3


class BearerRefused(Exception):
    """A token that this resource does not accept; `reason` is a word of ours."""

    def __init__(self, reason: str) -> None:
        """Keep the word: for the log and the tests, never for the other side."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What tokens for this resource look like. `issuer` and `resource` are compared byte for byte."""

    issuer: str
    resource: str
    typ: str = "at+jwt"  # or JWT, for a resource that is configured so


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A verified access token. Times in seconds since the epoch; `not_before` is the latest of `iat` and `nbf`, 0 without both."""

    client_id: str
    subject: str
    scopes: tuple[str, ...]
    not_before: int
    expires_at: int
    claims: Mapping[str, Any]

    def alive(self, now: int) -> bool:
        """Whether the token is valid at this moment, give or take the leeway for clocks that differ."""
        return self.not_before - LEEWAY <= now < self.expires_at + LEEWAY


def check_type(unverified: jws.Unverified, expected: Expected) -> None:
    """Refuse other kinds of JWT before any key is looked for (RFC 9068 section 4); raises BearerRefused."""
    typ = (unverified.typ or "").lower().removeprefix("application/")
    if typ != expected.typ.lower():
        raise BearerRefused("type")


def check_payload(payload: bytes, expected: Expected, now: int) -> Bearer:
    """Return the token that a verified payload describes, at `now` seconds since the epoch; raises BearerRefused."""
    try:
        claims = jws.decode_object(payload)
    except jws.JwsRefused:
        raise BearerRefused("json") from None
    if claims.get("iss") != expected.issuer:
        raise BearerRefused("issuer")
    # One audience (rule C11): a token that another server may hold as well is a token that it can replay here (rule F1).
    if claims.get("aud") not in (expected.resource, [expected.resource]):
        raise BearerRefused("audience")
    if "cnf" in claims:
        raise BearerRefused("binding")  # bound to a key whose proof nobody here asks for (RFC 7800 section 3.1)
    bearer = Bearer(
        client_id=_word(claims, "client_id"),
        subject=_word(claims, "sub"),
        scopes=_scopes(claims.get("scope", "")),
        not_before=max(_time(claims.get("iat", 0)), _time(claims.get("nbf", 0))),
        expires_at=_time(claims.get("exp")),
        claims=claims,
    )
    if not bearer.alive(now):
        raise BearerRefused("time")
    return bearer


def _word(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise BearerRefused(name)
    return value


def _time(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LATEST:
        raise BearerRefused("time")
    return int(value)


def _scopes(value: object) -> tuple[str, ...]:
    if value == "":
        return ()
    if not isinstance(value, str) or not _SCOPE.fullmatch(value):
        raise BearerRefused("scope")
    return tuple(dict.fromkeys(value.split(" ")))
