"""The PostgreSQL driver is an extra: imported when a PostgreSQL URL asks for it, with a sentence where it is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from broker.store.base import EventSink, StoreMisconfigured
from broker.store.database import Database

NEEDED = "PostgreSQL needs its driver: pip install 'mcp-federation-broker[postgres]', or in a checkout pip install '.[postgres]'"


def postgres_database(conninfo: str, *, sink: EventSink) -> Database:
    """Return the database of a connection string. Raises StoreMisconfigured when the driver is missing or the string is malformed."""
    try:
        from broker.store.postgres import PostgresDatabase  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StoreMisconfigured(NEEDED) from error
    return PostgresDatabase(conninfo, sink=sink)


def postgres_connect(conninfo: str) -> Callable[[], Any]:
    """Return how to open a plain connection, for migrations. Raises StoreMisconfigured as above."""
    try:
        from broker.store.postgres_connection import connector  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise StoreMisconfigured(NEEDED) from error
    return connector(conninfo)
