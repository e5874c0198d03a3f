"""The limit: what uvicorn (uvloop, httptools) can do at most when nothing is checked, as `python limit_server.py PORT DATABASE`.

GET answers bytes. POST /es256, /rs256 add one signature; /durable one durable SQLite update; /refresh both, the commits grouped by
a writer thread; /refresh-in-place both, one commit for each request on the loop's own thread. Nothing is parsed or looked up.
"""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any

import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

ROWS = 10_000
CLAIMS = b"x" * 480  # about what an access token's header and claims are
DOCUMENT = b'{"' + b"x" * 1400 + b'":1}'  # about what a discovery document is
HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
ROTATE = "update chain set generation = generation + 1, rotated_at = :now where handle = :handle returning generation"


def connect(path: str) -> sqlite3.Connection:
    """Open the database as the broker does: a write-ahead log, and every commit on the disk."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    return connection


def fill(path: str) -> None:
    """Make the rows that are updated."""
    connection = connect(path)
    connection.execute(
        "create table chain (handle integer primary key, generation integer, rotated_at integer, other text)"
    )
    connection.execute("begin")
    connection.executemany("insert into chain values (?, 0, 0, ?)", ((n, "x" * 600) for n in range(ROWS)))
    connection.execute("commit")
    connection.close()


class Writer:
    """A thread that commits everything that waits at once."""

    def __init__(self, path: str) -> None:
        """Start it."""
        self._path = path
        self._queue: SimpleQueue[tuple[int, asyncio.Future[None]]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def rotate(self, handle: int) -> asyncio.Future[None]:
        """Return a future that is done once the update is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((handle, future))
        return future

    def _run(self) -> None:
        connection = connect(self._path)
        while True:
            group = [self._queue.get()]
            try:
                while len(group) < 64:
                    group.append(self._queue.get_nowait())
            except Empty:
                pass
            connection.execute("begin immediate")
            for handle, _ in group:
                connection.execute(ROTATE, {"now": 1, "handle": handle}).fetchall()
            connection.execute("commit")
            group[0][1].get_loop().call_soon_threadsafe(_resolve, [future for _, future in group])


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


class Limit:
    """The application."""

    def __init__(self, path: str) -> None:
        """Make keys, rows and connections."""
        fill(path)
        self._in_place = connect(path)
        self._writer = Writer(path)
        self._numbers = count()
        self._ec = ec.generate_private_key(ec.SECP256R1())
        self._rsa = rsa.generate_private_key(65537, 2048)
        self._work: dict[str, Callable[[], Awaitable[bytes]]] = {
            "/post": self._nothing,
            "/es256": self._es256,
            "/rs256": self._rs256,
            "/durable": self._durable,
            "/refresh": self._refresh,
            "/refresh-in-place": self._refresh_in_place,
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["method"] == "GET":
            await _answer(send, DOCUMENT)
            return
        while (await receive()).get("more_body"):
            pass
        await _answer(send, await self._work[scope["path"]]())

    async def _nothing(self) -> bytes:
        return b'{"done":true}'

    async def _es256(self) -> bytes:
        return _token(self._ec.sign(CLAIMS, ec.ECDSA(hashes.SHA256())))

    async def _rs256(self) -> bytes:
        return _token(self._rsa.sign(CLAIMS, padding.PKCS1v15(), hashes.SHA256()))

    async def _durable(self) -> bytes:
        await self._writer.rotate(next(self._numbers) % ROWS)
        return b'{"done":true}'

    async def _refresh(self) -> bytes:
        await self._writer.rotate(next(self._numbers) % ROWS)
        return await self._es256()

    async def _refresh_in_place(self) -> bytes:
        self._in_place.execute(ROTATE, {"now": 1, "handle": next(self._numbers) % ROWS}).fetchall()
        return await self._es256()


def _token(signature: bytes) -> bytes:
    text = base64.urlsafe_b64encode(CLAIMS) + b"." + base64.urlsafe_b64encode(signature)
    return b'{"access_token":"' + text + b'","token_type":"Bearer"}'


async def _answer(send: Send, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    uvicorn.run(
        Limit(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
    )
