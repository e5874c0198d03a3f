"""Registrations and metadata documents as the clients in the field send and publish them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

CODE_AND_REFRESH = ["authorization_code", "refresh_token"]


@dataclass(frozen=True)
class Shape:
    """One client: what it says of itself, and the redirect URIs that it then really uses (`ports` vary from run to run)."""

    name: str
    body: dict[str, Any]
    uses: tuple[str, ...]
    url: str | None = None  # of its metadata document
    method: str = "none"
    refreshes: bool = True
    dropped: tuple[str, ...] = ()  # redirect URIs that need BROKER_REDIRECT_SCHEMES


def _document(url: str, name: str, redirect_uris: list[str], **more: Any) -> dict[str, Any]:
    return {
        "client_id": url,
        "client_name": name,
        "redirect_uris": redirect_uris,
        "grant_types": CODE_AND_REFRESH,
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        **more,
    }


CLAUDE = "https://claude.ai/oauth/mcp-oauth-client-metadata"
CLAUDE_CODE = "https://claude.ai/oauth/claude-code-client-metadata"
CHATGPT = "https://chatgpt.com/oauth/IbUR3zxyNQ16/client.json"
CODEX = "https://chatgpt.com/oauth/codex/client.json"
VS_CODE = "https://vscode.dev/oauth/client-metadata.json"
COPILOT = "https://github.com/copilot/cli/client-metadata.json"
CLAUDE_CALLBACKS = ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"]
VS_CODE_CALLBACKS = [
    "https://insiders.vscode.dev/redirect",
    "https://vscode.dev/redirect",
    "http://127.0.0.1/",
    "http://127.0.0.1:33418/",
]
CURSOR_SCHEME = "cursor://anysphere.cursor-mcp/oauth/callback"

DOCUMENTS = (
    Shape(
        name="Claude",
        url=CLAUDE,
        body=_document(
            CLAUDE, "Claude", CLAUDE_CALLBACKS, client_uri="https://claude.ai", logo_uri="https://claude.ai/l.png"
        ),
        uses=tuple(CLAUDE_CALLBACKS),
    ),
    Shape(
        name="Claude Code",
        url=CLAUDE_CODE,
        body=_document(CLAUDE_CODE, "Claude Code", ["http://localhost/callback", "http://127.0.0.1/callback"]),
        uses=("http://localhost:54545/callback", "http://127.0.0.1:61000/callback"),
    ),
    Shape(
        name="ChatGPT",
        url=CHATGPT,
        body=_document(
            CHATGPT,
            "ChatGPT",
            ["https://chatgpt.com/connector/oauth/IbUR3zxyNQ16"],
            token_endpoint_auth_method="private_key_jwt",
            token_endpoint_auth_methods_supported=["none", "private_key_jwt"],
            token_endpoint_auth_signing_alg="RS256",
            jwks_uri="https://chatgpt.com/oauth/jwks.json",
        ),
        uses=("https://chatgpt.com/connector/oauth/IbUR3zxyNQ16",),
        method="private_key_jwt",
    ),
    Shape(
        name="Codex",
        url=CODEX,
        body=_document(
            CODEX, "Codex", ["http://127.0.0.1/callback/q83vEjRWeJCr"], application_type="native", software_id="codex"
        ),
        uses=("http://127.0.0.1:1455/callback/q83vEjRWeJCr",),
    ),
    Shape(
        name="Visual Studio Code",
        url=VS_CODE,
        body=_document(VS_CODE, "Visual Studio Code", VS_CODE_CALLBACKS, application_type="native"),
        uses=("https://vscode.dev/redirect", "http://127.0.0.1:33418", "http://127.0.0.1:49152/"),
    ),
    Shape(
        name="GitHub Copilot CLI",
        url=COPILOT,
        body=_document(COPILOT, "GitHub Copilot CLI", ["http://127.0.0.1:33418/"]),
        uses=("http://127.0.0.1:50123/",),
    ),
)

REGISTRATIONS = (
    Shape(
        name="Claude",
        body={
            "client_name": "Claude",
            "redirect_uris": CLAUDE_CALLBACKS[:1],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "files:read",
        },
        uses=(CLAUDE_CALLBACKS[0],),
        method="client_secret_post",
    ),
    Shape(
        name="Claude Code (files)",
        body={
            "client_name": "Claude Code (files)",
            "redirect_uris": ["http://localhost:41234/callback"],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        uses=("http://localhost:55555/callback",),
    ),
    Shape(
        name="Cursor",
        body={
            "client_name": "Cursor",
            "redirect_uris": [
                CURSOR_SCHEME,
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        uses=("https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"),
        dropped=(CURSOR_SCHEME,),
    ),
    Shape(
        name="Visual Studio Code",
        body={
            "client_name": "Visual Studio Code",
            "client_uri": "https://code.visualstudio.com",
            "redirect_uris": VS_CODE_CALLBACKS,
            "grant_types": [*CODE_AND_REFRESH, "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        uses=("http://127.0.0.1:33418", "http://127.0.0.1:60001/", "https://insiders.vscode.dev/redirect"),
    ),
    Shape(
        name="Copilot CLI",
        body={
            "client_name": "Copilot CLI",
            "redirect_uris": ["http://127.0.0.1:50123/"],
            "grant_types": CODE_AND_REFRESH,
            "token_endpoint_auth_method": "none",
        },
        uses=("http://127.0.0.1:50124/",),
    ),
    Shape(
        name="OpenCode",
        body={
            "client_name": "OpenCode",
            "client_uri": "https://opencode.ai",
            "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        uses=("http://127.0.0.1:19876/mcp/oauth/callback",),
    ),
    Shape(
        name="Gemini CLI MCP Client",
        body={
            "client_name": "Gemini CLI MCP Client",
            "redirect_uris": ["http://localhost:7777/oauth/callback"],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "",
        },
        uses=("http://localhost:7777/oauth/callback", "http://localhost:40404/oauth/callback"),
    ),
    Shape(
        name="Antigravity",
        body={"client_name": "Antigravity", "redirect_uris": ["https://antigravity.google/oauth-callback"]},
        uses=("https://antigravity.google/oauth-callback",),
        method="client_secret_basic",  # RFC 7591's default
        refreshes=False,  # as well
    ),
    Shape(
        name="MCP Inspector",
        body={
            "client_name": "MCP Inspector",
            "client_uri": "https://github.com/modelcontextprotocol/inspector",
            "redirect_uris": ["http://localhost:6274/oauth/callback"],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "",
        },
        uses=("http://localhost:6274/oauth/callback",),
    ),
    Shape(
        name="mcp-remote",
        body={
            "client_name": "MCP CLI Proxy",
            "client_uri": "https://github.com/geelen/mcp-remote",
            "redirect_uris": ["http://localhost:4463/oauth/callback"],
            "grant_types": CODE_AND_REFRESH,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d",
            "software_version": "0.15.1",
        },
        uses=("http://localhost:4463/oauth/callback",),
    ),
)
