"""The token endpoint (RFC 6749 sections 4.1.3 and 6): what is sent, and what an answer means. Pure; the sending is between the two.

Answers vary: 200 with an error, errors without a body, problem+json, 403, HTML, numbers as text. The body is read before the status,
except that a 5xx or 429 never says anything about the person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeGuard

from providers.base import Fault, UpstreamError, UpstreamRequest, UpstreamTokens
from providers.http import UpstreamResponse

_TOKEN = re.compile(r"[ -~]{1,262144}")  # RFC 6749 appendix A.12; it goes into a header
_SECONDS = re.compile(r"\d{1,9}")

FAULTS = {
    "access_denied": Fault.DENIED,
    "consent_required": Fault.INTERACTION,
    "interaction_required": Fault.INTERACTION,
    "login_required": Fault.INTERACTION,
    "invalid_client": Fault.OPERATOR,
    "invalid_request": Fault.OPERATOR,
    "invalid_scope": Fault.OPERATOR,
    "redirect_uri_mismatch": Fault.OPERATOR,
    "unauthorized_client": Fault.OPERATOR,  # what Keycloak says to a wrong secret
    "unsupported_grant_type": Fault.OPERATOR,
    "invalid_code": Fault.PERMANENT,  # what Glewlwyd says to a spent code
    "invalid_grant": Fault.PERMANENT,
    "server_error": Fault.TRANSIENT,
    "temporarily_unavailable": Fault.TRANSIENT,
}


def redemption(request: UpstreamRequest, code: str) -> dict[str, str]:
    """Return the form that redeems `code` (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.code_verifier,
    }


def renewal(refresh_token: str, scopes: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the form that uses a refresh token; no scope means the same scope (RFC 6749 section 6)."""
    named = {"scope": " ".join(scopes)} if scopes else {}
    return {"grant_type": "refresh_token", "refresh_token": refresh_token, **named}


def standard_error(_answer: Mapping[str, object]) -> UpstreamError | None:
    """Return that the answer says nothing beyond the standard."""
    return None


def process_token_response(
    response: UpstreamResponse, own_error: Callable[[Mapping[str, object]], UpstreamError | None] = standard_error
) -> UpstreamTokens:
    """Return the tokens, not yet verified, of a successful answer; raises UpstreamError for every other.

    `own_error` reads what a type's provider says in a refusal beyond the standard; None leaves it to us.
    """
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UpstreamError(Fault.TRANSIENT, "token_unavailable")
    found = response.json_object() or {}
    own = own_error(found) if "error" in found else None
    if own is not None:
        raise own
    if isinstance(found.get("error"), str):
        reason = found["error"] if found["error"] in FAULTS else "token_error"
        raise UpstreamError(FAULTS.get(reason, Fault.PROTOCOL), reason)
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise refused(response)
    access_token, refresh_token = found.get("access_token"), found.get("refresh_token")
    id_token = found.get("id_token")
    if not _is_token(access_token) or str(found.get("token_type", "Bearer")).lower() != "bearer":
        raise UpstreamError(Fault.PROTOCOL, "token_response")
    return UpstreamTokens(
        access_token=access_token,
        refresh_token=refresh_token if _is_token(refresh_token) else None,
        id_token=id_token if _is_token(id_token) else None,
        expires_in=seconds(found.get("expires_in")),
    )


def refused(response: UpstreamResponse) -> UpstreamError:
    """Read a refusal that names no OAuth error: empty, problem+json or a page.

    A page is what a proxy or firewall on the way answers with, and says nothing about anybody: no grant may end by it.
    """
    if response.status == HTTPStatus.UNAUTHORIZED:
        return UpstreamError(Fault.OPERATOR, "token_unauthorized")
    if response.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
        if response.body.lstrip().startswith(b"<"):
            return UpstreamError(Fault.PROTOCOL, "token_response")
        return UpstreamError(Fault.PERMANENT, "token_refused")
    return UpstreamError(Fault.OPERATOR, "token_status")  # a redirect or a 404: the address is wrong


def seconds(value: Any) -> int | None:
    """Return a lifetime; None when it is absent or no number. Some providers write numbers as text."""
    text = str(value) if isinstance(value, str) or type(value) is int else ""
    return int(text) if _SECONDS.fullmatch(text) else None


def _is_token(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None
