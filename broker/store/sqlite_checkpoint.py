"""Checkpoints of the write-ahead log, beside the writer instead of in its commits.

SQLite's own would make one commit in a few hundred wait until a thousand scattered pages are written back and synced. Here a thread of
its own does nearly all of that while the writer goes on (`passive`), and holds the write lock only for what came in meanwhile (`full`):
after that the log starts anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

EVERY = 10_000  # rows written: some tens of megabytes of log
PATIENCE = 1.0  # seconds to wait for the write lock; otherwise the next one finishes the work


class Checkpoints:
    """One at a time, whenever enough was written."""

    def __init__(self, path: Path, *, every: int = EVERY) -> None:
        """Do nothing yet."""
        self._path = path
        self._every = every
        self._written = 0
        self._running: asyncio.Future[None] | None = None

    def count(self, rows: int) -> None:
        """Take note of a commit that wrote so many rows."""
        self._written += rows
        if self._written >= self._every and (self._running is None or self._running.done()):
            self._written = 0
            self._running = asyncio.get_running_loop().run_in_executor(None, checkpoint, self._path)

    async def stop(self) -> None:
        """Wait for the one that runs."""
        if self._running is not None:
            await self._running


def checkpoint(path: Path) -> None:
    """Write back what the log holds. A fault of the disk is left to the writer, which meets it in its next commit."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
        connection.execute("pragma wal_checkpoint(passive)").fetchall()
        connection.execute("pragma wal_checkpoint(full)").fetchall()
