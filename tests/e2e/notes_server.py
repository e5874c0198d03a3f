"""A protected MCP server as its author writes it: `python -m tests.e2e.notes_server KIND ISSUER PORT`.

KIND is `middleware` (two tools behind two scopes, with the challenge that starts a step-up) or `verifier` (the SDK's own protection).
"""

from __future__ import annotations

import sys

import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from starlette.types import ASGIApp

from broker.resource_server import BrokerTokenVerifier, ProtectedResourceMiddleware


def read_notes() -> str:
    """Read your notes."""
    token = get_access_token()
    return f"the notes of {token.subject} for {token.client_id}" if token else "nobody's notes"


def write_note(text: str) -> str:
    """Write a note."""
    return f"written: {text}"


def application(kind: str, issuer: str, resource: str) -> ASGIApp:
    """The server, protected in one of the two ways."""
    if kind == "verifier":
        # Text, not URL objects: pydantic's would add a slash to an issuer without a path, and the client compares byte for byte.
        settings = AuthSettings.model_validate(
            {
                "issuer_url": issuer,
                "resource_server_url": resource,
                "required_scopes": ["notes:read"],
                "validate_token_resource": True,
            }
        )
        server = MCPServer("notes", token_verifier=BrokerTokenVerifier(issuer, resource), auth=settings)
    else:
        server = MCPServer("notes")
    server.add_tool(read_notes)
    server.add_tool(write_note)
    app = server.streamable_http_app()
    if kind == "verifier":
        return app
    return ProtectedResourceMiddleware(
        app, issuer=issuer, resource=resource, scopes=["notes:read"], tool_scopes={"write_note": ["notes:write"]}
    )


if __name__ == "__main__":
    kind, issuer, port = sys.argv[1:]
    uvicorn.run(
        application(kind, issuer, f"http://127.0.0.1:{port}/mcp"), host="127.0.0.1", port=int(port), log_level="warning"
    )
