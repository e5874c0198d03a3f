"""A sample protected MCP server: two tools behind two scopes, on the MCP SDK, with the five lines that protect it.

`list_notes` needs `notes:read`, `add_note` needs `notes:write` besides. Notes belong to the person the token names.
"""

from __future__ import annotations

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import MCPServer
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from broker.resource_server import ProtectedResourceMiddleware

NAME = "Notes (demo)"
SCOPES = {"notes:read": "Read your notes", "notes:write": "Add notes to your list"}
LOOPBACK_ORIGIN = r"http://(localhost|127\.0\.0\.1)(:\d+)?"
MOST_NOTES = 100


def create_server(issuer: str, resource: str) -> ASGIApp:
    """Return the server as an application; `resource` is its own URL, path `/mcp`."""
    server = MCPServer("notes", instructions="A list of notes for each person who signs in.")
    notes: dict[str, list[str]] = {}

    def mine() -> list[str]:
        person = get_access_token()
        if person is None or person.subject is None:  # the middleware lets nobody in without a token
            raise PermissionError("nobody is signed in")
        return notes.setdefault(person.subject, ["Welcome. This list is yours alone."])

    @server.tool()
    async def list_notes() -> list[str]:
        """List your notes. Needs the scope notes:read."""
        return list(mine())

    @server.tool()
    async def add_note(text: str) -> str:
        """Add a note to your list. Needs the scope notes:write."""
        own = mine()
        own.append(text[:500])
        del own[:-MOST_NOTES]
        return f"You have {len(own)} notes."

    guarded = ProtectedResourceMiddleware(
        server.streamable_http_app(json_response=True),
        issuer=issuer,
        resource=resource,
        scopes=["notes:read"],
        tool_scopes={"add_note": ["notes:write"]},
    )
    # Clients that run in a browser (the Inspector) call from another port of this machine.
    return CORSMiddleware(
        guarded,
        allow_origin_regex=LOOPBACK_ORIGIN,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Mcp-Session-Id", "WWW-Authenticate"],
    )
