"""Logout tokens (OpenID Connect Back-Channel Logout 1.0 sections 2.4 and 2.6; security rule B15): every rule but replay. Pure.

Replay is the caller's: a `jti` counts once until the token could no longer be accepted. An ID token is refused here (it has no event
and a nonce), and a logout token is refused where an ID token is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from providers.base import Fault, LogoutEvent, UpstreamError
from providers.claims import is_word
from providers.id_token import LEEWAY, is_audience, is_fresh, is_subject, is_time
from providers.signed_token import SignedClaims

KIND = "logout+jwt"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Who must have made the token, and for whom."""

    issuer: str
    client_id: str


def check(signed: SignedClaims, expected: Expected, now: int) -> LogoutEvent:
    """Return what the token says once every rule holds; raises UpstreamError with the first that does not. `now` is epoch seconds."""
    values = signed.values
    for reason, holds in _RULES:
        if not holds(values, expected, now):
            raise UpstreamError(Fault.PROTOCOL, reason)
    return LogoutEvent(
        issuer=expected.issuer,
        subject=values.get("sub"),
        sid=values.get("sid"),
        jti=values["jti"],
        expires_at=values["exp"] + LEEWAY,
    )


def _issued(values: Mapping[str, Any], _expected: Expected, now: int) -> bool:
    iat = values.get("iat")
    return is_time(iat) and iat <= now + LEEWAY


def _whom(values: Mapping[str, Any], _expected: Expected, _now: int) -> bool:
    """A person, a session, or both; what is there must be readable, or the wrong one would be ended."""
    sub, sid = values.get("sub"), values.get("sid")
    return (sub is not None or sid is not None) and (sub is None or is_subject(sub)) and (sid is None or is_word(sid))


def _event(values: Mapping[str, Any], _expected: Expected, _now: int) -> bool:
    events = values.get("events")
    return isinstance(events, dict) and isinstance(events.get(EVENT), dict)


_RULES: tuple[tuple[str, Callable[[Mapping[str, Any], Expected, int], bool]], ...] = (
    ("logout_token_issuer", lambda values, expected, _now: values.get("iss") == expected.issuer),
    ("logout_token_audience", lambda values, expected, _now: is_audience(values, expected.client_id)),
    ("logout_token_iat", _issued),
    ("logout_token_expired", lambda values, _expected, now: is_fresh(values, now)),
    ("logout_token_subject", _whom),
    ("logout_token_events", _event),
    ("logout_token_nonce", lambda values, _expected, _now: "nonce" not in values),
    ("logout_token_jti", lambda values, _expected, _now: is_word(values.get("jti"))),
)
