"""Client assertions (RFC 7523 sections 2.2 and 3, RFC 7521 section 4.2, draft-ietf-oauth-rfc7523bis). Pure; rules E12, E13.

A signed JWT in which a client names itself (`iss` and `sub`), us alone (`aud`), and a moment not far ahead (`exp`), and which
counts once (`jti`). Symmetric algorithms, keys and extensions that the token brings along, and other kinds of JWT are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.oauth import InvalidClient, Reason
from broker.protocol import jws
from broker.protocol.client_keys import ALGORITHMS, ClientKey

LONGEST = 300  # seconds that an assertion may live ahead of us
LEEWAY = 60  # seconds that the client's clock may differ from ours (rule F4)
MAX_JTI = 256  # characters
MOST_TRIED = 8  # keys for one assertion: who publishes more names them
TYPES = frozenset({None, "jwt", "client-authentication+jwt"})
_LATEST = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """A well-formed assertion. `client_id` is its `sub`: good for finding the client and its keys, for nothing else yet."""

    client_id: str
    alg: str
    kid: str | None
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleUse:
    """What must be consumed once: `key` names issuer and `jti`, never the spelling of the token; `expires_at` in seconds."""

    key: str
    expires_at: int


def parse(assertion: str) -> Unverified:
    """Take an assertion apart; nothing in it is trusted yet. Raises InvalidClient."""
    parts = assertion.split(".") if len(assertion) <= jws.MAX_TOKEN else ()
    if len(parts) != 3:  # noqa: PLR2004 - RFC 7515 section 7.1
        raise _refused("shape")
    try:
        header, claims = (jws.decode_object(jws.decode_base64url(part)) for part in parts[:2])
        signature = jws.decode_base64url(parts[2])
    except jws.JwsRefused as fault:
        raise _refused(fault.reason) from None
    alg, kid, typ, subject = header.get("alg"), header.get("kid"), header.get("typ"), claims.get("sub")
    if alg not in ALGORITHMS or jws.KEY_BRINGING_HEADERS & header.keys() or not isinstance(kid, str | None):
        raise _refused("header")
    if not isinstance(typ, str | None) or (typ and typ.lower().removeprefix("application/")) not in TYPES:
        raise _refused("type")
    if not isinstance(subject, str) or not subject:
        raise _refused("sub")
    return Unverified(
        client_id=subject,
        alg=alg,
        kid=kid,
        claims=claims,
        signing_input=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def is_signed(assertion: Unverified, keys: Iterable[ClientKey]) -> bool:
    """Tell whether one of these keys signed; where the header names a key, only keys of that name, or of none, are tried.

    A key of that name comes first, and at most eight are tried: each costs the event loop a verification (rule G14).
    """
    fitting = [
        key
        for key in keys
        if assertion.alg in key.algorithms and (assertion.kid is None or key.kid in (None, assertion.kid))
    ]
    fitting.sort(key=lambda key: key.kid is None)
    return any(key.signed(assertion.alg, assertion.signing_input, assertion.signature) for key in fitting[:MOST_TRIED])


def check(assertion: Unverified, *, client_id: str, audiences: Sequence[str], now: int) -> SingleUse:
    """Judge the claims of an assertion whose signature holds, at `now` seconds since the epoch; raises InvalidClient."""
    claims = assertion.claims
    if claims.get("iss") != client_id or assertion.client_id != client_id:
        raise _refused("iss or sub")
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in audiences:  # one audience [CVE-2025-27370]
        raise _refused("aud")
    expires_at = _time(claims.get("exp"))
    if not now - LEEWAY < expires_at <= now + LONGEST + LEEWAY:
        raise _refused("exp")
    if max(_time(claims.get("iat", 0)), _time(claims.get("nbf", 0))) > now + LEEWAY:
        raise _refused("iat or nbf")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise _refused("jti")
    key = hashlib.sha256(f"{len(client_id)}:{client_id}{jti}".encode(errors="surrogatepass")).hexdigest()
    return SingleUse(key=key, expires_at=expires_at + LEEWAY)


def _time(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _LATEST:
        raise _refused("time")
    return int(value)


def _refused(detail: str) -> InvalidClient:
    return InvalidClient(Reason.ASSERTION_INVALID, detail)
