"""Access tokens (RFC 9068 section 2, RFC 7519): the claims we mint, and the check of our own tokens. Pure; rules E10, F4, F5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.model import Grant
from broker.oauth import InvalidToken, Reason

TYPES = frozenset({"at+jwt", "JWT"})  # what a resource may be configured to get
LEEWAY = 60  # seconds, for clocks of others; never added to our own expiries
_TEXTS = ("iss", "aud", "sub", "client_id", "jti", "grant_id", "scope")
_TIMES = ("iat", "exp")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token of ours whose signature and claims were verified. `claims` are as signed; times in seconds."""

    jti: str
    grant_id: str
    client_id: str
    audience: str
    issued_at: int
    expires_at: int
    claims: Mapping[str, Any]


def claims(
    grant: Grant, *, issuer: str, audience: str, scopes: tuple[str, ...], jti: str, now: int, ttl: int
) -> dict[str, Any]:
    """Return the claims of an access token: one audience, ids and facts of the login, no e-mail, no name. Times in seconds."""
    identity = grant.identity
    body: dict[str, Any] = {
        "iss": issuer,
        "aud": audience,
        "sub": grant.sub_issued or identity.subject,
        "client_id": grant.client_id,
        "azp": grant.client_id,
        "scope": " ".join(scopes),
        "iat": now,
        "exp": now + ttl,
        "jti": jti,
        "grant_id": grant.grant_id,
        "auth_time": identity.auth_time,
    }
    if identity.acr is not None:
        body["acr"] = identity.acr
    if identity.amr is not None:
        body["amr"] = list(identity.amr)
    return body


def read(typ: object, body: Mapping[str, Any], *, issuer: str) -> AccessToken:
    """Return an access token of ours from its verified header `typ` and claims, whatever the time is; raises InvalidToken.

    Every claim we always mint must be there with its type, so that no other JWT signed with these keys passes for one. A token
    bound to a key we do not understand (`cnf`) is refused: presented as Bearer, it was stolen.
    """
    if not isinstance(typ, str) or typ not in TYPES:
        raise InvalidToken(Reason.TOKEN_KIND)
    for name in _TEXTS:
        if not isinstance(body.get(name), str):
            raise InvalidToken(Reason.TOKEN_KIND)
    for name in _TIMES:
        if type(body.get(name)) is not int:
            raise InvalidToken(Reason.TOKEN_KIND)
    if body["iss"] != issuer:
        raise InvalidToken(Reason.TOKEN_ISSUER)
    if "cnf" in body:
        raise InvalidToken(Reason.TOKEN_BOUND)
    return AccessToken(
        jti=body["jti"],
        grant_id=body["grant_id"],
        client_id=body["client_id"],
        audience=body["aud"],
        issued_at=body["iat"],
        expires_at=body["exp"],
        claims=body,
    )


def check_time(token: AccessToken, *, now: int) -> None:
    """Raise InvalidToken for a token that has expired at `now` (seconds), or was issued later than clocks can differ."""
    if now >= token.expires_at or token.issued_at > now + LEEWAY:
        raise InvalidToken(Reason.TOKEN_TIME)
