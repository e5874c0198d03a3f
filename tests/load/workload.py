"""What every measured system is asked: the same app, the same MCP server, the same proof of possession."""

from __future__ import annotations

import base64
import hashlib
import json

CONNECTIONS = 16
CLIENT_ID = "notebook"
REDIRECT_URI = "https://notebook.example/callback"  # nobody goes there
RESOURCE = "https://notes.example/mcp"
RESOURCE_RS256 = "https://ledger.example/mcp"  # its tokens are signed with RS256
RESOURCE_OPAQUE = "https://opaque.example/mcp"  # oidc-provider introspects only tokens that are no JWT
RESOURCE_SECRET = "a-secret-of-a-resource-server-of-the-benchmark"
SCOPE = "notes:read"
VERIFIER = "a-code-verifier-of-the-benchmark-that-is-long-enough-for-rfc-7636"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REGISTRATION = json.dumps(
    {
        "client_name": "An app that registers itself",
        "redirect_uris": ["http://127.0.0.1:8765/callback", "http://localhost:8765/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }
)


def basic(identifier: str, secret: str) -> str:
    """Return an Authorization line for HTTP Basic (RFC 7617)."""
    return f"authorization: Basic {base64.b64encode(f'{identifier}:{secret}'.encode()).decode()}\r\n"
