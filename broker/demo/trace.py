"""What the demo prints: protocol steps, each ticked when the HTTP exchange that proves it has passed, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO
from urllib.parse import parse_qsl, urlsplit

import httpx2

WIDTH, TITLE = 79, 29  # columns: a line, and the title in it


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with its answer, as it was on the wire."""

    method: str
    url: str
    request: bytes
    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def path(self) -> str:
        """The path of the request."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The query of the request."""
        return dict(parse_qsl(urlsplit(self.url).query))

    @property
    def form(self) -> dict[str, str]:
        """The fields of a urlencoded request."""
        return dict(parse_qsl(self.request.decode("utf-8", "replace")))

    @property
    def target(self) -> str:
        """Where the answer redirects to, without its query."""
        return self.headers.get("location", "").partition("?")[0]

    @property
    def target_query(self) -> dict[str, str]:
        """The query of where the answer redirects to."""
        return dict(parse_qsl(urlsplit(self.headers.get("location", "")).query))

    @property
    def challenge(self) -> str:
        """The WWW-Authenticate header."""
        return str(self.headers.get("www-authenticate", ""))

    def json(self) -> dict[str, Any]:
        """Return the answer's JSON object; empty when it is none."""
        return _object(self.body)

    def message(self) -> dict[str, Any]:
        """Return the request's JSON object; empty when it is none."""
        return _object(self.request)

    def calls(self, tool: str) -> bool:
        """Whether the request calls an MCP tool."""
        message = self.message()
        return message.get("method") == "tools/call" and message.get("params", {}).get("name") == tool


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a part. `seen` returns what to tell about an exchange that proves it, or None for any other exchange."""

    part: str
    title: str
    expected: str
    seen: Callable[[Exchange], str | None]


class Trace:
    """Takes exchanges as they happen and ticks the steps in their order."""

    def __init__(self, steps: Sequence[Step], out: TextIO) -> None:
        """Print to `out`, in its encoding."""
        self._steps = tuple(steps)
        self._done = 0
        self._out = out
        self._last: Exchange | None = None
        utf8 = (out.encoding or "").lower().replace("-", "") == "utf8"
        self._good, self._bad = ("\N{CHECK MARK}", "\N{BALLOT X}") if utf8 else ("ok", "!!")

    @property
    def complete(self) -> bool:
        """Whether every step was seen."""
        return self._done == len(self._steps)

    async def observe(self, response: httpx2.Response) -> None:
        """Take an answer as httpx2's event hook gives it; streams are left unread."""
        if "text/event-stream" in response.headers.get("content-type", ""):
            return
        await response.aread()
        request = response.request
        await request.aread()
        self.add(
            Exchange(
                method=request.method,
                url=str(request.url),
                request=request.content,
                status=response.status_code,
                headers=response.headers,
                body=response.content,
            )
        )

    def add(self, exchange: Exchange) -> None:
        """Tick the next step if this exchange proves it."""
        self._last = exchange
        if self.complete:
            return
        detail = self._steps[self._done].seen(exchange)
        if detail is not None:
            self._tell(self._good, detail)
            self._done += 1

    def explain_failure(self, reason: str) -> None:
        """Print the step that did not come, what it should have been, and what was seen last."""
        if not self.complete:
            self._tell(self._bad, "did not happen")
            self._print(f"       expected: {self._steps[self._done].expected}")
        if self._last is not None:
            body = self._last.body[:300].decode("utf-8", "replace") if self._last.json() else ""
            address = self._last.url.partition("?")[0]
            self._print(f"       last answer: {self._last.method} {address} -> {self._last.status} {body}".rstrip())
        self._print(f"       {reason}")

    def _tell(self, mark: str, detail: str) -> None:
        step = self._steps[self._done]
        if not self._done or self._steps[self._done - 1].part != step.part:
            self._print(f"\n{step.part}")
        self._print(f" {mark} {self._done + 1:>2}  {step.title:<{TITLE}} {detail}"[:WIDTH])

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
