"""The SQLite file itself: who may read it (rule G11: mode 0600), who serves on it, and how it is opened.

Never open the file but through SQLite: closing any other descriptor of it would drop the locks of every connection in the process.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path

from broker.store.base import StoreLocked, StoreMisconfigured, StoreUnavailable
from broker.store.schema import EMPTY, VERSION

PRIVATE = 0o600
OLDEST = (3, 37)  # `returning`, `strict`
OPENING = 10  # seconds to wait for another process that switches a new file to WAL or recovers it


def require_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Raise StoreMisconfigured when Python's SQLite is too old."""
    if version < OLDEST:
        needs, has = (".".join(map(str, v)) for v in (OLDEST, version))
        raise StoreMisconfigured(
            f"SQLite {needs} or newer is needed, this Python has {has}: use another, or PostgreSQL"
        )


def make_private(path: Path) -> None:
    """Make the file if there is none, and take it from everybody else if there is. Raises StoreUnavailable."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE)
    except FileExistsError:
        if path.is_dir():  # /tmp without its execute bits would be of no use to anybody
            raise StoreUnavailable(f"cannot make the database {path}: it is a directory") from None
        for suffix in ("", "-wal", "-shm"):
            _take(Path(f"{path}{suffix}"))
    except OSError as error:
        raise StoreUnavailable(f"cannot make the database {path}: {error.strerror}") from error
    else:
        os.close(descriptor)


def require_one_name(path: Path) -> None:
    """Raise StoreMisconfigured for a file with hard links: lock and write-ahead log go by the name, and would be apart for each."""
    with suppress(OSError):  # not there yet, or not for us to see: opening it will say so
        if path.is_file() and path.stat().st_nlink > 1:
            raise StoreMisconfigured(
                f"the database {path} has a second name (a hard link), by which another process could change it unnoticed:"
                f" remove the other name; find it with: find / -xdev -samefile {path}"
            )


def _take(path: Path) -> None:
    with suppress(FileNotFoundError, PermissionError):  # another owner's file: not ours to change
        if path.stat().st_mode & 0o077:
            path.chmod(PRIVATE)


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open a connection whose commits survive a power cut. It never waits for a lock: the writer decides how to wait.

    Raises sqlite3.Error.
    """
    connection = sqlite3.connect(
        path, timeout=OPENING, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    with ExitStack() as undo:
        undo.callback(connection.close)
        _write_ahead(connection)
        connection.execute("pragma synchronous = full")
        connection.execute("pragma temp_store = memory")  # savepoints keep their journals in memory
        connection.execute("pragma cache_size = -8000")  # kB
        connection.execute("pragma journal_size_limit = 67108864")  # bytes kept after a burst
        connection.execute("pragma wal_autocheckpoint = 0")  # Checkpoints does it
        connection.execute("pragma busy_timeout = 0")
        undo.pop_all()
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("pragma journal_mode = wal").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("it cannot have a write-ahead log; is it on a network file system?")


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a read-only connection. Beside a write-ahead log a reader waits for nobody but a recovery."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.25, isolation_level=None, check_same_thread=False
    )


def schema_version(connection: sqlite3.Connection) -> str:
    """Return the version of a database's schema; EMPTY when it has none."""
    known = connection.execute("select count(*) from sqlite_master where name = 'alembic_version'").fetchone()[0]
    row = connection.execute(VERSION).fetchone() if known else None
    return str(row[0]) if row else EMPTY


def unavailable(error: sqlite3.Error) -> Exception:
    """Return what a caller gets for a fault: StoreUnavailable for the disk, the file and the lock; the error itself for a defect."""
    if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
        return StoreUnavailable(f"the database does not answer: {error}")
    return error


class ServingLock:
    """The right to serve on a file: a lock on a file beside it, which the operating system lifts when the process ends."""

    def __init__(self, database: Path) -> None:
        """Lock nothing yet."""
        self._database = database
        self._path = Path(f"{database}.lock")
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock. Raises StoreLocked when another process has it, StoreUnavailable when there is no place for it."""
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, PRIVATE)
        except OSError as error:
            raise StoreUnavailable(f"cannot make {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreLocked(
                f"another broker already serves on {self._database}: stop it first, or use PostgreSQL (BROKER_DATABASE_URL)"
                " to run more than one"
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process serve."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
