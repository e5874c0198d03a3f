"""Migrations, for `mcp-broker migrate` and for the first start on a SQLite file. Alembic and SQLAlchemy are imported only here.

`python -m broker.store.migrate URL` is what a start on a SQLite file calls. Migrating waits for a migration that is already running
and then finds nothing to do.
"""

from __future__ import annotations

import io
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from broker.store.base import StoreMisconfigured, StoreUnavailable
from broker.store.driver import postgres_connect
from broker.store.schema import EMPTY, outdated
from broker.store.sqlite_file import make_private, require_one_name
from broker.store.url import SqliteUrl, parse

MIGRATIONS = Path(__file__).parent / "migrations"
WAIT = 30  # seconds for another migration to finish
_ALEMBIC = Lock()  # its `context` belongs to the whole process


def migrate(url: str) -> None:
    """Bring a database to this version's schema; nothing happens when it is there. Raises StoreUnavailable, StoreMisconfigured."""
    place = parse(url)
    if isinstance(place, SqliteUrl):
        make_private(place.path)
    with _ALEMBIC, _connect(url) as connection:
        command.upgrade(_config(connection=connection), "head")


def pending(url: str) -> bool:
    """Tell whether `migrate` has something to do. Raises StoreUnavailable, StoreMisconfigured."""
    return outdated(_version(url))


def sql(url: str) -> str:
    """Return what `migrate` would run, for somebody else to run: from the version that the database has, or from nothing.

    Nothing is changed, and a database that does not answer counts as empty. Raises StoreMisconfigured.
    """
    dialect = "sqlite" if isinstance(parse(url), SqliteUrl) else "postgresql"
    try:
        version = _version(url)
    except StoreUnavailable:
        version = EMPTY
    text = io.StringIO()
    with _ALEMBIC:
        command.upgrade(_config(output=text, dialect=dialect), f"{version or 'base'}:head", sql=True)
    return text.getvalue()


def main() -> None:
    """Migrate the database of the URL that is the one argument; what stands in the way is the last line of standard error."""
    try:
        migrate(sys.argv[1])
    except (StoreUnavailable, StoreMisconfigured) as error:
        raise SystemExit(str(error)) from None


def _config(*, output: io.StringIO | None = None, **attributes: object) -> Config:
    config = Config(output_buffer=output, attributes=dict(attributes))
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _version(url: str) -> str:
    place = parse(url)
    if isinstance(place, SqliteUrl) and not place.path.exists():
        return EMPTY  # and looking does not make the file
    with _connect(url) as connection:
        return MigrationContext.configure(connection).get_current_revision() or EMPTY


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    try:
        with _engine(url).connect() as connection:
            yield connection
    except DBAPIError as error:
        raise StoreUnavailable(f"the database refused: {str(error.orig).strip()}") from error


def _engine(url: str) -> Engine:
    place = parse(url)
    if isinstance(place, SqliteUrl):
        require_one_name(place.path)
        connect = partial(sqlite3.connect, place.path, timeout=WAIT, isolation_level=None)
        return create_engine("sqlite://", creator=connect, poolclass=NullPool)
    return create_engine("postgresql+psycopg://", creator=postgres_connect(place.conninfo), poolclass=NullPool)


if __name__ == "__main__":
    main()
