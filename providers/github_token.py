"""GitHub's token endpoint: errors in HTTP 200, form-encoded bodies, its own error words, numbers as text. Pure.

What is said there becomes an ordinary answer first; then the one reading of token responses judges it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from providers.base import Fault, ProviderSettings, UpstreamError, UpstreamRequest, UpstreamTokens
from providers.http import UpstreamResponse
from providers.token_request import process_token_response

BAD_CODE = "bad_verification_code"
WRONG_CLIENT = "incorrect_client_credentials"
_MAX_FIELDS = 32
_FAULTS = {
    BAD_CODE: Fault.PERMANENT,
    WRONG_CLIENT: Fault.OPERATOR,
    "application_suspended": Fault.OPERATOR,
    "bad_refresh_token": Fault.PERMANENT,
    "redirect_uri_mismatch": Fault.OPERATOR,
    "unverified_user_email": Fault.PERMANENT,
}


def code_fields(settings: ProviderSettings, request: UpstreamRequest, code: str) -> dict[str, str]:
    """Return what redeems a code."""
    return {
        "grant_type": "authorization_code",
        **_client(settings),
        "code": code,
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.code_verifier,
    }


def refresh_fields(settings: ProviderSettings, refresh_token: str) -> dict[str, str]:
    """Return what redeems a refresh token; the old access token and this one are dead afterwards."""
    return {"grant_type": "refresh_token", **_client(settings), "refresh_token": refresh_token}


def process(response: UpstreamResponse) -> UpstreamTokens:
    """Return the tokens of a successful answer, whatever its form; raises UpstreamError for every other."""
    if response.status == HTTPStatus.NOT_FOUND:  # no app has this client id, or this is not GitHub
        raise UpstreamError(Fault.OPERATOR, "client_unknown")
    if response.status == HTTPStatus.FORBIDDEN:  # ten tokens an hour for a person and app, no more
        raise UpstreamError(Fault.TRANSIENT, "rate_limited")
    if response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        members = _members(response)
        reason = members.get("error")
        if isinstance(reason, str) and reason in _FAULTS:
            raise UpstreamError(_FAULTS[reason], reason)
        response = replace(response, body=json.dumps(members).encode())
    return process_token_response(response)


def _client(settings: ProviderSettings) -> dict[str, str]:
    return {"client_id": settings.client_id, "client_secret": settings.client_secret or ""}


def _members(response: UpstreamResponse) -> Mapping[str, Any]:
    """Return what the body says: JSON where it is JSON, else a form."""
    found = response.json_object()
    if found is not None:
        return found
    try:
        pairs = parse_qsl(response.body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return {}
    members = dict(pairs)
    return members if len(members) == len(pairs) else {}
