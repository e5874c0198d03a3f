"""Connections that do not behave, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from broker.audit import Audit
from broker.clock import SystemEntropy
from broker.connections import MOST_PIPELINED, Limits, most_connections
from broker.server import Listener, bind
from broker.settings import Address
from broker.wire import Refused
from tests.broker.harness import FakeClock

GOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
SOON = 5  # seconds
ALL_BUFFERS = 32 * 1024 * 1024  # bytes: more than the system keeps for a connection


class App:
    """Answers 200 to everything; `held` keeps requests waiting. With `reads` it wants the body first, with `stays` nobody to leave."""

    def __init__(self) -> None:
        self.stays = False
        self.left = 0
        self.reads = False
        self.answer = b"ok"
        self.asked = 0
        self.held = asyncio.Event()
        self.held.set()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        while self.stays:
            if (await receive())["type"] == "http.disconnect":
                self.left += 1
                return
        while self.reads and (await receive()).get("more_body", False):
            pass
        await self.held.wait()
        length = (b"content-length", b"%d" % len(self.answer))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": self.answer})


async def until(condition: Callable[[], bool]) -> None:
    """Return once something holds that nobody announces."""
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(limits: Limits, refused: Refused | None = None) -> AsyncIterator[tuple[App, int]]:
    app = App()
    sock = bind(Address("127.0.0.1", 0))
    port = sock.getsockname()[1]
    listener = Listener(app, sock, limits=limits, refused=refused)
    running = asyncio.create_task(listener.run_until_stopped())
    await until(lambda: listener.started)
    try:
        yield app, port
    finally:
        app.held.set()
        listener.should_exit = listener.force_exit = True
        await running


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the connection ends."""
    received = b""
    async with asyncio.timeout(SOON):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                received += piece
    return received


async def status(port: int, request: bytes = GOOD) -> bytes:
    """Return the status of one request on a connection of its own."""
    async with connected(port) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(SOON):
            return (await reader.readline()).split(b" ")[1]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 40_000,
        b"GET /" + b"a" * 400_000,
    ],
    ids=["url", "header", "headers", "unfinished header", "unfinished url"],
)
@pytest.mark.parametrize("before", [b"", GOOD])
async def test_a_head_is_thirty_two_kilobytes_at_most(request_: bytes, before: bytes):
    """Rules G5, G14: the C parser buffers whatever comes; 431, and the connection ends."""
    async with listening(Limits()) as (app, port), connected(port) as (reader, writer):
        writer.write(before)
        if before:
            await reader.readuntil(b"ok")
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(request_), 8192):
                writer.write(request_[start : start + 8192])
                await writer.drain()
                await asyncio.sleep(0)
        received = await everything(reader)
        assert received.startswith(b"HTTP/1.1 431 ") or not received  # a reset may overtake the answer
        assert app.asked == bool(before)
        assert await status(port) == b"200"


async def test_what_is_refused_before_the_application_has_our_headers():
    """Rule G8: a head that is too long, and one connection too many, as every other answer."""
    lines: list[str] = []
    audit = Audit(FakeClock(), write=lines.append, level="debug")
    ours = [(b"x-content-type-options", b"nosniff")]
    refused = Refused(audit, clock=FakeClock(), entropy=SystemEntropy(), headers=ours)
    async with listening(Limits(head=500, connections=1), refused) as (app, port):
        async with connected(port) as (reader, writer):
            writer.write(b"GET /" + b"a" * 600 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            long = await everything(reader)
        app.held.clear()
        async with connected(port) as (_, writer):
            writer.write(GOOD)
            await until(lambda: app.asked == 1)
            async with connected(port) as (one_too_many, _):
                full = await everything(one_too_many)
    answers = {b"431": long, b"503": full}
    assert [answer.split(b" ")[1] for answer in answers.values()] == list(answers)
    for answer, line in zip(answers.values(), lines, strict=True):
        assert b"\r\nx-content-type-options: nosniff\r\n" in answer
        assert f"\r\nx-request-id: {json.loads(line)['refused_id']}\r\n".encode() in answer
    assert b"\r\nretry-after: 1\r\n" in full


@pytest.mark.parametrize("before", [b"", GOOD])
@pytest.mark.parametrize("target", [b"http://x", b"http://x?y=z", b"/\xff"])
async def test_a_target_without_a_path_of_ours_is_answered(target: bytes, before: bytes):
    """RFC 9112 section 3.2: whoever sends one is told, after another request as well."""
    async with listening(Limits()) as (app, port), connected(port) as (reader, writer):
        writer.write(before)
        if before:
            await reader.readuntil(b"ok")
        writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await everything(reader)).startswith(b"HTTP/1.1 400 ")
        assert app.asked == bool(before)


