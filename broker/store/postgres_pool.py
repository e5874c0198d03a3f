"""Connections to PostgreSQL: a few, made when they are needed, and no caller waits longer than it may.

Smaller than psycopg's own pool because it promises something else: while the database is gone a call fails at once, and the first call
after its return succeeds. (A pool that reconnects in the background backs off for longer than most outages last, and hands
out what died while idle.) An idle connection that the server closed shows by its socket, without a round trip.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from broker.store.base import StoreUnavailable
from broker.store.postgres_connection import Parameters

SIZE = 16  # connections
CONNECT = 2.5  # seconds until one must be there: waiting for a free one, name resolution and connecting together
ANSWER = 4.5  # seconds until a call must have ended

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Pool:
    """At most SIZE connections; the one used last is used next."""

    def __init__(self, said: Parameters, *, size: int = SIZE) -> None:
        """Connect to nothing yet."""
        self._said = said
        self._size = size
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self, *, seconds: float = ANSWER) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode for at most `seconds`; then it hangs up, whatever the server does.

        Raises StoreUnavailable when there is none in time.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        connected_by = min(deadline, loop.time() + CONNECT)
        await self._wait(connected_by)
        try:
            connection = await self._take(connected_by)
            hang_up = loop.call_at(deadline, _hang_up, connection)
            try:
                yield connection
            finally:
                hang_up.cancel()
                await self._give_back(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Wait for the calls that run, then disconnect."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._size):
            await self._free.acquire()
        while self._idle:
            await self._idle.pop().close()

    async def _wait(self, by: float) -> None:
        try:
            async with asyncio.timeout_at(by if self._free.locked() else None):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable("every connection to the database is busy") from None

    async def _take(self, by: float) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if _alive(connection):
                return connection
            await connection.close()
        try:
            async with asyncio.timeout_at(by):
                return await psycopg.AsyncConnection.connect("", autocommit=True, **self._said)
        except (psycopg.OperationalError, TimeoutError) as error:
            raise StoreUnavailable(f"the database cannot be reached: {error}") from error

    async def _give_back(self, connection: Connection) -> None:
        if self._closed or connection.info.transaction_status != TransactionStatus.IDLE:
            await connection.close()
        else:
            self._idle.append(connection)


def _alive(connection: Connection) -> bool:
    """Tell whether an idle connection's socket is silent: the server says nothing unasked but good-bye."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _hang_up(connection: Connection) -> None:
    """End a call by shutting its socket down: the driver sees the end of the connection and raises, without asking the server."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
