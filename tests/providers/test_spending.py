"""Requests that use something up: whether an answer may have been lost is told apart from a request never sent (security rule B14)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest

from providers.base import Fault, ProviderSettings, UpstreamError
from providers.http import Budget, UpstreamHttp, open_http
from tests.providers.case import ended, judged, open_case

SETTINGS = ProviderSettings(
    id="idp", type="oidc", display_name="IdP", issuer="https://idp.example.test", client_id="broker", timeout=0.2
)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def spend(http: UpstreamHttp, url: str, within: float = 5.0) -> UpstreamError:
    """Return the error that a request ends with, asked to count as spending."""
    work = http.spend_form(url, {"a": "b"}, operation="test", authorization=None, within=within)
    error = judged(await ended(work))
    assert error.fault is Fault.TRANSIENT
    return error


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve on loopback, with a real socket; yield the URL."""
    served: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.Event()
        served.append(done)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        done.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    finally:
        server.close()
        await asyncio.gather(*(done.wait() for done in served))


async def test_a_connection_that_breaks_after_the_request_loses_the_answer() -> None:
    """Security rule B14: the refresh token may be spent."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"a=b")

    async with serving(hang_up) as url, open_http(SETTINGS) as http:
        assert (await spend(http, url)).reason == "answer_lost"


async def test_silence_after_the_request_loses_the_answer() -> None:
    """Security rule B14: a time-out says nothing about what the provider did."""
    heard = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"a=b")
        heard.set()
        await reader.read()

    async with serving(say_nothing) as url, open_http(SETTINGS) as http:
        assert (await spend(http, url)).reason == "answer_lost"
        assert heard.is_set()


async def test_half_an_answer_is_lost_too() -> None:
    """Security rule B14."""

    async def stop_halfway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"a=b")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()

    async with serving(stop_halfway) as url, open_http(SETTINGS) as http:
        assert (await spend(http, url)).reason == "answer_lost"


async def test_a_refused_connection_loses_nothing() -> None:
    """Nothing was sent: the same token may be tried again."""

    async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        """Serve nobody."""

    async with serving(never) as url:
        pass
    async with open_http(SETTINGS) as http:
        assert (await spend(http, url)).reason == "unreachable"


async def test_a_handshake_that_never_ends_loses_nothing() -> None:
    """Nothing was sent: the connection is still being made."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    client = httpx2.AsyncClient(timeout=0.1, trust_env=False)
    async with serving(wait) as url, UpstreamHttp(client, timeout=5.0) as http:
        assert (await spend(http, url.replace("http:", "https:"))).reason == "timeout"


async def test_a_handshake_that_fails_is_told_as_such() -> None:
    """The administrator's first question is about the certificate."""

    async def talk_nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"this is no handshake")
        await writer.drain()

    async with serving(talk_nonsense) as url, open_http(SETTINGS) as http:
        assert (await spend(http, url.replace("http:", "https:"))).reason == "tls"


@pytest.mark.parametrize("before", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError])
async def test_a_request_that_never_left_loses_nothing(before: type[httpx2.TransportError]) -> None:
    """Security rule B14."""

    def fail(_request: httpx2.Request) -> httpx2.Response:
        raise before("no")

    async with open_http(SETTINGS, transport=httpx2.MockTransport(fail)) as http:
        assert (await spend(http, "https://idp.example.test/token")).reason in ("timeout", "unreachable")


@pytest.mark.parametrize("after", [httpx2.ReadError, httpx2.ReadTimeout, httpx2.WriteError, httpx2.RemoteProtocolError])
async def test_a_request_that_may_have_left_has_lost_its_answer(after: type[httpx2.TransportError]) -> None:
    """Security rule B14: of a connection that tells nothing, the worse is assumed."""

    def fail(_request: httpx2.Request) -> httpx2.Response:
        raise after("no")

    async with open_http(SETTINGS, transport=httpx2.MockTransport(fail)) as http:
        assert (await spend(http, "https://idp.example.test/token")).reason == "answer_lost"


async def test_a_second_request_over_a_kept_connection_is_no_longer_connecting() -> None:
    """The state is the request's, not the connection's."""

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"a=b")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        await reader.readuntil(b"a=b")

    async with serving(answer_once) as url, open_http(SETTINGS) as http:
        first = await http.spend_form(url, {"a": "b"}, operation="test", authorization=None, within=5.0)
        assert first.status == 200
        assert (await spend(http, url)).reason == "answer_lost"


async def test_a_refresh_whose_answer_is_slow_says_that_it_may_be_lost() -> None:
    """Security rule B14."""
    async with open_case("oidc", timeout=0.2) as case:
        before = await case.sign_in()
        case.idp.faults.delay["token"] = 30
        error = await case.no_refresh(before)
        assert (error.fault, error.reason, error.tokens) == (Fault.TRANSIENT, "answer_lost", None)


async def test_a_refresh_before_a_provider_without_metadata_spends_nothing() -> None:
    """Security rules B7, B14."""
    async with open_case("oidc", timeout=0.2) as signed_in, open_case("oidc", timeout=0.2) as case:
        before = await signed_in.sign_in()
        case.idp.faults.delay["discovery"] = 30
        assert (await case.no_refresh(before)).reason == "timeout"


async def test_a_slow_userinfo_after_the_rotation_is_bounded_and_loses_no_token() -> None:
    """Security rules B7, B14: all requests of a re-check share one time limit."""
    async with open_case("oidc", timeout=0.3, options={"userinfo": "always"}) as case:
        before = await case.sign_in()
        case.idp.faults.delay["userinfo"] = 30
        error = await case.no_refresh(before)
        assert (error.fault, error.reason) == (Fault.TRANSIENT, "timeout")
        assert error.tokens is not None


async def test_a_budget_runs_out_and_never_below_nothing() -> None:
    """Seconds that several requests share."""
    assert 9 < Budget(10).left <= 10
    assert Budget(-1).left == 0
