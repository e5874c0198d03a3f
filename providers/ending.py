"""The end of an upstream session: by the browser (RP-Initiated Logout 1.0 section 2), and tokens given back (RFC 7009)."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

from providers.base import Fault, UpstreamError, UpstreamTokens
from providers.http import UpstreamResponse, deadline
from providers.registration import Registration
from providers.token_request import FAULTS, refused

_MAX_HINT = 4096  # characters: a longer URL is refused on its way


async def logout_url(registration: Registration, tokens: UpstreamTokens | None, *, return_to: str) -> str | None:
    """Return where to send the browser, None where there is no such place; raises UpstreamError while there is no metadata.

    The ID token names the session, so that the provider need not ask; an oversized one is left out, and the provider asks.
    """
    async with deadline(registration.settings.timeout):
        metadata = await registration.metadata()
    endpoint = registration.preset.logout_endpoint(metadata, registration.settings)
    if endpoint is None:
        return None
    query = {"client_id": registration.settings.client_id, registration.preset.logout_return: return_to}
    standard = registration.preset.logout_return == "post_logout_redirect_uri"
    if standard and tokens is not None and tokens.id_token is not None and len(tokens.id_token) <= _MAX_HINT:
        query["id_token_hint"] = tokens.id_token
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


async def revoke(registration: Registration, tokens: UpstreamTokens) -> bool:
    """Give back the refresh token, which takes its access tokens along, else the access token.

    False, and nothing is done, where the metadata names no place for it; raises UpstreamError when the provider did not take it back.
    """
    kind = "refresh_token" if tokens.refresh_token else "access_token"
    form = {"token": tokens.refresh_token or tokens.access_token, "token_type_hint": kind}
    async with deadline(registration.settings.timeout):
        metadata = await registration.metadata()
        if metadata.revocation_endpoint is None:
            return False
        response = await registration.post(metadata.revocation_endpoint, metadata, form, operation="revoke")
    _judge(response)
    return True


def _judge(response: UpstreamResponse) -> None:
    """Raise unless the token is gone; one that was dead before is gone (RFC 7009 section 2.2)."""
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UpstreamError(Fault.TRANSIENT, "revocation_unavailable")
    if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    error = (response.json_object() or {}).get("error")
    if error in ("invalid_token", "invalid_grant"):
        return
    if isinstance(error, str) and FAULTS.get(error) is Fault.OPERATOR:
        raise UpstreamError(Fault.OPERATOR, error)
    raise UpstreamError(Fault.OPERATOR, "revocation_refused" if error else refused(response).reason)
