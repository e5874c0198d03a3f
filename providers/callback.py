"""The authorization response (RFC 6749 section 4.1.2, RFC 9207 section 2.4): judged before anything is sent anywhere (rule B1). Pure."""

from __future__ import annotations

import hmac
import re

from providers.base import Callback, Fault, UpstreamError, UpstreamRequest

_CODE = re.compile(r"[ -~]{1,8192}")  # RFC 6749 appendix A.11

# The codes of RFC 6749 section 4.1.2.1, Core section 3.1.2.6, GitHub and Auth0 (unauthorized: blocked).
# The keys are our words: what is not here is not repeated.
FAULTS = {
    "access_denied": Fault.DENIED,
    "account_selection_required": Fault.INTERACTION,
    "application_suspended": Fault.OPERATOR,
    "consent_required": Fault.INTERACTION,
    "interaction_required": Fault.INTERACTION,
    "login_required": Fault.INTERACTION,
    "invalid_client": Fault.OPERATOR,
    "invalid_request": Fault.OPERATOR,
    "invalid_scope": Fault.OPERATOR,
    "redirect_uri_mismatch": Fault.OPERATOR,
    "unauthorized": Fault.DENIED,
    "unauthorized_client": Fault.OPERATOR,
    "unmet_authentication_requirements": Fault.INTERACTION,
    "unsupported_response_type": Fault.OPERATOR,
    "server_error": Fault.TRANSIENT,
    "temporarily_unavailable": Fault.TRANSIENT,
}


def check(callback: Callback, request: UpstreamRequest, issuer: str, *, require_iss: bool = False) -> str:
    """Return the code of a response that is for this login and from this issuer; raises UpstreamError for every other.

    `require_iss`: the provider announces `iss` (RFC 9207 section 2.4), so that a response without it, an error included, is nobody's.
    """
    check_sender(callback, request, issuer)
    params = callback.params
    if require_iss and "iss" not in params:
        raise UpstreamError(Fault.PROTOCOL, "callback_issuer_absent")
    if "error" in params:
        reason = params["error"] if params["error"] in FAULTS else "callback_error"
        raise UpstreamError(FAULTS.get(reason, Fault.PROTOCOL), reason)
    code = params.get("code", "")
    if not _CODE.fullmatch(code):
        raise UpstreamError(Fault.PROTOCOL, "callback_code")
    return code


def check_sender(callback: Callback, request: UpstreamRequest, issuer: str) -> None:
    """Refuse a response to another login or from another issuer, before the provider is asked for anything."""
    params = callback.params
    state = params.get("state", "").encode(errors="surrogatepass")
    if not hmac.compare_digest(state, request.state.encode()):
        raise UpstreamError(Fault.PROTOCOL, "callback_state")
    if params.get("iss", issuer) != issuer:  # mix-up: no token request is made to anyone
        raise UpstreamError(Fault.PROTOCOL, "callback_issuer")
