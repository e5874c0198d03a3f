"""HTTP at the edge: bodies and queries parsed without surprises, cookies, JSON answers. Rules C8, E15, G5, G6, G9.

Parsing refuses rather than guesses: repeated parameters, too many fields, other content types and undecodable bytes are errors.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from broker.oauth import InvalidRequest, InvalidToken, OAuthError, Reason

MAX_BODY = 64 * 1024  # bytes
MAX_FIELDS = 100
MAX_DEPTH = 64  # of JSON (rule G6)
BODY_TIME = 5  # seconds for a whole body to arrive (rule G14)
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_JSON_HEADERS = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"), (b"content-type", b"application/json"))
_encode_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Params:
    """The parameters of a query or form. Every name occurs once, except the names in `repeatable`."""

    __slots__ = ("_lists",)

    def __init__(self, pairs: list[tuple[str, str]], *, repeatable: frozenset[str] = frozenset({"resource"})) -> None:
        """Group the pairs; raises InvalidRequest when a name repeats (RFC 6749 section 3.1; rule C8)."""
        self._lists: dict[str, list[str]] = {}
        for name, value in pairs:
            values = self._lists.setdefault(name, [])
            values.append(value)
            if len(values) > 1 and name not in repeatable:
                raise InvalidRequest(Reason.PARAMETER_REPEATED)

    def get(self, name: str) -> str | None:
        """Return a parameter; None when it is absent or empty (RFC 6749 section 3.1: empty is omitted)."""
        values = self._lists.get(name)
        return values[0] or None if values else None

    def all(self, name: str) -> list[str]:
        """Return every non-empty value of a repeatable parameter."""
        return [v for v in self._lists.get(name, ()) if v]

    def require(self, name: str) -> str:
        """Return a parameter; raises InvalidRequest when it is missing."""
        value = self.get(name)
        if value is None:
            raise InvalidRequest(Reason.PARAMETER_MISSING, name)
        return value

    def as_mapping(self) -> dict[str, str]:
        """Return name -> first value."""
        return {k: v[0] for k, v in self._lists.items() if v[0]}


def parse_urlencoded(raw: bytes) -> Params:
    """Parse a query string or an application/x-www-form-urlencoded body; raises InvalidRequest."""
    try:
        pairs = _pairs(raw.decode("ascii"))
    except ValueError:
        raise InvalidRequest(Reason.PARAMETER_MALFORMED) from None
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidRequest(Reason.PARAMETER_MALFORMED)
    return Params(pairs)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return the pairs as `urllib.parse.parse_qsl` reads them, blank values kept; it spends most of its time on what is not escaped."""
    if text.count("&") >= MAX_FIELDS:
        raise ValueError("too many fields")
    if "%" not in text and "+" not in text:
        return [(name, value) for name, _, value in [pair.partition("=") for pair in text.split("&") if pair]]
    return [
        (_unescaped(name), _unescaped(value)) for name, _, value in [p.partition("=") for p in text.split("&") if p]
    ]


def _unescaped(text: str) -> str:
    if "%" in text or "+" in text:
        return unquote(text.replace("+", " "), encoding="utf-8", errors="strict")
    return text


def header_values(request: Request, name: bytes) -> list[bytes]:
    """Return every value of a header, `name` in lower case, as it came."""
    return [value for key, value in request.scope["headers"] if key == name]


def caller_address(request: Request) -> str:
    """Return the caller's address, as the edge has found it (rules G2, G3)."""
    return str(request.scope["state"]["source"])


async def read_body(request: Request, *, limit: int = MAX_BODY, within: float = BODY_TIME) -> bytes:
    """Return the body, refusing more than `limit` bytes before they are buffered, and slow ones (rules G5, G14)."""
    for declared in header_values(request, b"content-length"):
        if not declared.isdigit() or int(declared[:12]) > limit:
            raise InvalidRequest(Reason.BODY_TOO_LARGE)
    deadline = _Deadline(within)
    body, more = b"", True
    try:
        while more:
            message = await request.receive()
            if message["type"] != "http.request":
                raise InvalidRequest(Reason.BODY_MALFORMED, "did not arrive")
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > limit:
                raise InvalidRequest(Reason.BODY_TOO_LARGE)
    except asyncio.CancelledError:
        if deadline.passed():
            raise InvalidRequest(Reason.BODY_MALFORMED, "did not arrive") from None
        raise
    finally:
        deadline.lift()
    return body


