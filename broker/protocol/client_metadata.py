"""Client metadata: registrations (RFC 7591 section 2) and metadata documents (draft-ietf-oauth-client-id-metadata-document). Pure.

A stranger's JSON object becomes a `Client` of permitted values only (rules C3, C4, D2, D7, D14, A12). Members that we do not
keep are dropped, `null` and "" count as absent, and a member of the wrong type is an error of the caller, never one of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from broker.model import Client, ClientSource
from broker.oauth import (
    AUTH_METHODS,
    GRANT_AUTHORIZATION_CODE,
    GRANT_TYPES,
    InvalidClient,
    InvalidClientMetadata,
    InvalidRedirectUri,
    OAuthError,
    Reason,
)
from broker.protocol import client_keys, display_text, redirect_uri, web_url

MAX_REDIRECT_URIS = 50
MAX_SCOPE = 2000  # characters
SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post", "client_secret_jwt"})
SECRET_MEMBERS = ("client_secret", "client_secret_expires_at")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: +[\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 section 3.3

Members = Mapping[str, Any]


def from_registration(body: Members, *, client_id: str, now: int, expires_at: int, schemes: tuple[str, ...]) -> Client:
    """Return the client that a registration asks for, without a secret yet (RFC 7591 sections 2 and 3.1).

    `expires_at` (seconds) is when it goes if it stays unused; `schemes` are the permitted private-use redirect schemes.
    Raises InvalidRedirectUri or InvalidClientMetadata.
    """
    method = _text(body, "token_endpoint_auth_method") or "client_secret_basic"  # RFC 7591 section 2: the default
    if method not in AUTH_METHODS:
        raise _invalid("token_endpoint_auth_method")
    return Client(
        client_id=client_id,
        name=_name(body) or client_id,  # RFC 7591 section 2: what is shown where no name is given
        source=ClientSource.REGISTERED,
        token_endpoint_auth_method=method,
        created_at=now,
        expires_at=expires_at,
        **_common(body, schemes),
        **_keys(body, method),
    )


def from_document(document: Members, *, client_id: str, schemes: tuple[str, ...]) -> Client:
    """Return the client that a metadata document describes; `client_id` is the URL it was fetched from, to the letter.

    Raises InvalidClient.
    """
    try:
        if document.get("client_id") != client_id:
            raise _invalid("client_id")
        if any(document.get(name) is not None for name in SECRET_MEMBERS):
            raise _invalid("client_secret")
        name, method = _name(document), _document_method(document)
        if not name:
            raise _invalid("client_name")
        return Client(
            client_id=client_id,
            name=name,
            source=ClientSource.METADATA_DOCUMENT,
            token_endpoint_auth_method=method,
            **_common(document, schemes),
            **_keys(document, method),
        )
    except OAuthError as fault:
        raise InvalidClient(Reason.CLIENT_DOCUMENT_INVALID, fault.detail) from None


def members(client: Client) -> dict[str, Any]:
    """Return what a registration response says about a client (RFC 7591 section 3.2.1): what was registered, no null."""
    said = {
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"],
        "token_endpoint_auth_method": client.token_endpoint_auth_method,
        "application_type": client.application_type,
        "scope": client.scope,
        "client_uri": client.client_uri,
        "logo_uri": client.logo_uri,
        "jwks_uri": client.jwks_uri,
        "jwks": json.loads(client.jwks) if client.jwks else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _common(m: Members, schemes: tuple[str, ...]) -> dict[str, Any]:
    application_type = _text(m, "application_type")
    return {
        "redirect_uris": _redirect_uris(m, schemes),
        "grant_types": _grant_types(m),
        "scope": _scope(m),
        # Kept, not enforced: most clients in the field leave it out, and web may well mean loopback (SEP-837).
        "application_type": application_type if application_type in ("native", "web") else None,
        "client_uri": _link(m, "client_uri"),
        "logo_uri": _link(m, "logo_uri"),
    }


def _redirect_uris(m: Members, schemes: tuple[str, ...]) -> tuple[str, ...]:
    uris = m.get("redirect_uris")
    if not isinstance(uris, list) or len(uris) > MAX_REDIRECT_URIS or not all(isinstance(uri, str) for uri in uris):
        raise InvalidRedirectUri(Reason.REDIRECT_URI_REFUSED, "redirect_uris")
    return redirect_uri.permitted(uris, schemes)


def _grant_types(m: Members) -> tuple[str, ...]:
    asked = _texts(m, "grant_types") or [GRANT_AUTHORIZATION_CODE]  # RFC 7591 section 2: the default
    responses = _texts(m, "response_types") or ["code"]
    if GRANT_AUTHORIZATION_CODE not in asked or "code" not in responses:
        raise _invalid("grant_types or response_types")
    return tuple(grant_type for grant_type in GRANT_TYPES if grant_type in asked)


def _document_method(m: Members) -> str:
    """Return how the client of a document authenticates: what it prefers, else the strongest that it offers beside that.

    ChatGPT prefers private_key_jwt and offers `none` too; a shared secret has no place in a public document.
    """
    preferred = _text(m, "token_endpoint_auth_method")
    offered = _texts(m, "token_endpoint_auth_methods_supported")  # OpenID Connect RP Metadata Choices
    if preferred in SECRET_METHODS:
        raise _invalid("token_endpoint_auth_method")
    for method in (preferred, *(m for m in ("private_key_jwt", "none") if m in offered)):
        if method in ("private_key_jwt", "none"):
            return method
    if preferred is None and not offered:
        return "none"
    raise _invalid("token_endpoint_auth_method")


def _keys(m: Members, method: str) -> dict[str, Any]:
    if method != "private_key_jwt":
        return {}
    uri, keys = _text(m, "jwks_uri"), m.get("jwks")
    if (uri is None) == (keys is None):  # RFC 7591 section 2: one of them
        raise _invalid("jwks or jwks_uri")
    if uri is not None:
        url = web_url.parse(uri)
        if url is None or (url.scheme == "http" and not url.loopback):
            raise _invalid("jwks_uri")
        return {"jwks_uri": uri}
    try:
        return {"jwks": client_keys.keep(keys)}
    except client_keys.KeysRefused:
        raise _invalid("jwks") from None


def _name(m: Members) -> str:
    return display_text.clean(_text(m, "client_name") or "")


def _scope(m: Members) -> str | None:
    scope = (_text(m, "scope") or "").strip(" ")
    if len(scope) > MAX_SCOPE or (scope and _SCOPE.fullmatch(scope) is None):
        raise _invalid("scope")
    return scope or None


def _link(m: Members, name: str) -> str | None:
    """Return a link to show, https only; it is never loaded (rule D2)."""
    text = _text(m, name)
    if text is None:
        return None
    url = web_url.parse(text.partition("#")[0])
    if url is None:
        raise _invalid(name)
    return text if url.scheme == "https" and "#" not in text else None


def _text(m: Members, name: str) -> str | None:
    value = m.get(name)
    if not isinstance(value, str | None):
        raise _invalid(name)
    return value or None


def _texts(m: Members, name: str) -> list[str]:
    value = m.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise _invalid(name)
    return value


def _invalid(detail: str) -> InvalidClientMetadata:
    return InvalidClientMetadata(Reason.METADATA_INVALID, detail)
