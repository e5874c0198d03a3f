"""Migrates in a process of its own: Alembic and SQLAlchemy would stay in the one that serves for as long as it lives (25 MB)."""

from __future__ import annotations

import os
import subprocess
import sys

from broker.store.base import StoreUnavailable


def migrate_apart(url: str) -> None:
    """Bring a SQLite file to this version's schema; raises StoreUnavailable."""
    command = [sys.executable, "-P", "-m", "broker.store.migrate", url]
    # The same modules as here, wherever these came from.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - all of it is ours
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise StoreUnavailable(said or f"migrating ended with status {done.returncode}")
