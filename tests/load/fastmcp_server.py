"""FastMCP's OAuth proxy as a peer, as `python -m tests.load.fastmcp_server PORT UPSTREAM` under the Python that it is installed for.

As it comes, consent page included, with two things that spare it work: its storage is memory instead of encrypted files, and its log
begins at warnings, since its pretty printer would be a quarter of a refresh. It serves the one MCP server that everybody's tokens are
for. At every refresh it asks the identity provider, as it does anywhere.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth import OAuthProxy
from fastmcp.server.auth.providers.jwt import JWTVerifier
from key_value.aio.stores.memory import MemoryStore
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from tests.load.upstream import CLIENT_SECRET, FASTMCP_CLIENT_ID
from tests.load.workload import CLIENT_ID, REDIRECT_URI, RESOURCE, SCOPE


def create_proxy(upstream: str) -> OAuthProxy:
    """Return the authorization server, which knows one client."""
    proxy = OAuthProxy(
        upstream_authorization_endpoint=f"{upstream}/authorize",
        upstream_token_endpoint=f"{upstream}/token",
        upstream_client_id=FASTMCP_CLIENT_ID,
        upstream_client_secret=CLIENT_SECRET,
        token_verifier=JWTVerifier(jwks_uri=f"{upstream}/jwks", issuer=upstream, required_scopes=[SCOPE]),
        base_url=RESOURCE.removesuffix("/mcp"),
        client_storage=MemoryStore(),
    )
    notebook = OAuthClientInformationFull(
        client_id=CLIENT_ID,
        client_name="Notebook",
        redirect_uris=[AnyUrl(REDIRECT_URI)],
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=SCOPE,
        application_type="web",
    )
    asyncio.run(proxy.register_client(notebook))
    return proxy


if __name__ == "__main__":
    uvicorn.run(
        FastMCP("notes", auth=create_proxy(sys.argv[2])).http_app(path="/mcp"),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