async def test_a_head_that_fits_is_served():
    """Rule G5: a long state and a long cookie are no attack; whatever the pieces, and after a body."""
    whole = b"GET /" + b"a" * 16_000 + b" HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 15_000 + b"\r\n\r\n"
    async with listening(Limits()) as (app, port), connected(port) as (reader, writer):
        for step in (len(whole), 1000):
            for start in range(0, len(whole), step):
                writer.write(whole[start : start + step])
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"b" * 60_000
        writer.write(body + whole)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert app.asked == 4


@pytest.mark.parametrize("trailer", [b"0\r\nX: " + b"a" * 3_000_000, b"0\r\nX: a\r\nY: b\r\n\r\n"])
async def test_trailers_are_refused(trailer: bytes):
    """Rule G5: they come after the head was judged, and the parser keeps one of any length."""
    async with listening(Limits()) as (app, port), connected(port) as (reader, writer):
        app.held.clear()
        writer.write(POST + b"2\r\nab\r\n")
        with contextlib.suppress(ConnectionError):
            writer.write(trailer)
            await writer.drain()
        assert await everything(reader) == b""
        app.held.set()
        assert await status(port) == b"200"


@pytest.mark.parametrize("rest", [b"0\r\nX: a\r\n\r\n", b"no size\r\n", b"1;" + b"a" * 2_000_000])
async def test_a_request_whose_body_goes_wrong_after_its_answer_gets_no_second_one(rest: bytes):
    """RFC 9112 section 9.3: a proxy would give it to whoever asks next on this connection."""
    async with listening(Limits()) as (_, port), connected(port) as (reader, writer):
        writer.write(POST)
        await reader.readuntil(b"ok")
        with contextlib.suppress(ConnectionError):
            writer.write(rest)
            await writer.drain()
        assert await everything(reader) == b""


@pytest.mark.parametrize("pieces", [[b""], [b"GET / HT"], [b"\r\n"] * 20, [b"GET / HTTP/1.1\r\n", *[b"A: b\r\n"] * 20]])
@pytest.mark.parametrize("before", [b"", GOOD])
async def test_a_head_that_does_not_come_ends_the_connection(pieces: list[bytes], before: bytes):
    """Rule G14: whatever trickles in meanwhile, from the connection's beginning or after a request was answered."""
    async with listening(Limits(seconds=0.4)) as (_, port), connected(port) as (reader, writer):
        writer.write(before)
        if before:
            await reader.readuntil(b"ok")
            pieces = [piece or b"G" for piece in pieces]
        began = asyncio.get_running_loop().time()
        ended = asyncio.create_task(everything(reader))
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.05)
        assert await ended == b""
        assert asyncio.get_running_loop().time() - began < 3


async def test_a_request_that_takes_long_is_not_cut_off():
    """Rule G14: the limit is for heads; an answer may take as long as it takes."""
    async with listening(Limits(seconds=0.1)) as (app, port), connected(port) as (reader, writer):
        app.held.clear()
        writer.write(GOOD + b"GET / HT")
        await asyncio.sleep(0.4)
        app.held.set()
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


@asynccontextmanager
async def deaf_client(app: App, port: int, request: bytes) -> AsyncIterator[socket.socket]:
    """A client that asks for more than fits into all buffers, and does not read."""
    app.answer = b"a" * ALL_BUFFERS
    with socket.create_connection(("127.0.0.1", port)) as deaf:
        deaf.sendall(request)
        await until(lambda: bool(app.asked))
        yield deaf


@pytest.mark.parametrize("request_", [GOOD * 2, CLOSING], ids=["kept", "closing"])
async def test_an_answer_that_is_not_taken_ends_the_connection(request_: bytes):
    """Rule G14: whoever asks and never reads keeps no place, also while the connection closes."""
    async with listening(Limits(seconds=0.3)) as (app, port), deaf_client(app, port, request_) as deaf:
        await asyncio.sleep(0.6)
        deaf.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=deaf)
        assert len(await everything(reader)) < ALL_BUFFERS
        writer.close()


