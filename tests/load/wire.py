"""A keep-alive HTTP/1.1 client with next to no cost of its own, so that a server is the limit and not the client (RFC 9112).

It understands what the measured servers send: one answer at a time, with a Content-Length. Everything else is a loud failure.
"""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple, NoReturn, cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
PAUSE = 2.0  # seconds; uvicorn hangs up after five
_QUOTED = 600  # characters of an unexpected answer that its error shows


class WrongAnswer(Exception):
    """A server said something else than what the operation means: it must not be counted."""


class Answer(NamedTuple):
    """A status, the raw head and the body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        """Return a header's value; raises WrongAnswer when it is absent."""
        found = re.search(rb"\r\n" + name.encode() + rb": *([^\r\n]*)", self.head, re.IGNORECASE)
        if found is None:
            self.refuse(f"no {name} header")
        return found[1].decode("latin-1")

    def headers(self, name: str) -> list[str]:
        """Return every value of a header."""
        found = re.findall(rb"\r\n" + name.encode() + rb": *([^\r\n]*)", self.head, re.IGNORECASE)
        return [value.decode("latin-1") for value in found]

    def expect(self, status: int, needle: bytes = b"") -> Answer:
        """Return itself; raises WrongAnswer on another status, or on a body without `needle`."""
        if self.status != status or needle not in self.body:
            self.refuse(f"expected {status}" + (f" with {needle.decode()!r}" if needle else ""))
        return self

    def refuse(self, why: str) -> NoReturn:
        """Raise WrongAnswer, showing the beginning of the answer."""
        text = (self.head + _END + self.body)[:_QUOTED].decode("utf-8", "replace")
        raise WrongAnswer(f"{why}, got:\n{text}")


class Connection:
    """One connection; one request at a time. Servers hang up on the idle, so it opens anew after a pause."""

    def __init__(self, port: int) -> None:
        """Know a port of loopback; nothing is opened yet."""
        self.host = f"127.0.0.1:{port}"
        self._port = port
        self._used_at = 0.0
        self._wire: _Wire | None = None

    async def get(self, path: str, headers: str = "") -> Answer:
        """Send a GET; `headers` are whole lines, each with its line end."""
        return await self.send(f"GET {path} HTTP/1.1\r\nhost: {self.host}\r\n{headers}\r\n".encode())

    async def post(
        self, path: str, body: str, headers: str = "", *, media: str = "application/x-www-form-urlencoded"
    ) -> Answer:
        """Send a POST with an ASCII body."""
        head = f"POST {path} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: {media}\r\ncontent-length: {len(body)}\r\n"
        return await self.send(f"{head}{headers}\r\n{body}".encode("ascii"))

    async def send(self, request: bytes) -> Answer:
        """Send a whole request and return its answer; raises WrongAnswer when the server hangs up instead."""
        loop = asyncio.get_running_loop()
        wire = self._wire
        if wire is None or wire.closed or loop.time() - self._used_at > PAUSE:
            self.close()
            _, wire = await loop.create_connection(lambda: _Wire(self.host), "127.0.0.1", self._port)
            self._wire = wire
        answer = await wire.exchange(request, loop.create_future())
        self._used_at = loop.time()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class _Wire(asyncio.Protocol):
    """The bytes of one connection, from its opening to its end."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._got = b""
        self._needed = 0  # bytes of the whole answer, once its head is here
        self.closed = False

    def exchange(self, request: bytes, waiting: asyncio.Future[Answer]) -> asyncio.Future[Answer]:
        self._waiting = waiting
        assert self._transport is not None
        self._transport.write(request)
        return waiting

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by shape only

    def data_received(self, data: bytes) -> None:
        self._got = got = self._got + data if self._got else data
        if not self._needed:
            end = got.find(_END)
            if end < 0:
                return
            length = _LENGTH.search(got, 0, end)
            if length is None:
                self._fail(f"an answer without a Content-Length from {self._host}:\n{got[:_QUOTED]!r}")
                return
            self._needed = end + 4 + int(length[1])
        if len(got) >= self._needed:
            self._finish(got)

    def _finish(self, got: bytes) -> None:
        needed, self._needed, self._got = self._needed, 0, b""
        waiting, self._waiting = self._waiting, None
        if len(got) > needed or waiting is None:
            self._waiting = waiting
            self._fail(f"more than one answer to a request from {self._host}")
            return
        end = got.find(_END)
        if not waiting.done():
            waiting.set_result(Answer(int(got[9:12]), got[:end], got[end + 4 :]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail(f"{self._host} closed the connection: {exc}")

    def _fail(self, why: str) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(WrongAnswer(why))
        self.close()
