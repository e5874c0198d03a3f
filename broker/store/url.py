"""The database URL: `sqlite:///relative/path`, `sqlite:////absolute/path`, or `postgresql://…` (`postgres://` is the same)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from broker.store.base import StoreMisconfigured

SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """A SQLite file, by the one name it has after every symbolic link: lock, key file and write-ahead log stand beside it."""

    path: Path


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A PostgreSQL database, as libpq takes it."""

    conninfo: str = field(repr=False)  # it may hold a password


def parse(url: str) -> SqliteUrl | PostgresUrl:
    """Return what a URL names. Raises StoreMisconfigured; the message never repeats the URL, which may hold a password."""
    if url.startswith(POSTGRES):
        return PostgresUrl(f"postgresql://{url.partition('://')[2]}")
    path = url.removeprefix(SQLITE)
    if path == url or not path or path.endswith("/"):
        raise StoreMisconfigured(
            "the database URL must be sqlite:///path/to/file.db or postgresql://user@host/name (BROKER_DATABASE_URL)"
        )
    if path == ":memory:" or "?" in path:
        raise StoreMisconfigured(
            "the SQLite URL must name a plain file: it is opened more than once and takes no options"
        )
    return SqliteUrl(Path(os.path.realpath(path)))
