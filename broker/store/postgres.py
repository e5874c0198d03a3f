"""PostgreSQL, for more than one process: every change is one statement, so one round trip, in a transaction of its own.

Correct under READ COMMITTED: what is decided is decided by the row that the statement locks, never by what it read before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from psycopg import errors
from psycopg.pq import ExecStatus

from broker.model import Events
from broker.store.base import EventSink, StoreUnavailable
from broker.store.database import Change, Outcome, Query, Row, Sweep, Values
from broker.store.postgres_connection import parameters
from broker.store.postgres_pool import ANSWER, Pool
from broker.store.rows import events_text
from broker.store.schema import EMPTY, VERSION, require

CHECK = b"select 1"
NOW = b"select extract(epoch from clock_timestamp())::float8"
REFERENCE = r"(select \2 from \1)"  # a value that an earlier step returned
INSERT_EVENTS = """insert into audit_event (at, name, request_id, subject, client_id, resource, grant_id, fields)
                   select at, name, request_id, subject, client_id, resource, grant_id, fields
                   from json_to_recordset(:events) as e(at bigint, name text, request_id text, subject text,
                     client_id text, resource text, grant_id text, fields text)"""
# Numbers are given before the commit. What follows a gap that is young enough to be a transaction on its way is held back, so that
# whoever follows the trail never skips the event that comes late.
SETTLED = """and sequence < coalesce((
               select min(r.sequence) from (
                 select sequence, at, lag(sequence) over (order by sequence) as before from audit_event
                 where sequence > (select max(sequence) from audit_event) - 1000) r
               where r.sequence > r.before + 1 and r.at > :young), 9223372036854775807)"""

_PARAMETER = re.compile(r":(\w+)")


class PostgresDatabase:
    """A PostgreSQL database, made and migrated beforehand."""

    def __init__(self, conninfo: str, *, sink: EventSink) -> None:
        """Connect to nothing yet. Raises StoreMisconfigured when the connection string is malformed."""
        self._sink = sink
        self._pool = Pool(parameters(conninfo))
        self._changes: dict[tuple[Change, bool], bytes] = {}
        self._others: dict[Query | Sweep, bytes] = {}

    async def open(self) -> None:
        """Connect and refuse a schema that is behind (SchemaOutdated)."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._pool.close)
            require(await self._schema_version())
            undo.pop_all()

    async def close(self) -> None:
        """Finish what was accepted, then disconnect."""
        await self._pool.close()

    async def check(self) -> None:
        """Ask for one row, within a second."""
        await self._execute(CHECK, {}, seconds=1)

    async def clock_offset(self) -> float:
        """Return the difference of the clocks in the middle of a round trip."""
        before = time.time()
        found, _ = await self._execute(NOW, {})
        return float(found[0][0]) - (before + time.time()) / 2

    async def rows(self, query: Query, values: Values) -> list[Row]:
        """Read every row."""
        found, _ = await self._execute(self._translated(query), values)
        return found

    async def change(self, change: Change, values: Values, events: Events) -> Outcome:
        """Run the chain as one statement."""
        audited = bool(events)
        plan = self._changes.get((change, audited))
        if plan is None:
            plan = self._changes[change, audited] = in_one_statement(change, audited=audited)
        if audited:
            values = {**values, "events": events_text(events)}
        found, _ = await self._execute(plan, values)
        passed, *row = found[0]
        if passed < len(change.decisions):
            return Outcome(passed, None)
        if audited:
            self._sink(events)
        return Outcome(passed, tuple(row))

    async def sweep(self, sweep: Sweep, values: Values) -> int:
        """Run it; rows that another replica sweeps are left to it."""
        _, touched = await self._execute(self._translated(sweep), values)
        return touched

    async def _schema_version(self) -> str:
        try:
            found, _ = await self._execute(VERSION.encode(), {})
        except errors.UndefinedTable:
            return EMPTY
        return str(found[0][0]) if found else EMPTY

    def _translated(self, statement: Query | Sweep) -> bytes:
        sql = self._others.get(statement)
        if sql is None:
            sql = self._others[statement] = translate(statement.sql)
        return sql

    async def _execute(
        self, sql: bytes, values: Mapping[str, Any], *, seconds: float = ANSWER, again: bool = True
    ) -> tuple[list[Row], int]:
        async with self._pool.connection(seconds=seconds) as connection:
            try:
                cursor = await connection.execute(sql, values)
                return (await cursor.fetchall() if _has_rows(cursor) else []), cursor.rowcount
            except (errors.DeadlockDetected, errors.SerializationFailure) as error:
                if not again:
                    raise StoreUnavailable(f"the database is too busy: {error}") from error
            except errors.ReadOnlySqlTransaction as error:
                await connection.close()  # no longer the primary: the next call looks for it again
                raise StoreUnavailable(f"the database is read-only: {error}") from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise StoreUnavailable(f"the database does not answer: {error}") from error
        # The victim of a deadlock has changed nothing and may try again.
        return await self._execute(sql, values, seconds=seconds, again=False)


def _has_rows(cursor: psycopg.AsyncCursor[Row]) -> bool:
    return cursor.pgresult is not None and cursor.pgresult.status == ExecStatus.TUPLES_OK  # `description` is expensive


def translate(sql: str) -> bytes:
    """Return a statement as psycopg takes it."""
    filled = sql.replace("/*skip locked*/", "for update skip locked").replace("/*settled*/", SETTLED)
    return _PARAMETER.sub(r"%(\1)s", filled).encode()


def in_one_statement(change: Change, *, audited: bool) -> bytes:
    """Return a chain as one statement whose row is: how many steps decided for it, and what the last of them returned."""
    parts = [_part(step.name, step.with_references(REFERENCE)) for step in change.steps]
    if not change.decisions:
        parts += [_part("logged", INSERT_EVENTS)] if audited else []
        return translate(f"with {', '.join(parts)} select 0")
    last = change.decisions[-1].name
    if audited:
        parts.append(_part("logged", f"{INSERT_EVENTS} where exists (select 1 from {last})"))  # noqa: S608 - a step's name
    passed = " + ".join(f"(select count(*) from {step.name})" for step in change.decisions)  # noqa: S608 - as above
    outcome = f"select p.passed, d.* from (select {passed} as passed) p left join {last} d on true"  # noqa: S608 - as above
    return translate(f"with {', '.join(parts)} {outcome}")


def _part(name: str, sql: str) -> str:
    return f"{name} as ({sql})"
