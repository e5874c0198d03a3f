"""Connections that wait, and heads that are long or slow: bounded before an application sees them (security rules G5, G14).

The C parser has no limits of its own. What is bounded here: the bytes of a request's line and headers, the time until they are whole,
trailers, requests that wait for the one before, the time until an answer is taken, and how many connections there are. When there are
too many, the one gives way that has waited longest for its client: to finish a request, or to take an answer.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from broker.exchange import Exchange
from broker.wire import Refused

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MOST = 4096  # connections, where the system permits as many open files
FEWEST = 64
RESERVED = 256  # open files that are not the public listener's: database, providers, probes
MAX_FRAMING = 1024 * 1024  # bytes of a message that are neither head nor body
MOST_PIPELINED = 32  # requests of one connection that wait for the one before: one read holds thousands, of 2 kB each

_TOO_LARGE = b"431 Request Header Fields Too Large", b"The head of this request is too long.\n"
_FULL = b"503 Service Unavailable", b"Every place is taken.\n"
_SOON = ((b"retry-after", b"1"),)


class HeadRefused(Exception):
    """Stops the parser."""


def most_connections() -> int:
    """Return how many connections the open files of this process leave room for."""
    if sys.platform == "win32":
        return MOST
    import resource  # noqa: PLC0415 - not on every platform

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(FEWEST, min(MOST, soft - RESERVED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one listener bears: bytes of a head, seconds until it is whole or an answer is taken, connections at once."""

    head: int = 32 * 1024
    seconds: float = 10.0
    connections: int = field(default_factory=most_connections)


@dataclass(slots=True)
class Shared:
    """What the connections of one listener share.

    `waiting` holds those whose turn it is not, the longest waiting first. While the listener is `leaving`, each answer is the last of its
    connection: a client that goes on asking on an old one would ask at the very moment when it is closed.
    """

    waiting: dict[LimitedProtocol, None] = field(default_factory=dict)
    leaving: bool = False


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's protocol within limits."""

    def __init__(self, *, limits: Limits, shared: Shared, refused: Refused | None = None, **uvicorns: Any) -> None:
        """Begin with no head and no request; `refused` answers what is no HTTP (None: uvicorn does)."""
        super().__init__(**uvicorns)
        self._refused = refused
        self._limits = limits
        self._shared = shared
        self._waiting = shared.waiting
        self._deadline: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_body = False
        self._ended = False  # whether a message ended in what is being read
        self._head = 0  # bytes of a head that is not whole
        self._framing = 0
        self._too_large = False
        self._served: RequestResponseCycle | None = (
            None  # uvicorn knows the request that came last, which may wait behind this one
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a place; make room when there is none."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # writing pauses as soon as an answer is not taken whole
        self._wait()
        if len(self.connections) > self._limits.connections:
            longest = next(iter(self._waiting))
            if longest is self:  # everybody else is being served
                self._answer(*_FULL, also=_SOON)
            else:
                longest.give_way()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the place."""
        self._attend()
        self._taken()
        super().connection_lost(exc)
        if self._served is not None and not self._served.response_complete:
            self._served.disconnected = True
            self._served.message_event.set()

    def pause_writing(self) -> None:
        """Begin to wait for a client that does not take its answer; a connection that closes waits for it, too."""
        super().pause_writing()
        self._waiting.setdefault(self)
        self._untaken = self.loop.call_later(self._limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on."""
        self._taken()
        if self._busy and not self._in_body:
            self._waiting.pop(self, None)
        super().resume_writing()

    def give_way(self) -> None:
        """End a connection that waits for its client."""
        self._attend()
        self.connections.discard(self)  # its place is free now, not only when the loop has come round
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has grown too long."""
        self._ended = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            self._framing += len(data)
        elif not self._ended:  # all of it was of this head
            self._head += len(data)
        if self._head > self._limits.head or self._framing > MAX_FRAMING:
            self._too_large = True
            self.send_400_response("")
        elif self._deadline is None and not self._busy:
            self._wait()

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = True
        self._head = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Refuse trailers: nobody here reads them, and they would be headers of the request."""
        if not self._in_head:
            raise HeadRefused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand on a head that is not too long."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self._limits.head:
            self._too_large = True
            raise HeadRefused
        self._in_head = False
        self._head = self._framing = 0
        self._attend()
        self._begin()
        self._in_body = True
        if not self.pipeline:
            self._waiting[self] = None  # until the body is there

    def _begin(self) -> None:
        """Hand the request on, or have it wait until the one before it is answered (RFC 9112 section 9.3.2)."""
        if len(self.pipeline) >= MOST_PIPELINED:
            raise HeadRefused
        url, version, scope = httptools.parse_url(self.url), self.parser.get_http_version(), self.scope
        path = url.path.decode("ascii")
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        before = self.cycle
        stays = version != "1.0" and self.parser.should_keep_alive() and not self._shared.leaving
        self.cycle = Exchange.of(self, keep_alive=stays)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._served = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        """Tell the body from what surrounds it."""
        self._framing -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a message: now the answer is ours to give."""
        self._ended = True
        self._in_body = False
        if self._busy:
            self._waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, without a deadline until it begins: uvicorn's own ends idle connections sooner."""
        super().on_response_complete()
        if not self.transport.is_closing() and (self._in_body or not self._busy):
            self._waiting[self] = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, or too much of one."""
        # An answer is on its way, or the whole request has had its own: another one would be taken for a part of it, or for the next.
        if self._busy or self._in_body:
            self.transport.abort()
        elif self._too_large:
            self._answer(*_TOO_LARGE)
        elif self._refused is not None:
            self.transport.write(self._refused.answer())
            self.transport.close()
        else:
            super().send_400_response(msg)

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answer(self, status: bytes, body: bytes, *, also: Sequence[tuple[bytes, bytes]] = ()) -> None:
        if self._refused is not None:
            self.transport.write(self._refused.answer(status, body, also=also))
        else:
            lines = [
                b"HTTP/1.1 " + status,
                *(b"%s: %s" % pair for pair in also),
                b"content-length: 0",
                b"connection: close",
            ]
            self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n")
        self.transport.close()

    def _wait(self) -> None:
        self._waiting[self] = None
        self._deadline = self.loop.call_later(self._limits.seconds, self._too_slow)

    def _attend(self) -> None:
        self._waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._busy:
            self._deadline = self.loop.call_later(self._limits.seconds, self._too_slow)
        else:
            self.transport.abort()
