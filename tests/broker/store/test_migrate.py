"""Migrations: once, by one of many, written for others to run, and not imported by a server that needs none."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from alembic.script import ScriptDirectory

from broker.clock import SystemClock
from broker.store import schema
from broker.store.base import SchemaOutdated, StoreUnavailable
from broker.store.migrate import MIGRATIONS, migrate, pending, sql
from broker.store.migrate_apart import migrate_apart
from broker.store.open import open_store
from tests.broker.store.keeper import Keeper, give_grant, unheard
from tests.broker.store.test_contract_life import ROOT
from tests.postgres import PostgresServer

STARTS = """
import asyncio, sys
from broker.clock import SystemClock
from broker.store.open import open_store

async def main():
    store = open_store(sys.argv[1], sink=print, clock=SystemClock(), serving=True)
    await store.open()
    await store.close()

asyncio.run(main())
print(*sorted({"alembic", "sqlalchemy", "psycopg"} & set(sys.modules)))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without a schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/broker.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.empty_database()


def test_the_code_knows_the_newest_migration():
    """Starting up compares with this constant instead of importing Alembic."""
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == schema.HEAD


def test_migrations_are_part_of_the_package():
    """An installed wheel migrates: Python files inside the package, and nothing else is needed."""
    assert {file.suffix for file in MIGRATIONS.rglob("*") if file.is_file() and "__pycache__" not in file.parts} == {
        ".py"
    }
    assert MIGRATIONS.is_relative_to(ROOT / "broker")


def test_what_is_migrated_is_not_pending(empty: str):
    """`mcp-broker migrate --check`; a second run finds nothing to do."""
    assert pending(empty)
    migrate(empty)
    assert not pending(empty)
    migrate(empty)
    assert not pending(empty)


def test_looking_makes_no_file(tmp_path: Path):
    """A typing error in the URL leaves nothing behind."""
    assert pending(f"sqlite:///{tmp_path}/broker.db")
    assert sql(f"sqlite:///{tmp_path}/broker.db")
    assert list(tmp_path.iterdir()) == []


async def test_three_at_once_all_succeed(empty: str):
    """Three replicas are rolled out: one works, two find it done."""
    await asyncio.gather(*(asyncio.to_thread(_in_a_process, empty) for _ in range(3)))
    assert not pending(empty)
    keeper = Keeper(empty)
    await give_grant(await keeper.open())
    await keeper.close()


def _in_a_process(url: str) -> None:
    code = "import sys; from broker.store.migrate import migrate; migrate(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, check=True)


async def test_three_servers_start_on_a_new_file(tmp_path: Path):
    """Commands beside a first start: all of them find or make the schema."""
    keeper = Keeper(f"sqlite:///{tmp_path}/broker.db")
    stores = await asyncio.gather(*(keeper.open(serving=n == 0) for n in range(3)))
    await give_grant(stores[2])
    await keeper.close()


async def test_what_sql_prints_makes_the_same_schema(empty: str, tmp_path: Path):
    """`mcp-broker migrate --sql`, for a database administrator to run; then nothing is left to do."""
    text = sql(empty)
    if empty.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "broker.db", isolation_level=None)) as lite:
            lite.executescript(text)
    else:
        assert "pg_advisory_xact_lock" in text
        with psycopg.connect(empty, autocommit=True) as connection:
            connection.execute(text.encode())
    assert not pending(empty)
    assert "create table" not in sql(empty)
    keeper = Keeper(empty)
    await give_grant(await keeper.open())
    await keeper.close()


def test_sql_needs_no_database():
    """Whoever may not connect can still read what would happen."""
    assert "create table oauth_grant" in sql("postgresql://broker@127.0.0.1:1/none")


async def test_postgresql_without_a_schema_is_refused(postgres: PostgresServer):
    """Architecture section 5: on PostgreSQL an old schema is refused, and the command named."""
    keeper = Keeper(postgres.empty_database())
    with pytest.raises(SchemaOutdated, match=r"not made yet, .* run `mcp-broker migrate`"):
        await keeper.open(serving=True)


async def test_postgresql_with_an_old_schema_is_refused(postgres: PostgresServer):
    """Architecture section 5."""
    keeper = Keeper(postgres.database())
    with psycopg.connect(keeper.url, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '0000'")
    with pytest.raises(SchemaOutdated, match=r"at version 0000, this broker needs \d{4}: run `mcp-broker migrate`"):
        await keeper.open()


async def test_a_schema_that_is_ahead_is_used(postgres: PostgresServer):
    """Migrations only add: the version before keeps running during an update."""
    keeper = Keeper(postgres.database())
    with psycopg.connect(keeper.url, autocommit=True) as connection:
        connection.execute("update alembic_version set version_num = '0002'")
    await (await keeper.open()).check()
    await keeper.close()


def test_a_database_that_does_not_answer_is_named(tmp_path: Path):
    """And so is one that refuses."""
    for act in (migrate, pending):
        with pytest.raises(StoreUnavailable, match="refused"):
            act("postgresql://broker@127.0.0.1:1/none")
    (tmp_path / "broker.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        migrate(f"sqlite:///{tmp_path}/broker.db")


def test_an_up_to_date_file_starts_without_alembic(tmp_path: Path):
    """Cold start: the machinery of migrations and the other driver are not imported."""
    url = f"sqlite:///{tmp_path}/broker.db"
    migrate(url)
    done = subprocess.run([sys.executable, "-c", STARTS, url], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "\n"


def test_a_new_file_is_migrated_without_leaving_alembic_in_the_process_that_serves(tmp_path: Path):
    """Idle memory: a process lives as long after its first start as after any other."""
    url = f"sqlite:///{tmp_path}/new.db"
    done = subprocess.run([sys.executable, "-c", STARTS, url], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "\n"
    assert not pending(url)


def test_what_stands_in_the_way_of_a_migration_apart_is_said(tmp_path: Path):
    """The sentence is the one that `mcp-broker migrate` would say."""
    (tmp_path / "broker.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreUnavailable, match="refused: file is not a database"):
        migrate_apart(f"sqlite:///{tmp_path}/broker.db")


def test_a_migration_apart_that_dies_without_a_word_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Never a start on half a schema."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StoreUnavailable, match="status 1"):
        migrate_apart(f"sqlite:///{tmp_path}/broker.db")


async def test_a_new_file_is_migrated_at_the_first_start(tmp_path: Path):
    """`serve` migrates SQLite by itself."""
    store = open_store(f"sqlite:///{tmp_path}/new.db", sink=unheard, clock=SystemClock(), serving=True)
    await store.open()
    assert not pending(f"sqlite:///{tmp_path}/new.db")
    await store.close()
