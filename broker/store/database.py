"""What SQLite and PostgreSQL have in common: SQL as values, written once, and what a database must be able to do with them.

Parameters are `:name`. A `Change` is a chain of named steps, decided in order: a step with `returning` decides, and when it
returns no row the chain ends there; a step without one follows from the decisions before it. `:step.column` is a value that
an earlier step returned. SQLite runs the steps one by one in a savepoint; PostgreSQL gets the whole chain, with the insertion of
the audit events, as ONE statement (data-modifying `with`): one round trip, and its own transaction. A later step must therefore
name an earlier one in its conditions; the values it does not name are of the moment when the statement began.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from broker.model import Events

Value = str | int | bytes | None
Values = Mapping[str, Value]
Row = tuple[Any, ...]

_REFERENCE = re.compile(r":(\w+)\.(\w+)")
_RETURNING = re.compile(r"\breturning\s+([\w\s,]+)$")


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A select. A `cold` one may take long and must not hold up the event loop."""

    sql: str
    cold: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """A delete or update of at most `:batch` rows, for the background: it may take long."""

    sql: str


class Maybe(str):
    """The SQL of a step that may return no row without ending the chain: its values are null then."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One statement of a change."""

    name: str
    sql: str
    returns: tuple[str, ...]
    optional: bool

    @property
    def decides(self) -> bool:
        """Whether the chain ends here when no row comes back."""
        return bool(self.returns) and not self.optional

    def with_references(self, spelling: str) -> str:
        """Return the SQL with each `:step.column` replaced: `spelling` is a regular expression's replacement."""
        return _REFERENCE.sub(spelling, self.sql)


class Change:
    """A chain of steps, named in the order in which they run."""

    def __init__(self, **steps: str) -> None:
        """Take each step's SQL under its name."""
        self.steps = tuple(
            Step(name, sql.strip(), _returned(sql.strip()), isinstance(sql, Maybe)) for name, sql in steps.items()
        )
        self.decisions = tuple(step for step in self.steps if step.decides)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change: how many decisions went its way, and the last one's row where all did."""

    passed: int
    row: Row | None


class Database(Protocol):
    """A database that runs them. Every method raises StoreUnavailable when the database cannot answer."""

    async def open(self) -> None:
        """Connect and check the schema. Raises StoreLocked, SchemaOutdated, StoreMisconfigured."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then disconnect."""
        ...

    async def check(self) -> None:
        """Ask a trivial question; answered or refused within a second."""
        ...

    async def clock_offset(self) -> float:
        """Return the database's time minus this machine's, in seconds."""
        ...

    async def rows(self, query: Query, values: Values) -> list[Row]:
        """Return every row of a query, as of the last commit."""
        ...

    async def change(self, change: Change, values: Values, events: Events) -> Outcome:
        """Run a change in one transaction; the events are stored in it when every decision passed, and handed on after it."""
        ...

    async def sweep(self, sweep: Sweep, values: Values) -> int:
        """Run a sweep in a transaction of its own and return how many rows it touched."""
        ...


def _returned(sql: str) -> tuple[str, ...]:
    found = _RETURNING.search(sql)
    return tuple(name.strip() for name in found[1].split(",")) if found else ()
