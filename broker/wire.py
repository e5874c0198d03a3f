"""What the HTTP server refuses by itself, before any application sees it (security rules G7, G8, G13).

Bytes that are no HTTP, too long a head and one connection too many are answered with 400, 431 and 503, a request id and our headers, and
logged as `http.refused` without a byte of what was sent: one line a second, with the number of those left out, and at level debug every
one, so that a stranger fills no disk. A wish to upgrade the connection is ignored and the request served (RFC 9110 section 7.8); there is
nothing to say about it. And what libraries would write past our log.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence

from broker.audit import Audit, place_of
from broker.clock import Clock, Entropy

PAUSE = 1.0  # seconds between two lines at level info
BODY = b"This is no HTTP request.\n"
SAID_OTHERWISE = (  # what the server says of a connection, by the beginning of its words: answered, or ignored, as told above
    "Invalid HTTP request",
    "Unsupported upgrade request",
    "No supported WebSocket library",
)


class Refused:
    """Answers what is no HTTP."""

    def __init__(
        self, audit: Audit, *, clock: Clock, entropy: Entropy, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """`headers` are those of every answer of the broker."""
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self._headers = tuple(headers)
        self._quiet_until = float("-inf")
        self._left_out = 0

    def answer(
        self, status: bytes = b"400 Bad Request", body: bytes = BODY, *, also: Sequence[tuple[bytes, bytes]] = ()
    ) -> bytes:
        """Return the answer with the headers `also` besides ours, logged under its request id."""
        identifier = self._entropy.token(12)
        self._log(identifier)
        own = (
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            (b"x-request-id", identifier.encode()),
        )
        lines = [b"HTTP/1.1 " + status, *(b"%s: %s" % pair for pair in (*also, *own, *self._headers))]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def _log(self, identifier: str) -> None:
        now = self._clock.monotonic()
        if now < self._quiet_until:
            self._left_out += 1
            self._audit.log("http.refused", "debug", refused_id=identifier)
            return
        self._audit.log("http.refused", refused_id=identifier, left_out=self._left_out or None)
        self._quiet_until, self._left_out = now + PAUSE, 0


class ServerLog(logging.Handler):
    """Takes what uvicorn has to say into our log: its fixed words, never what they are about.

    Of every other library, of what no task, thread or finalizer caught, and of warnings, only who spoke, the kind of exception and the
    place: what they say may hold anything, a provider's answer included (rule B12), and their tracebacks do.
    """

    def __init__(self, audit: Audit) -> None:
        """Warnings and worse; the rest is chatter."""
        super().__init__(logging.WARNING)
        self._audit = audit

    def install(self) -> None:
        """Stand in for every other place that loggers, warnings and uncaught exceptions write to."""
        for logger in (logging.getLogger("uvicorn"), logging.getLogger()):
            logger.handlers, logger.propagate = [self], False
        logging.captureWarnings(capture=True)
        sys.excepthook = lambda kind, error, _: self._uncaught(kind, error)
        sys.unraisablehook = lambda lost: self._uncaught(lost.exc_type, lost.exc_value)
        threading.excepthook = lambda lost: self._uncaught(lost.exc_type, lost.exc_value)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line of the log."""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        if record.name != "uvicorn" and not record.name.startswith("uvicorn."):
            error = record.exc_info[1] if record.exc_info else None
            kind = type(error).__name__ if error else None
            place = place_of(error) if error else f"{record.filename}:{record.lineno}"
            self._audit.log("library.said", level, logger=record.name, kind=kind, place=place)
            return
        words = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        if not words.startswith(SAID_OTHERWISE):
            self._audit.log("http.server", level, words=words.strip())

    def _uncaught(self, kind: type[BaseException], error: BaseException | None) -> None:
        self._audit.log("process.failed", "error", kind=kind.__name__, place=place_of(error) if error else None)
