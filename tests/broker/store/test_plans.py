"""How SQLite finds the rows of each statement: by an index that narrows, so that no request grows slower with what is stored."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from broker.store import statements, upstream_statements
from broker.store.database import Change, Query, Sweep
from broker.store.migrate import migrate

# Every row is in the one realm, so an index that is used for its realm alone reads the whole table.
_WHOLE_TABLE = re.compile(r"^SCAN (?!CONSTANT ROW)|\(realm_id=\?\)|TEMP B-TREE")
_ONE_ROW = ("key_ring",)
# Whole tables, or sorted, by what they are for: commands that list, a set that is small, and counting anew in the background.
MAY_READ_ALL = {
    "LIST_CLIENTS",
    "BLOCKED_CLIENTS",
    "LIVE_GRANTS",
    "FIND_PEOPLE",
    "LIST_PEOPLE",
    "SESSIONS_OF",
    "RECOUNT_CLIENTS",
    "PURGE_EVENTS",  # a batch from the beginning of the trail, in its order
    "CLOSE_LOGGED_OUT",  # the sessions that have an upstream session, by their index
}


def _statements() -> Iterator[tuple[str, str]]:
    for module in (statements, upstream_statements):
        for name, made in vars(module).items():
            if isinstance(made, Change):
                yield from ((f"{name}.{step.name}", step.with_references(r":\1__\2")) for step in made.steps)
            elif isinstance(made, Query | Sweep):
                yield name, made.sql
            elif isinstance(made, tuple):
                yield from ((f"{name}[{n}]", one.sql) for n, one in enumerate(made) if isinstance(one, Sweep))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("plans") / "broker.db"
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        yield connection


def _reads_all(database: sqlite3.Connection, sql: str) -> list[str]:
    values = dict.fromkeys(re.findall(r":(\w+)", sql))
    found = [str(row[3]) for row in database.execute(f"explain query plan {sql}", values)]
    return [line for line in found if _WHOLE_TABLE.search(line) and not any(table in line for table in _ONE_ROW)]


@pytest.mark.parametrize(("name", "sql"), [pytest.param(name, sql, id=name) for name, sql in _statements()])
def test_a_statement_finds_its_rows_by_an_index(database: sqlite3.Connection, name: str, sql: str) -> None:
    """Registration once read every client there was, to find none to evict: a stranger could make it slower with each."""
    read_all = _reads_all(database, sql)
    if name in MAY_READ_ALL:
        assert read_all, f"{name} finds its rows by an index now: take it off the list"
    else:
        assert not read_all
