"""Which schema this version needs, and how to tell what a database has: without Alembic, so that starting up stays quick.

Migrations only add, so the version before runs on the schema of this one; a database that is ahead is therefore fine.
"""

from __future__ import annotations

from broker.store.base import SchemaOutdated

HEAD = "0002"  # the newest file in migrations/versions; they are numbered in order
VERSION = "select version_num from alembic_version"
EMPTY = ""  # a database that was never migrated


def outdated(version: str) -> bool:
    """Tell whether a database needs to be migrated before this version can use it."""
    return version < HEAD


def require(version: str) -> None:
    """Raise SchemaOutdated, naming the command, when a database must be migrated first."""
    if outdated(version):
        have = f"at version {version}" if version else "not made yet"
        raise SchemaOutdated(f"the database schema is {have}, this broker needs {HEAD}: run `mcp-broker migrate`")
