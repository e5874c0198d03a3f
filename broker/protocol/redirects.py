"""The answer to the client through the browser (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207 section 2). Pure.

Every redirect to a client is made here, so that `state` and `iss` are never forgotten (security rules C5, C9).
"""

from __future__ import annotations

from urllib.parse import quote

from broker.model import Client
from broker.oauth import OAuthError
from broker.protocol.redirect_uri import is_loopback


def success(redirect_uri: str, *, code: str, state: str | None, issuer: str) -> str:
    """Return the redirect that carries an authorization code."""
    return _with_query(redirect_uri, {"code": code, "state": state, "iss": issuer})


def failure(redirect_uri: str, error: OAuthError, *, state: str | None, issuer: str) -> str:
    """Return the redirect that carries an error; its description is ours, never the caller's."""
    body = {"error": error.code, "error_description": error.description, "state": state, "iss": issuer}
    return _with_query(redirect_uri, body)


def may_redirect(client: Client, redirect_uri: str, *, approved_before: bool) -> bool:
    """Tell whether an error may travel by itself; otherwise a page with a link shows it (RFC 9700 section 4.11.2; rule C5)."""
    return client.source.preregistered or is_loopback(redirect_uri) or approved_before


def _with_query(uri: str, params: dict[str, str | None]) -> str:
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in params.items() if value is not None)
    return f"{uri}{'&' if '?' in uri else '?'}{query}"
