"""A database whose time is measured: one observation for each read, change and sweep."""

from __future__ import annotations

from time import perf_counter

from broker.model import Events
from broker.store.base import Observer
from broker.store.database import Change, Database, Outcome, Query, Row, Sweep, Values


class ObservedDatabase:
    """Passes everything on and tells the observer the operation's word and its duration in seconds, failures included."""

    def __init__(self, database: Database, observer: Observer) -> None:
        """Wrap a database."""
        self._database = database
        self._observer = observer
        self.open = database.open
        self.close = database.close
        self.check = database.check
        self.clock_offset = database.clock_offset

    async def rows(self, query: Query, values: Values) -> list[Row]:
        """Run a query."""
        began = perf_counter()
        try:
            return await self._database.rows(query, values)
        finally:
            self._observer("read", perf_counter() - began)

    async def change(self, change: Change, values: Values, events: Events) -> Outcome:
        """Run a change, its commit included."""
        began = perf_counter()
        try:
            return await self._database.change(change, values, events)
        finally:
            self._observer("change", perf_counter() - began)

    async def sweep(self, sweep: Sweep, values: Values) -> int:
        """Run a sweep."""
        began = perf_counter()
        try:
            return await self._database.sweep(sweep, values)
        finally:
            self._observer("sweep", perf_counter() - began)
