"""The one writer of a SQLite file: commits that wait are grouped, so that one `fsync` serves many (architecture, section 5).

The event loop runs the statements of a group, a unit that fails is undone alone, and a thread does what waits: the commit with its
`fsync`, another process's write lock, and sweeps. Handing single statements to the thread would cost two changes of
the interpreter's lock each; this way a group costs two. Futures resolve after the commit, never before.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from broker.model import Events
from broker.store.base import EventSink, StoreUnavailable
from broker.store.sqlite_file import unavailable

GROUP = 64  # units in a commit: other processes get the write lock in between
PATIENCE = 3.0  # seconds that units wait for another process's write lock
POLL = 0.0005  # seconds between attempts to get it
DEFECTS = (sqlite3.Error, OverflowError, TypeError, ValueError)  # what a statement or one of its values can raise

Connection = sqlite3.Connection
Work = Callable[[Connection], tuple[Any, Events]]
Job = Callable[[], Callable[[], None]]  # runs in the thread; what it returns runs on the loop


@dataclass(slots=True)
class Unit:
    """Work that succeeds or fails as one: its statements, and the events that go to the sink once they are committed."""

    work: Work
    cold: bool
    future: asyncio.Future[Any]
    events: Events = ()
    result: Any = None
    fault: Exception | None = None


class Writer:
    """Runs units in the order in which they came, in groups. Everything but the jobs runs on the event loop."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        sink: EventSink,
        *,
        committed: Callable[[int], object] = int,
        patience: float = PATIENCE,
    ) -> None:
        """Connect, and start the thread; made on the running loop. After a fault of the disk the next group connects anew.

        `committed` hears how many rows each commit wrote; `patience`: seconds to wait for another process's write lock.
        """
        self._connect = connect
        self._sink = sink
        self._committed = committed
        self._patience = patience
        self._connection: Connection | None = connect()
        self._total = 0  # rows that this connection wrote
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Unit] = deque()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run_jobs, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work, *, cold: bool = False) -> asyncio.Future[Any]:
        """Queue a unit; the future has its result after the commit. A `cold` unit may be slow: it runs alone, in the thread.

        Raises StoreUnavailable, here or in the future.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        unit = Unit(work, cold, self._loop.create_future())
        self._waiting.append(unit)
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._next)
        return unit.future

    async def close(self) -> None:
        """Finish what was accepted, then end the thread and disconnect."""
        self._closed = True
        await self._idle.wait()
        self._jobs.put(None)
        self._thread.join()
        self._disconnect()

    # On the loop.
    def _next(self) -> None:
        if not self._waiting:
            self._idle.set()
            return
        group = self._take()
        if group[0].cold:
            self._jobs.put(partial(self._run_cold, group))
            return
        try:
            connection = self._begin()
        except sqlite3.Error as error:
            self._lost(group, error)
            return
        if connection is None:
            self._jobs.put(partial(self._wait_for_turn, group))
        else:
            self._run(connection, group)

    def _take(self) -> list[Unit]:
        group = [self._waiting.popleft()]
        while not group[0].cold and self._waiting and not self._waiting[0].cold and len(group) < GROUP:
            group.append(self._waiting.popleft())
        return group

    def _run(self, connection: Connection, group: list[Unit]) -> None:
        try:
            _run_units(connection, group)
        except sqlite3.Error as error:
            self._lost(group, error)
        else:
            self._jobs.put(partial(self._commit, connection, group))

    def _done(self, group: Sequence[Unit]) -> None:
        self._loop.call_soon(self._next)  # first of all: whatever a sink raises, the next group runs
        for unit in group:
            if unit.future.done():
                continue  # its caller went away; the change is made nevertheless
            if unit.fault is None:
                unit.future.set_result(unit.result)
            else:
                unit.future.set_exception(unit.fault)
        events = [event for unit in group if unit.fault is None for event in unit.events]
        if events:
            self._sink(events)

    def _stored(self, group: Sequence[Unit], total: int) -> None:
        self._committed(total - self._total)
        self._total = total
        self._done(group)

    def _lost(self, group: Sequence[Unit], error: sqlite3.Error) -> None:
        self._disconnect()
        for unit in group:
            unit.fault = unit.fault or StoreUnavailable(f"the database does not answer: {error}")
        self._done(group)

    def _starved(self, group: list[Unit], error: sqlite3.Error) -> None:
        group.extend(self._waiting)  # they would wait as long again
        self._waiting.clear()
        self._lost(group, error)

    # In the thread, while the loop leaves the connection alone.
    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            then = job()
            with suppress(RuntimeError):  # the loop ended without close(): nobody waits for an answer
                self._loop.call_soon_threadsafe(then)

    def _wait_for_turn(self, group: list[Unit]) -> Callable[[], None]:
        try:
            connection = self._begin_patiently()
        except sqlite3.Error as error:
            return partial(self._starved, group, error)
        return partial(self._run, connection, group)

    def _commit(self, connection: Connection, group: list[Unit]) -> Callable[[], None]:
        try:
            connection.execute("commit")
        except sqlite3.Error as error:
            return partial(self._lost, group, error)
        return partial(self._stored, group, connection.total_changes)

    def _run_cold(self, group: list[Unit]) -> Callable[[], None]:
        try:
            connection = self._begin_patiently()
        except sqlite3.Error as error:
            return partial(self._starved, group, error)
        try:
            _run_units(connection, group)
        except sqlite3.Error as error:
            return partial(self._lost, group, error)
        return self._commit(connection, group)

    def _begin_patiently(self) -> Connection:
        give_up = time.monotonic() + self._patience
        while (connection := self._begin()) is None:
            if time.monotonic() > give_up:
                raise sqlite3.OperationalError("another process keeps writing to it")
            time.sleep(POLL)
        return connection

    # On either side, whichever has the group.
    def _begin(self) -> Connection | None:
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.execute("begin immediate")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return None
            raise
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
            self._total = 0


def _run_units(connection: Connection, group: Sequence[Unit]) -> None:
    """Run each unit; one that fails by its own fault is undone alone.

    Defects are rare and savepoints are not free, so the group runs in one first, and from its beginning with one for each unit when
    a unit fails. Raises sqlite3.Error for a fault of the file or the disk: the transaction is not to be trusted then, nor the
    connection, which may have been opened while the file could only be read.
    """
    connection.execute("savepoint units")
    try:
        for unit in group:
            unit.result, unit.events = unit.work(connection)
    except DEFECTS as error:
        if _is_outage(error):
            raise
        connection.execute("rollback to units")
        _run_apart(connection, group)
    connection.execute("release units")


def _run_apart(connection: Connection, group: Sequence[Unit]) -> None:
    for unit in group:
        connection.execute("savepoint unit")
        try:
            unit.result, unit.events = unit.work(connection)
        except DEFECTS as error:
            if _is_outage(error):
                raise
            unit.fault = error
            connection.execute("rollback to unit")
        connection.execute("release unit")


def _is_outage(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and isinstance(unavailable(error), StoreUnavailable)
