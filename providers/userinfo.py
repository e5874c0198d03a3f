"""UserInfo (OpenID Connect Core section 5.3): when to ask, and what an answer must say to be believed (security rule B6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from providers.base import Fault, UpstreamError
from providers.claims import Path, VerifiedClaims, at
from providers.http import UpstreamResponse
from providers.id_token import is_audience, is_fresh
from providers.signed_token import SignedClaims, UnverifiedToken, parse

ACCEPT = "application/json, application/jwt"


def is_wanted(use: str, claims: VerifiedClaims | None, groups: Path | None, scopes: tuple[str, ...]) -> bool:
    """Whether to ask: as configured, or (`auto`) when there is no ID token, or it lacks the groups or an e-mail that was asked for."""
    if use != "auto":
        return use == "always"
    if claims is None or ("email" in scopes and claims.values.get("email") is None):
        return True
    return groups is not None and at(claims, groups) is None


def is_refused(response: UpstreamResponse) -> bool:
    """Whether the provider keeps UserInfo from this token: what it would have said is then unknown."""
    return response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def is_signed(response: UpstreamResponse) -> bool:
    """Whether the answer is a JWT (Core section 5.3.2)."""
    return response.status == HTTPStatus.OK and response.media_type == "application/jwt"


def parse_signed(response: UpstreamResponse) -> UnverifiedToken:
    """Return the JWT in the body; raises UpstreamError."""
    return parse(response.body.decode("ascii", errors="replace").strip())


def check_signed(signed: SignedClaims, issuer: str, client_id: str, now: int) -> Mapping[str, Any]:
    """Return the claims of a signed answer unless they are somebody else's, for somebody else, or old; raises UpstreamError."""
    values = signed.values
    wrong_issuer = values.get("iss", issuer) != issuer
    if wrong_issuer or ("aud" in values and not is_audience(values, client_id)):
        raise UpstreamError(Fault.PROTOCOL, "userinfo_audience")
    if "exp" in values and not is_fresh(values, now):
        raise UpstreamError(Fault.PROTOCOL, "userinfo_expired")
    return values


def check_subject(values: Mapping[str, Any], subject: str) -> VerifiedClaims:
    """Return the claims once they are about this person, the ID token's (Core section 5.3.4); raises UpstreamError."""
    if values.get("sub") != subject:
        raise UpstreamError(Fault.PROTOCOL, "userinfo_subject")
    return VerifiedClaims(values)
