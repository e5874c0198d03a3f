"""Redeeming a code (RFC 6749 section 4.1.3): what is sent, and what an answer means. Pure; the sending is between the two.

Answers vary: 200 with an error, errors without a body, problem+json, 403, HTML, numbers as text. The body is read before the status,
except that a 5xx or 429 never says anything about the person.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeGuard
from urllib.parse import quote_plus

from providers.base import Fault, ProviderSettings, UpstreamError, UpstreamRequest, UpstreamTokens
from providers.discovery import Metadata
from providers.http import UpstreamResponse

AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")
_TOKEN = re.compile(r"[ -~]{1,262144}")  # RFC 6749 appendix A.12; it goes into a header
_SECONDS = re.compile(r"\d{1,9}")

_FAULTS = {
    "access_denied": Fault.DENIED,
    "consent_required": Fault.INTERACTION,
    "interaction_required": Fault.INTERACTION,
    "login_required": Fault.INTERACTION,
    "invalid_client": Fault.OPERATOR,
    "invalid_request": Fault.OPERATOR,
    "invalid_scope": Fault.OPERATOR,
    "unauthorized_client": Fault.OPERATOR,  # what Keycloak says to a wrong secret
    "unsupported_grant_type": Fault.OPERATOR,
    "invalid_code": Fault.PERMANENT,  # what Glewlwyd says to a spent code
    "invalid_grant": Fault.PERMANENT,
    "server_error": Fault.TRANSIENT,
    "temporarily_unavailable": Fault.TRANSIENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request to the token endpoint; `authorization` is the header's value."""

    url: str
    fields: Mapping[str, str] = field(repr=False)
    authorization: str | None = field(default=None, repr=False)


def build_token_request(
    settings: ProviderSettings, metadata: Metadata, request: UpstreamRequest, code: str
) -> TokenRequest:
    """Return what redeems `code`; raises UpstreamError when no way of authenticating suits both sides."""
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.code_verifier,
    }
    method = _auth_method(settings, metadata)
    if method == "client_secret_basic":
        return TokenRequest(url=metadata.token_endpoint, fields=fields, authorization=_basic(settings))
    fields["client_id"] = settings.client_id
    if method == "client_secret_post":
        fields["client_secret"] = settings.client_secret or ""
    return TokenRequest(url=metadata.token_endpoint, fields=fields)


def process_token_response(response: UpstreamResponse) -> UpstreamTokens:
    """Return the tokens, not yet verified, of a successful answer; raises UpstreamError for every other."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UpstreamError(Fault.TRANSIENT, "token_unavailable")
    found = response.json_object() or {}
    if isinstance(found.get("error"), str):
        reason = found["error"] if found["error"] in _FAULTS else "token_error"
        raise UpstreamError(_FAULTS.get(reason, Fault.PROTOCOL), reason)
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _refused(response.status)
    access_token, refresh_token = found.get("access_token"), found.get("refresh_token")
    id_token = found.get("id_token")
    if not _is_token(access_token) or str(found.get("token_type", "Bearer")).lower() != "bearer":
        raise UpstreamError(Fault.PROTOCOL, "token_response")
    return UpstreamTokens(
        access_token=access_token,
        refresh_token=refresh_token if _is_token(refresh_token) else None,
        id_token=id_token if _is_token(id_token) else None,
        expires_in=_seconds(found.get("expires_in")),
    )


def _refused(status: int) -> UpstreamError:
    """Read a refusal that names no OAuth error: empty, HTML or problem+json."""
    if status == HTTPStatus.UNAUTHORIZED:
        return UpstreamError(Fault.OPERATOR, "token_unauthorized")
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
        return UpstreamError(Fault.PERMANENT, "token_refused")
    return UpstreamError(Fault.OPERATOR, "token_status")  # a redirect or a 404: the address is wrong


def _auth_method(settings: ProviderSettings, metadata: Metadata) -> str:
    if settings.client_secret is None:
        return "none"
    configured = settings.options.get("auth_method")
    if configured:
        return configured
    for method in ("client_secret_basic", "client_secret_post"):
        if method in metadata.auth_methods:
            return method
    raise UpstreamError(Fault.OPERATOR, "auth_method")


def _basic(settings: ProviderSettings) -> str:
    """Return the Basic credentials, id and secret form-encoded first (RFC 6749 section 2.3.1)."""
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _is_token(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def _seconds(value: Any) -> int | None:
    """Return a lifetime; None when it is absent or no number. Some providers write numbers as text."""
    text = str(value) if isinstance(value, str) or type(value) is int else ""
    return int(text) if _SECONDS.fullmatch(text) else None
