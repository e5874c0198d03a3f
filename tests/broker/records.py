"""Records for tests of codes, grants and tokens: complete, and overridable field by field."""

from __future__ import annotations

from typing import Any

from broker.model import AuthorizationCode, Client, ClientSource, Grant, Identity, Resource
from broker.protocol import pkce

NOW = 1_800_000_000
ISSUER = "https://broker.example.com/oauth"
VERIFIER = "the-verifier-of-a-client-0123456789-0123456789"
REDIRECT_URI = "https://client.example.com/callback"


def make_client(**changes: Any) -> Client:
    fields: dict[str, Any] = {
        "client_id": "client-1",
        "name": "Client",
        "source": ClientSource.CONFIGURED,
        "redirect_uris": (REDIRECT_URI,),
    }
    return Client(**fields | changes)


def make_resource(**changes: Any) -> Resource:
    fields: dict[str, Any] = {
        "id": "files",
        "url": "https://files.example.com/mcp",
        "name": "Files",
        "scopes": {"files:read": "Read files", "files:write": "Write files"},
        "default_scopes": ("files:read",),
    }
    return Resource(**fields | changes)


def make_identity(**changes: Any) -> Identity:
    fields: dict[str, Any] = {
        "subject": "u_alice",
        "provider": "corp",
        "upstream_issuer": "https://idp.example.com",
        "upstream_subject": "alice",
        "auth_time": NOW - 30,
        "email": "alice@example.com",
        "email_verified": True,
        "name": "Alice",
        "groups": ("staff",),
    }
    return Identity(**fields | changes)


def make_grant(**changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "grant_id": "grant-1",
        "client_id": "client-1",
        "client_snapshot": make_client(),
        "identity": make_identity(),
        "session_hash": None,
        "resource": "https://files.example.com/mcp",
        "scopes": ("files:read", "files:write"),
        "handle": "h" * 22,
        "mac_key_id": "mac-1",
        "created_at": NOW,
        "idle_expires_at": NOW + 600,
        "expires_at": NOW + 600,
    }
    return Grant(**fields | changes)


def make_code(**changes: Any) -> AuthorizationCode:
    fields: dict[str, Any] = {
        "code_hash": b"c" * 32,
        "request_id": "request-1",
        "grant_id": "grant-1",
        "client_id": "client-1",
        "redirect_uri": REDIRECT_URI,
        "code_challenge": pkce.challenge_of(VERIFIER),
        "resource": "https://files.example.com/mcp",
        "scopes": ("files:read", "files:write"),
        "source": "192.0.2.1",
        "issued_at": NOW,
        "expires_at": NOW + 60,
    }
    return AuthorizationCode(**fields | changes)
