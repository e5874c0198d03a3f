"""What a consent is bound to, and which POST counts as this browser's own (security rules A3, A5, A6; Fetch Metadata). Pure."""

from __future__ import annotations

import hashlib
import hmac

from broker.model import AuthorizationRequest, Client


def consent_key(subject: str, client: Client, request: AuthorizationRequest) -> bytes:
    """Return the key of a consent: identity, client, redirect URI, resource, scope set and the metadata shown (rule A5)."""
    parts = (
        subject,
        client.client_id,
        request.redirect_uri,
        request.resource,
        " ".join(sorted(request.scopes)),
        client.metadata_hash,
    )
    return hashlib.sha256("\0".join(parts).encode()).digest()


def csrf_token(cookie: str, request_id: str) -> str:
    """Return the form's token: bound to this browser's cookie and this request (rule A6)."""
    return hmac.new(cookie.encode(), b"csrf\0" + request_id.encode(), hashlib.sha256).hexdigest()


def csrf_matches(presented: str | None, cookie: str, request_id: str) -> bool:
    """Compare a presented token in constant time."""
    return hmac.compare_digest((presented or "").encode(), csrf_token(cookie, request_id).encode())


def same_origin(sec_fetch_site: str | None, origin: str | None, own_origin: str) -> bool:
    """Tell whether a POST was made by a page of ours; `Origin` counts only where Sec-Fetch-Site is absent (rule A6)."""
    if sec_fetch_site is not None:
        return sec_fetch_site == "same-origin"
    return origin is None or origin == own_origin
