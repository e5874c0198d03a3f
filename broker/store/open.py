"""Opens the store that a URL names."""

from __future__ import annotations

from broker.clock import Clock
from broker.store.base import EventSink, Store
from broker.store.driver import postgres_database
from broker.store.sql_store import SqlStore
from broker.store.sqlite import SqliteDatabase
from broker.store.url import PostgresUrl, parse


def open_store(url: str, *, sink: EventSink, clock: Clock, serving: bool) -> Store:
    """Return the store of a URL; `await store.open()` connects.

    `sink` gets the events of every change once they are stored. `serving` is for the process that answers requests: on SQLite there
    is one; commands work beside it. Raises StoreMisconfigured.
    """
    place = parse(url)
    if isinstance(place, PostgresUrl):
        return SqlStore(postgres_database(place.conninfo, sink=sink), clock)
    return SqlStore(SqliteDatabase(place.path, sink=sink, serving=serving), clock)
