"""The authorization request (Core section 3.1.2.1; security rule B4): PKCE and nonce always, a step-up as the provider knows it. Pure."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from providers.base import UpstreamRequest
from providers.discovery import Metadata
from providers.pkce import challenge
from providers.registration import Registration


def authorization_url(registration: Registration, metadata: Metadata, request: UpstreamRequest) -> str:
    """Return where to send the browser. Authentication contexts are asked as voluntary and, where the provider can, as essential."""
    scopes = registration.scopes(metadata)
    consent = ("consent",) if registration.asks_consent(scopes) and "none" not in request.prompt else ()
    wanted = {
        "response_type": "code",
        "client_id": registration.settings.client_id,
        "redirect_uri": request.redirect_uri,
        "scope": " ".join(scopes),
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": challenge(request.code_verifier),
        "code_challenge_method": "S256",
        "login_hint": request.login_hint,
        "prompt": " ".join(dict.fromkeys((*request.prompt, *consent))),
        "max_age": None if request.max_age is None else str(request.max_age),
        "acr_values": " ".join(request.acr_values),
        "claims": essential_acr(request.acr_values) if metadata.claims_parameter else None,
        **registration.preset.parameters(request, registration.settings),
    }
    query = urlencode({name: value for name, value in wanted.items() if value})
    endpoint = metadata.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"  # its own query stays, RFC 6749 section 3.1


def essential_acr(values: tuple[str, ...]) -> str | None:
    """Return the claims parameter that demands one of these contexts (Core section 5.5.1.1), None for none."""
    if not values:
        return None
    return json.dumps({"id_token": {"acr": {"essential": True, "values": list(values)}}}, separators=(",", ":"))
