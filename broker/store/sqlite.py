"""SQLite, for one serving process: WAL, `synchronous = full`, one writer that groups commits, readers apart.

Hot queries run on the event loop: beside a write-ahead log a reader waits for nobody, and handing a lookup to a thread costs more than
the lookup. Cold ones have a thread and a connection of their own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from broker.model import Events
from broker.store import rows
from broker.store.base import EventSink, StoreUnavailable
from broker.store.database import Change, Outcome, Query, Row, Sweep, Values
from broker.store.migrate_apart import migrate_apart
from broker.store.schema import outdated
from broker.store.sqlite_checkpoint import Checkpoints
from broker.store.sqlite_file import (
    ServingLock,
    connect_reader,
    connect_writer,
    make_private,
    require_one_name,
    require_sqlite,
    schema_version,
    unavailable,
)
from broker.store.sqlite_writer import Writer

CHECK = Query("select name from counter limit 1")
INSERT_EVENT = """insert into audit_event (at, name, request_id, subject, client_id, resource, grant_id, fields)
                  values (?, ?, ?, ?, ?, ?, ?, ?)"""


class _Step(NamedTuple):
    sql: str
    binds: tuple[str, ...]  # the parameters that later steps know the returned values by
    decides: bool


class SqliteDatabase:
    """A SQLite file. Only one process may serve on it; commands work beside it."""

    def __init__(self, path: Path, *, sink: EventSink, serving: bool) -> None:
        """Open nothing yet."""
        self._path = path
        self._sink = sink
        self._lock = ServingLock(path) if serving else None
        self._hot = _Reader(path)
        self._cold = _Reader(path)
        self._checkpoints = Checkpoints(path)
        self._writer: Writer | None = None
        self._plans: dict[Change, Sequence[_Step]] = {}

    async def open(self) -> None:
        """Lock the file where this process serves, migrate it where it is behind, connect."""
        require_sqlite()
        require_one_name(self._path)
        with ExitStack() as undo:
            if self._lock is not None:
                self._lock.take()
                undo.callback(self._lock.release)
            try:
                await asyncio.to_thread(_prepare, self._path, serving=self._lock is not None)
                connect = partial(connect_writer, self._path)
                self._writer = Writer(connect, self._sink, committed=self._checkpoints.count)
            except sqlite3.Error as error:
                raise unavailable(error) from error
            undo.pop_all()

    async def close(self) -> None:
        """Finish what was accepted, then disconnect."""
        # Readers first: whoever disconnects last writes the log back into the file, which a reader cannot.
        self._hot.close()
        self._cold.close()
        if self._writer is not None:
            await self._writer.close()
            await self._checkpoints.stop()
            self._writer = None
        self._hot.close()  # opened anew by who read meanwhile
        self._cold.close()
        if self._lock is not None:
            self._lock.release()

    async def check(self) -> None:
        """Read one row."""
        await self.rows(CHECK, {})

    async def clock_offset(self) -> float:
        """Return 0: the file is on this machine."""
        return 0.0

    async def rows(self, query: Query, values: Values) -> list[Row]:
        """Read, in place or in a thread."""
        if self._writer is None:
            raise StoreUnavailable("the store is not open")
        if query.cold:
            return await asyncio.to_thread(self._cold.rows, query.sql, values)
        return self._hot.rows(query.sql, values)

    async def change(self, change: Change, values: Values, events: Events) -> Outcome:
        """Have the writer run the steps one by one, in one savepoint."""
        plan = self._plans.get(change)
        if plan is None:
            plan = self._plans[change] = _plan(change)
        outcome: Outcome = await self._open_writer().submit(partial(_apply, plan, values, events))
        return outcome

    async def sweep(self, sweep: Sweep, values: Values) -> int:
        """Have the writer run it in its thread."""
        touched: int = await self._open_writer().submit(partial(_sweep, sweep.sql, values), cold=True)
        return touched

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise StoreUnavailable("the store is not open")
        return self._writer


class _Reader:
    """A read-only connection, opened at first use and anew after a fault."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._lock = Lock()

    def rows(self, sql: str, values: Values) -> list[Row]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = connect_reader(self._path)
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                self._disconnect()
                raise unavailable(error) from error

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _prepare(path: Path, *, serving: bool) -> None:
    make_private(path)
    with closing(connect_writer(path)) as connection:
        version = schema_version(connection)
    if not outdated(version):
        return
    if serving:
        migrate_apart(f"sqlite:///{path}")
    else:
        from broker.store.migrate import migrate  # noqa: PLC0415 - Alembic is imported only to migrate

        migrate(f"sqlite:///{path}")


def _plan(change: Change) -> Sequence[_Step]:
    return tuple(
        _Step(step.with_references(r":\1__\2"), tuple(f"{step.name}__{c}" for c in step.returns), step.decides)
        for step in change.steps
    )


def _apply(
    plan: Sequence[_Step], values: Values, events: Events, connection: sqlite3.Connection
) -> tuple[Outcome, Events]:
    bound = dict(values)
    passed, last = 0, None
    for step in plan:
        found = connection.execute(step.sql, bound).fetchall()
        row = found[0] if found else None
        if step.decides:
            if row is None:
                return Outcome(passed, None), ()
            passed, last = passed + 1, row
        bound.update(zip(step.binds, row or (None,) * len(step.binds), strict=True))
    for event in events:
        connection.execute(INSERT_EVENT, rows.event_values(event))
    return Outcome(passed, last), events


def _sweep(sql: str, values: Values, connection: sqlite3.Connection) -> tuple[int, Events]:
    return connection.execute(sql, values).rowcount, ()
