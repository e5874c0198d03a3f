"""One request and its answer on a connection, as uvicorn has it, with a plain answer written in one go (RFC 9112 section 4).

uvicorn searches every name and value of every answer for what must not be in a header, and writes head and body apart; for a small answer
with a dozen headers that is the dearest part. Here the block of lines is looked at once: it has the line ends that were put there and no
others, and no NUL. Whatever is not plain (no length, a connection that ends, a bad value, a stream) is uvicorn's to write or to refuse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

_END = b"\r\n"

Headers = Sequence[tuple[bytes, bytes]]


class Exchange(RequestResponseCycle):
    """A request, and what is sent back. Not access-logged: the edge counts, the audit trail tells."""

    _held: bytes = b""  # a head whose body is not there yet

    @classmethod
    def of(cls, protocol: HttpToolsProtocol, *, keep_alive: bool) -> Exchange:
        """Return the exchange of the request whose head a connection has just read."""
        return cls(
            scope=protocol.scope,
            transport=protocol.transport,
            flow=protocol.flow,
            logger=protocol.logger,
            access_logger=protocol.access_logger,
            access_log=False,
            default_headers=protocol.server_state.default_headers,
            message_event=asyncio.Event(),
            # Whoever speaks 1.0 would take the interim answer for the answer (RFC 9110 section 10.1.1).
            expect_100_continue=protocol.expect_100_continue and protocol.scope["http_version"] != "1.0",
            keep_alive=keep_alive,
            on_response=protocol.on_response_complete,
        )

    async def send(self, message: Any) -> None:
        """Send one ASGI message; raises RuntimeError for one that is out of turn or malformed."""
        if self._held:
            if self._finish(message):
                return
        elif self._begin(message):
            return
        await super().send(message)

    def _begin(self, message: Any) -> bool:
        """Hold the head of a plain answer until its body comes; tell whether this was one."""
        if message["type"] != "http.response.start" or self.response_started or self.disconnected:
            return False
        if not self.keep_alive or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        headers: Headers = message.get("headers", ())
        stated = dict(headers)
        length = stated.get(b"content-length", b"")
        if not length.isdigit() or b"connection" in stated or b"transfer-encoding" in stated:
            return False
        head = _head(message["status"], self.default_headers, headers)
        if head is None:
            return False
        self.response_started = True
        self.waiting_for_100_continue = self.chunked_encoding = False
        self.expected_content_length = int(length)
        self._held = head
        return True

    def _finish(self, message: Any) -> bool:
        """Write head and body together; tell whether that was all of the answer. Otherwise the head is on its way, the body is not."""
        head, self._held = self._held, b""
        if self.disconnected:
            return False
        body = message.get("body", b"")
        whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not whole or len(body) != self.expected_content_length or self.flow.write_paused or not self.keep_alive:
            self.transport.write(head)
            return False
        self.transport.write(head + body)
        self.response_complete = True
        self.message_event.set()
        self.on_response()
        return True


def _head(status: int, defaults: Headers, headers: Headers) -> bytes | None:
    """Return the head as it is written; None where a name or a value would break out of its line."""
    lines = [name + b": " + value for name, value in headers]
    for name, value in defaults:
        lines.append(name + b": " + value)
    block = _END.join(lines)
    ends = len(lines) - 1
    if block.count(b"\n") != ends or block.count(b"\r") != ends or b"\0" in block:
        return None
    return STATUS_LINE[status] + block + _END + _END
