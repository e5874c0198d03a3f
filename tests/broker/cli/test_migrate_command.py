"""`mcp-broker migrate [--check|--sql]` (architecture, section 8)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.broker.cli.terminal import Terminal
from tests.broker.settings_input import MASTER_KEY
from tests.postgres import PostgresServer, postgres

__all__ = ["postgres"]


def tables() -> set[str]:
    with closing(sqlite3.connect("broker.db")) as connection:
        return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


def test_migrating_makes_the_schema_once(terminal: Terminal) -> None:
    assert terminal.ok("migrate") == "Migrated.\n"
    assert "audit_event" in tables()
    assert terminal.ok("migrate") == "The schema is up to date.\n"
    assert terminal.json("migrate") == {"pending": False, "migrated": False}


def test_check_changes_nothing_and_says_with_its_status_whether_there_is_something_to_do(terminal: Terminal) -> None:
    result = terminal.run("migrate", "--check")

    assert result.exit_code == 1
    assert "run mcp-broker migrate" in result.stdout
    assert not Path("broker.db").exists() or "alembic_version" not in tables()
    terminal.ok("migrate")
    assert terminal.json("migrate", "--check") == {"pending": False, "migrated": False}


def test_sql_is_for_somebody_else_to_run(terminal: Terminal) -> None:
    text = terminal.ok("migrate", "--sql")

    assert "create table" in text.lower()
    assert terminal.json("migrate", "--sql") == {"sql": text}
    assert not Path("broker.db").exists() or "alembic_version" not in tables()


def test_check_and_sql_are_two_things(terminal: Terminal) -> None:
    terminal.refused("migrate", "--check", "--sql", status=2)


def test_on_postgresql_commands_name_migrate_until_it_has_run(postgres: PostgresServer, terminal: Terminal) -> None:
    terminal.env |= {"BROKER_DATABASE_URL": postgres.empty_database(), "BROKER_MASTER_KEY": MASTER_KEY}

    assert "mcp-broker migrate" in terminal.refused("clients", "list")
    assert terminal.run("migrate", "--check").exit_code == 1
    assert terminal.ok("migrate") == "Migrated.\n"
    assert terminal.json("clients", "list") == []
    assert terminal.json("keys", "rotate", "--now")[0]["state"] == "active"


def test_a_postgresql_that_does_not_answer_is_a_sentence_without_its_password(terminal: Terminal) -> None:
    terminal.env |= {"BROKER_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d", "BROKER_MASTER_KEY": MASTER_KEY}

    for words in (("migrate",), ("clients", "list")):
        told = terminal.refused(*words)
        assert told.startswith("mcp-broker: ")
        assert "hunter2" not in told