class _Deadline:
    """Cancels the running task after a time, as `asyncio.timeout` does at four times the price: every request with a body has one."""

    __slots__ = ("_expired", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._task = asyncio.current_task()
        self._expired = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self._task is not None:
            self._expired = True
            self._task.cancel()

    def passed(self) -> bool:
        """Tell, of a cancellation, whether it was this one's and nobody else's; it is taken back then."""
        return self._expired and self._task is not None and self._task.uncancel() == 0

    def lift(self) -> None:
        self._timer.cancel()


def _media_type(request: Request) -> bytes:
    found = header_values(request, b"content-type")
    return found[0].partition(b";")[0].strip().lower() if found else b""


async def read_form(request: Request, *, limit: int = MAX_BODY) -> Params:
    """Return a urlencoded form from the body; anything else, multipart included, is refused (rules E15, G6)."""
    if _media_type(request) != b"application/x-www-form-urlencoded":
        raise InvalidRequest(Reason.BODY_MALFORMED)
    return parse_urlencoded(await read_body(request, limit=limit))


async def read_json_object(request: Request, *, limit: int = MAX_BODY) -> dict[str, Any]:
    """Return a JSON object from the body; raises InvalidRequest."""
    if _media_type(request) != b"application/json":
        raise InvalidRequest(Reason.BODY_MALFORMED)
    return parse_json_object(await read_body(request, limit=limit))


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """Return a JSON object; bounded depth (64) and number length, no repeated member (rule G6); raises InvalidRequest."""
    try:
        text = raw.decode("utf-8")
        # Whoever opens no more than so many brackets nests no deeper, which is quicker told.
        if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
            raise InvalidRequest(Reason.BODY_MALFORMED)
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise InvalidRequest(Reason.BODY_MALFORMED) from None
    if not isinstance(value, dict):
        raise InvalidRequest(Reason.BODY_MALFORMED)
    return value


def _depth(text: str) -> int:
    depth = deepest = 0
    for c in text:
        if c in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(name)


class Document:
    """An ASGI application that answers every request with ready bytes of JSON; `body` returns the present ones."""

    def __init__(self, body: Callable[[], bytes], *, cache_control: str) -> None:
        """Prepare the headers."""
        self.body = body
        self.headers = (
            (b"content-type", b"application/json"),
            (b"cache-control", cache_control.encode("ascii")),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer."""
        body = self.body()
        headers = [*self.headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def json_response(body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer that no cache keeps."""
    return _Json(_encode_json(body).encode(), status, headers)


class _Json(Response):
    """Encodes its fixed headers once: every token answer has the same."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers of a JSON answer, and those that the caller adds."""
        self.raw_headers = [*_JSON_HEADERS, (b"content-length", b"%d" % len(self.body))]
        if headers:
            self.raw_headers += [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]


def error_response(error: OAuthError, *, basic: bool = False) -> Response:
    """Return the wire form of a refusal (RFC 6749 section 5.2). `basic`: the caller tried HTTP Basic and gets its challenge."""
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, InvalidToken):  # RFC 6750 section 3.1: who sent none is told of no error in it
        fault = 'realm="mcp-broker"' if error.reason is Reason.CREDENTIALS_MISSING else 'error="invalid_token"'
        headers["WWW-Authenticate"] = f"Bearer {fault}"
    elif error.status == 401 and basic:  # noqa: PLR2004 - RFC 6749 section 5.2
        headers["WWW-Authenticate"] = 'Basic realm="mcp-broker"'
    return json_response(
        {"error": error.code, "error_description": error.description}, status=error.status, headers=headers
    )


def tried_basic(request: Request) -> bool:
    """Whether the request carried HTTP Basic credentials."""
    return any(value[:6].lower() == b"basic " for value in header_values(request, b"authorization")[:1])


def cookies(request: Request) -> dict[str, str]:
    """Return cookies by exact name; one that occurs twice, or does not parse, is absent (rule G9)."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, value in request.scope["headers"]:
        if name != b"cookie":
            continue
        for pair in value.split(b";"):
            key, equals, content = pair.strip(b" \t").partition(b"=")
            if not equals or not key.isascii() or not content.isascii():
                continue
            text = key.strip(b" \t").decode("ascii")
            if text in found:
                twice.add(text)
            found[text] = content.strip(b" \t").decode("ascii")
    return {k: v for k, v in found.items() if k not in twice}
