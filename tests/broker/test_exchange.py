"""Answers as they are written to a connection: the same as uvicorn's own, whatever an application sends (RFC 9112)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message, Receive, Scope, Send

from broker.server import Listener, bind
from broker.settings import Address

SOON = 5  # seconds
Told = Callable[[Send], Awaitable[None]]


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [*headers]}


def body(content: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def sends(*messages: Message) -> Told:
    async def told(send: Send) -> None:
        for message in messages:
            await send(message)

    return told


@asynccontextmanager
async def serving(told: Told, *, reads: bool = False) -> AsyncIterator[int]:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        if reads:
            await receive()
        await told(send)

    sock = bind(Address("127.0.0.1", 0))
    listener = Listener(app, sock)
    running = asyncio.create_task(listener.run_until_stopped())
    async with asyncio.timeout(SOON):
        while not listener.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    try:
        yield sock.getsockname()[1]
    finally:
        listener.should_exit = listener.force_exit = True
        await running


async def exchange(told: Told, *requests: str, reads: bool = False) -> bytes:
    """Return everything that comes back for these requests, the last of which asks to close."""
    async with serving(told, reads=reads) as port, asyncio.timeout(SOON):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("".join(requests).encode())
        answer = await reader.read()
        writer.close()
    return answer


def get(*lines: str, method: str = "GET", close: bool = True) -> str:
    closing = ["Connection: close"] if close else []
    return "\r\n".join([f"{method} / HTTP/1.1", "Host: x", *lines, *closing, "", ""])


def without_date(answer: bytes) -> list[bytes]:
    return [line for line in answer.split(b"\r\n") if not line.startswith(b"date: ")]


PLAIN = sends(start((b"content-type", b"text/plain"), (b"content-length", b"2")), body(b"ok"))


async def test_a_plain_answer_is_its_status_its_headers_and_its_body() -> None:
    kept, closed = b"content-type: text/plain", b"connection: close"
    answer = without_date(await exchange(PLAIN, get(close=False), get()))
    first = [b"HTTP/1.1 200 OK", kept, b"content-length: 2", b"", b"okHTTP/1.1 200 OK"]
    assert answer == [*first, kept, b"content-length: 2", closed, b"", b"ok"]


async def test_a_date_is_on_every_answer() -> None:
    answer = await exchange(PLAIN, get(close=False), get())
    assert answer.count(b"\r\ndate: ") == 2


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    number = 0

    async def told(send: Send) -> None:
        nonlocal number
        number += 1
        mine = str(number).encode()
        await asyncio.sleep(0.02 / number)  # the later, the quicker
        await sends(start((b"content-length", b"1")), body(mine))(send)

    answer = await exchange(told, *[get(close=False)] * 3, get())
    assert [part[:1] for part in answer.split(b"\r\n\r\n")[1:]] == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_value_that_would_break_out_of_its_line_is_never_written(value: bytes) -> None:
    """Rule G7: nobody writes a header of his own through a value of ours."""
    told = sends(start((b"content-length", b"2"), (b"location", value)), body(b"ok"))
    answer = await exchange(told, get(close=False), get())
    assert b"set-cookie" not in answer
    assert value not in answer


async def test_an_answer_in_parts_arrives_whole() -> None:
    told = sends(start((b"content-length", b"4")), body(b"ab", more=True), body(b"cd"))
    answer = await exchange(told, get(close=False), get())
    assert answer.count(b"\r\n\r\nabcd") == 2


async def test_an_answer_without_a_length_is_sent_in_chunks() -> None:
    answer = await exchange(sends(start(), body(b"ab", more=True), body(b"")), get(close=False), get())
    assert answer.count(b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n") == 2


async def test_a_head_alone_has_no_body() -> None:
    answer = await exchange(PLAIN, get(method="HEAD", close=False), get(method="HEAD"))
    assert answer.count(b"content-length: 2\r\n") == 2
    assert b"ok" not in answer.lower().replace(b"200 ok", b"")


@pytest.mark.parametrize("content", [b"o", b"okay"])
async def test_a_body_of_another_length_ends_the_connection(content: bytes) -> None:
    """RFC 9112 section 6.3: what follows would be taken for the next answer."""
    told = sends(start((b"content-length", b"2")), body(content))
    answer = await exchange(told, get(close=False), get(close=False), get())
    assert answer.count(b"HTTP/1.1 200 OK") == 1


async def test_an_application_that_breaks_off_after_its_head_ends_the_connection() -> None:
    async def told(send: Send) -> None:
        await send(start((b"content-length", b"2")))
        raise ValueError

    answer = await exchange(told, get(close=False), get())
    assert answer.count(b"HTTP/1.1") <= 1
    assert b"ok" not in answer.lower().replace(b"200 ok", b"")


async def test_http_1_0_is_answered_and_closed() -> None:
    answer = await exchange(PLAIN, "GET / HTTP/1.0\r\nHost: x\r\n\r\n")
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(("version", "interim"), [("1.0", 0), ("1.1", 1)])
async def test_only_http_1_1_is_told_to_go_on(version: str, interim: int) -> None:
    """RFC 9110 section 10.1.1: a server ignores the expectation of an HTTP/1.0 request."""
    head = ["POST / HTTP/" + version, "Host: x", "Expect: 100-continue", "Content-Length: 2", "Connection: close"]
    answer = await exchange(PLAIN, "\r\n".join([*head, "", "ab"]), reads=True)
    assert answer.count(b"HTTP/1.1 100 Continue\r\n\r\n") == interim
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 1


async def test_an_answer_that_names_its_connection_is_closed() -> None:
    told = sends(start((b"content-length", b"2"), (b"connection", b"close")), body(b"ok"))
    answer = await exchange(told, get(close=False))
    assert answer.endswith(b"\r\n\r\nok")