@pytest.mark.parametrize("request_", [GOOD * 2, CLOSING], ids=["kept", "closing"])
async def test_whoever_does_not_take_an_answer_gives_way(request_: bytes):
    """Rule G14: a crowd that asks and never reads keeps nobody out."""
    async with listening(Limits(connections=1)) as (app, port), deaf_client(app, port, request_):
        app.answer = b"ok"
        assert await status(port) == b"200"


async def test_a_long_answer_is_given_to_whoever_reads_it():
    """Rule G14: the time is for each answer."""
    async with listening(Limits(seconds=0.5)) as (app, port), connected(port) as (reader, writer):
        app.answer = b"a" * 300_000
        for _ in range(4):
            writer.write(GOOD)
            async with asyncio.timeout(SOON):
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.2)
                await reader.readexactly(300_000)


async def test_a_connection_has_only_so_many_requests_waiting():
    """Rule G14: thousands of requests fit into one read, and each that waits takes memory."""
    async with listening(Limits()) as (app, port), connected(port) as (reader, writer):
        app.held.clear()
        writer.write(GOOD * (1 + MOST_PIPELINED))
        await until(lambda: app.asked == 1)
        app.held.set()
        for _ in range(1 + MOST_PIPELINED):
            await reader.readuntil(b"ok")
        app.held.clear()
        writer.write(GOOD * 1000)
        assert await everything(reader) == b""
        assert app.asked <= 2 + MOST_PIPELINED


async def test_whoever_waits_longest_gives_way_and_requests_do_not():
    """Rule G14: a crowd of silent connections keeps nobody out; one too many that are served is told so."""
    async with listening(Limits(connections=8)) as (app, port), contextlib.AsyncExitStack() as crowd:
        silent = [await crowd.enter_async_context(connected(port)) for _ in range(30)]
        assert await status(port) == b"200"
        assert await everything(silent[0][0]) == b""
        app.held.clear()
        served = [await crowd.enter_async_context(connected(port)) for _ in range(8)]
        for _, writer in served:
            writer.write(GOOD)
        await until(lambda: app.asked == 9)
        assert await status(port) == b"503"
        app.held.set()
        for reader, _ in served:
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        assert await status(port) == b"200"


@pytest.mark.parametrize("before", [b"", GOOD])
async def test_bodies_that_do_not_come_keep_nobody_out(before: bytes):
    """Rule G14: whoever announces a body and does not send it waits like whoever sends nothing; whose request is whole does not."""
    async with listening(Limits(connections=8)) as (app, port), contextlib.AsyncExitStack() as crowd:
        app.reads = True
        slow = [await crowd.enter_async_context(connected(port)) for _ in range(7)]
        for slow_reader, slow_writer in slow:
            slow_writer.write(before + POST + b"2\r\nab\r\n")
            if before:
                await slow_reader.readuntil(b"ok")
        await until(lambda: app.asked == 7 * (2 if before else 1))
        app.held.clear()
        whole = [await crowd.enter_async_context(connected(port)) for _ in range(2)]
        for _, writer in whole:
            writer.write(POST + b"2\r\nab\r\n0\r\n\r\n")
        assert await everything(slow[0][0]) == b""
        app.held.set()
        for reader, _ in whole:
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("behind", [b"", GOOD, GOOD * 3])
async def test_whoever_leaves_is_gone_for_the_request_being_served(behind: bytes):
    """RFC 9112 section 9.3.2: also with others behind it; an answer to nobody is an error of ours in the log."""
    async with listening(Limits()) as (app, port):
        app.stays = True
        async with connected(port) as (_, writer):
            writer.write(GOOD + behind)
            await until(lambda: app.asked == 1)
        await until(lambda: app.left == 1)
        assert app.asked == 1


async def test_the_other_listener_answers_while_one_is_full():
    """Rules G12, G14: probes have a limit of their own."""
    async with listening(Limits(connections=1)) as (app, port), listening(Limits(connections=4)) as (_, admin):
        app.held.clear()
        async with connected(port) as (reader, writer):
            writer.write(GOOD)
            await until(lambda: app.asked == 1)
            assert await status(port) == b"503"
            assert await status(admin) == b"200"
            app.held.set()
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


def test_the_limit_leaves_open_files_for_everything_else():
    """Rule G14."""
    assert 64 <= most_connections() <= 4096
