"""The demo's run: the MCP SDK's own OAuth client against the broker, watched on the wire (see steps.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import httpx2
from mcp.client import Client
from mcp.client.auth import OAuthClientProvider, OAuthFlowError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.shared.exceptions import MCPError
from pydantic import AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from broker.demo.person import DemoFailed
from broker.demo.steps import Addresses
from broker.demo.trace import Exchange, Trace

CLIENT_NAME = "Demo script"
LONG_AGO = 1.0  # seconds since the epoch: a token that expired then is refreshed at once
PATIENCE = 300  # seconds for a person at their browser


class Person(Protocol):
    """Opens an authorization URL and signs in."""

    async def open(self, url: str) -> None:
        """Open the URL; the answer arrives at the client's callback."""
        ...


class CallbackListener:
    """The client's redirect URI: a page on loopback that takes the answer (RFC 8252 section 7.3)."""

    def __init__(self, address: str, trace: Trace) -> None:
        """`address` is the redirect URI."""
        self._trace = trace
        self._address = address
        self._answers: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.app = Starlette(routes=[Route(urlsplit(address).path, self._take)])

    async def answer(self) -> dict[str, str]:
        """Return the query of the next answer; raises DemoFailed when nobody comes back."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answers.get()
        except TimeoutError:
            raise DemoFailed(f"nobody came back to {self._address} within {PATIENCE // 60} minutes") from None

    async def _take(self, request: Request) -> Response:
        query = request.scope["query_string"].decode("latin-1")
        url = f"{self._address}?{query}"
        self._trace.add(Exchange(request.method, url, b"", 200, httpx2.Headers(), b""))
        self._answers.put_nowait(dict(parse_qsl(query)))
        return PlainTextResponse("You may close this window and go back to the terminal.\n")


@dataclass(slots=True)
class Storage:
    """The client's registration and tokens, for one run (the SDK's TokenStorage)."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = field(default=None)

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the registration."""
        self.client = client_info


async def run_script(at: Addresses, trace: Trace, person: Person, listener: CallbackListener) -> bool:
    """Call two tools, with everything that has to happen before and between; return whether every step was seen.

    What went wrong is printed by the trace: the step that did not come, what was expected, what was seen last.
    """
    try:
        await _call_tools(at, trace, person, listener)
    except (DemoFailed, OAuthFlowError, MCPError, httpx2.HTTPError, BaseExceptionGroup) as error:
        trace.explain_failure("; ".join(_sentences(error)))
        return False
    if not trace.complete:
        trace.explain_failure("the run ended before this step was seen")
    return trace.complete


async def _call_tools(at: Addresses, trace: Trace, person: Person, listener: CallbackListener) -> None:
    async def come_back() -> AuthorizationCodeResult:
        answer = await listener.answer()
        if "code" not in answer:
            raise DemoFailed(f"the broker answered {answer.get('error', 'without a code')}")
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    metadata = OAuthClientMetadata(
        client_name=CLIENT_NAME,
        redirect_uris=[AnyUrl(at.callback)],
        token_endpoint_auth_method="none",  # noqa: S106 - RFC 7591's word for a public client
    )
    auth = OAuthClientProvider(at.resource, metadata, Storage(), person.open, come_back)
    hooks = {"response": [trace.observe]}
    async with (
        httpx2.AsyncClient(auth=auth, trust_env=False, event_hooks=hooks, timeout=30) as http,
        Client(streamable_http_client(at.resource, http_client=http)) as client,
    ):
        await client.call_tool("list_notes", {})
        await client.call_tool("add_note", {"text": "Written by the demo."})
        auth.context.token_expiry_time = LONG_AGO
        await client.call_tool("list_notes", {})


def _sentences(error: BaseException) -> Iterator[str]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _sentences(inner)
    else:
        yield f"{type(error).__name__}: {error}"
