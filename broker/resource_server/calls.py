"""Which tools a request body calls (JSON-RPC `tools/call`), read once and handed on unchanged.

A body that two parsers may read differently (repeated members, names in another case, another encoding, compressed) is refused: the
application behind must not see a call that was not judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from broker.protocol import jws

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope

_OF_MESSAGE, _OF_CALL = frozenset({"method", "params"}), frozenset({"name"})


class Unreadable(Exception):
    """A body that is not judged; `status` is the answer."""

    def __init__(self, status: int) -> None:
        """Keep the status."""
        super().__init__(str(status))
        self.status = status


async def read_body(scope: Scope, receive: Receive, *, limit: int) -> bytes:
    """Return the whole body of at most `limit` bytes; raises Unreadable (413, 415)."""
    encodings = [value.strip().lower() for name, value in scope["headers"] if name == b"content-encoding"]
    if encodings not in ([], [b"identity"]):  # two headers: the application may heed the one that we do not
        raise Unreadable(415)
    headers = dict(scope["headers"])
    declared = headers.get(b"content-length", b"0")
    if not declared.isdigit() or int(declared[:12]) > limit:
        raise Unreadable(413)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Unreadable(400)  # the client is gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise Unreadable(413)
        if not message.get("more_body", False):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body once more, then whatever comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def without_body(receive: Receive) -> Receive:
    """Return a `receive` that gives an empty body, then only the end of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def bodiless() -> Message:
        if waiting:
            return waiting.pop()
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return bodiless


def tools_called(body: bytes) -> set[str]:
    """Return the names of the tools that a JSON-RPC body calls: an object or a flat list of them; raises Unreadable (400)."""
    if not body:
        return set()
    try:
        value = jws.decode_json(body)
    except jws.JwsRefused:
        raise Unreadable(400) from None
    messages = value if isinstance(value, list) else [value]
    if not all(isinstance(message, dict) for message in messages):  # some parser may find a call within
        raise Unreadable(400)
    return set(_names(messages))


def _names(messages: list[dict[str, Any]]) -> Iterator[str]:
    for message in messages:
        _refuse_other_spellings(message, _OF_MESSAGE)
        if message.get("method") != "tools/call":
            continue
        params = message.get("params")
        if isinstance(params, dict):
            _refuse_other_spellings(params, _OF_CALL)
        name = params.get("name") if isinstance(params, dict) else None
        if not isinstance(name, str):
            raise Unreadable(400)
        yield name


def _refuse_other_spellings(members: dict[str, Any], judged: frozenset[str]) -> None:
    """Some parsers (Go's, .NET's) take `Method` for `method`, also beside it, and the long s for s: a call that was not judged."""
    if any(name not in judged and name.casefold() in judged for name in members):
        raise Unreadable(400)
