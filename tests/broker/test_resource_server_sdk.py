"""The MCP SDK's client and server around the verifier and the middleware: sign-in, step-up, `get_access_token()` in a tool.

The authorization server is a stub with real keys that approves everything at once; everything else is real and on loopback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyHttpUrl, AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from broker.clock import SystemClock
from broker.demo.script import Storage
from broker.demo.serving import reserve, serving
from broker.resource_server import BrokerTokenVerifier, ProtectedResourceMiddleware
from tests.broker.resource_issuer import Issuer, ManualClock, key_of, public

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
CALLBACK = "http://127.0.0.1:1/callback"  # nobody listens: the test reads the answer from the redirect


class StubAuthorizationServer:
    """Approves every request, grants what is asked, and remembers it."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.asked: list[list[str]] = []
        clock = ManualClock()
        clock.wall = SystemClock().now()
        self.tokens = Issuer(clock, issuer=issuer)
        self._resource = ""
        self.app = Starlette(
            routes=[
                Route("/.well-known/oauth-authorization-server/oauth", self._metadata),
                Route("/oauth/jwks.json", self._jwks),
                Route("/oauth/register", self._register, methods=["POST"]),
                Route("/oauth/authorize", self._authorize),
                Route("/oauth/token", self._token, methods=["POST"]),
            ]
        )

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "jwks_uri": f"{self.issuer}/jwks.json",
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "registration_endpoint": f"{self.issuer}/register",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [public(key_of("RS256"))]})

    async def _register(self, request: Request) -> Response:
        return JSONResponse({**(await request.json()), "client_id": "client-1"}, 201)

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        self.asked.append(query["scope"].split())
        self._resource = query["resource"]
        answer = urlencode({"code": str(len(self.asked)), "state": query["state"], "iss": self.issuer})
        return RedirectResponse(f"{CALLBACK}?{answer}", 303)

    async def _token(self, _: Request) -> Response:
        scope = " ".join(self.asked[-1])
        token = self.tokens.token(aud=self._resource, scope=scope)
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 900, "scope": scope})


def with_tools(server: MCPServer) -> MCPServer:
    @server.tool()
    async def list_notes() -> str:
        access = get_access_token()
        return f"list for {access.subject}" if access else "nobody"

    @server.tool()
    async def add_note() -> str:
        access = get_access_token()
        return f"add for {access.subject}" if access else "nobody"

    return server


def by_verifier(issuer: str, resource: str) -> ASGIApp:
    """An MCPServer that the SDK itself protects, with our verifier."""
    settings = AuthSettings(
        issuer_url=AnyHttpUrl(issuer),
        resource_server_url=AnyHttpUrl(resource),
        required_scopes=["notes:read", "notes:write"],
        validate_token_resource=True,
    )
    server = MCPServer("notes", token_verifier=BrokerTokenVerifier(issuer, resource), auth=settings)
    return with_tools(server).streamable_http_app(json_response=True)


def by_middleware(issuer: str, resource: str) -> ASGIApp:
    """An MCPServer that knows nothing of tokens, inside our middleware."""
    return ProtectedResourceMiddleware(
        with_tools(MCPServer("notes")).streamable_http_app(json_response=True),
        issuer=issuer,
        resource=resource,
        scopes=["notes:read"],
        tool_scopes={"add_note": ["notes:write"]},
    )


@asynccontextmanager
async def world(
    make_server: Callable[[str, str], ASGIApp],
) -> AsyncIterator[tuple[StubAuthorizationServer, str]]:
    place, server_place = reserve(0), reserve(0)
    stub = StubAuthorizationServer(f"{place.origin}/oauth")
    resource = f"{server_place.origin}/mcp"
    async with serving((stub.app, place), (make_server(stub.issuer, resource), server_place)):
        yield stub, resource


@asynccontextmanager
async def connected(resource: str, statuses: list[int], storage: Storage | None = None) -> AsyncIterator[Client]:
    """The SDK's client with its own OAuth provider; `statuses` collects what the MCP server answered."""
    answers: list[httpx2.URL] = []

    async def visit(url: str) -> None:
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answers.append(httpx2.URL((await browser.get(url)).headers["location"]))

    async def come_back() -> AuthorizationCodeResult:
        query = answers.pop().params
        return AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

    async def note(response: httpx2.Response) -> None:
        if str(response.request.url) == resource:
            statuses.append(response.status_code)

    metadata = OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], token_endpoint_auth_method="none")
    auth = OAuthClientProvider(resource, metadata, storage or Storage(), visit, come_back)
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, event_hooks={"response": [note]}) as http,
        Client(streamable_http_client(resource, http_client=http)) as client,
    ):
        yield client


async def text_of(client: Client, tool: str) -> str:
    result = await client.call_tool(tool, {})
    assert not result.is_error
    (part,) = result.content
    return str(getattr(part, "text", ""))


async def test_the_sdks_client_steps_up_against_the_middleware() -> None:
    """One 401 with the base scope, one 403 with every scope of the tool, each followed by one authorization."""
    statuses: list[int] = []
    async with world(by_middleware) as (stub, resource), connected(resource, statuses) as client:
        assert await text_of(client, "list_notes") == "list for u_7Hq2"
        assert stub.asked == [["notes:read"]]

        assert await text_of(client, "add_note") == "add for u_7Hq2"

        assert stub.asked == [["notes:read"], ["notes:read", "notes:write"]]
        assert await text_of(client, "list_notes") == "list for u_7Hq2"
    assert statuses.count(401) == 1
    assert statuses.count(403) == 1


async def test_the_sdks_client_signs_in_and_steps_up_against_an_mcpserver_with_the_verifier() -> None:
    """The verifier passes a token whose scopes fall short, so that the SDK's 403 starts a step-up (architecture, section 6)."""
    statuses: list[int] = []
    async with world(by_verifier) as (stub, resource):
        async with connected(resource, statuses) as client:
            assert await text_of(client, "list_notes") == "list for u_7Hq2"
        assert stub.asked == [["notes:read", "notes:write"]]
        assert 403 not in statuses

        narrow = stub.tokens.token(aud=resource, scope="notes:read")
        kept = Storage(
            OAuthToken(access_token=narrow, scope="notes:read", expires_in=900),
            OAuthClientInformationFull(client_id="client-1", redirect_uris=[AnyUrl(CALLBACK)]),
        )
        statuses.clear()
        async with connected(resource, statuses, kept) as client:
            assert await text_of(client, "add_note") == "add for u_7Hq2"

    assert stub.asked[1:] == [["notes:read", "notes:write"]]
    assert statuses.count(403) == 1
    assert 401 not in statuses


@pytest.mark.parametrize("make_server", [by_verifier, by_middleware])
async def test_a_token_for_the_neighbour_is_refused(make_server: Callable[[str, str], ASGIApp]) -> None:
    """Security rule F1, over HTTP, whatever protects the server."""
    async with world(make_server) as (stub, resource), httpx2.AsyncClient(trust_env=False) as http:
        for audience, status in ((resource + "/", 401), (resource.replace("mcp", "mcq"), 401), (resource, 200)):
            token = stub.tokens.token(aud=audience)
            body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
            headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
            assert (await http.post(resource, json=body, headers=headers)).status_code == status
