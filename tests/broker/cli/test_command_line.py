"""Every command: help with an example, --json, exit status, settings from three places (architecture, section 8)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from broker.cli import app
from tests.broker.cli.terminal import ISSUER, Terminal


def commands() -> Iterator[tuple[str, ...]]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    for name, command in root.commands.items():
        if isinstance(command, TyperGroup):
            yield from ((name, sub) for sub in command.commands)
        else:
            yield (name,)


COMMANDS = list(commands())


def test_the_commands_are_those_of_the_contract() -> None:
    """Architecture, section 8; those not here yet come with what they work on."""
    assert set(COMMANDS) == {
        ("serve",),
        ("demo",),
        ("migrate",),
        ("doctor",),
        *(("config", sub) for sub in ("show", "validate", "schema")),
        *(("secrets", sub) for sub in ("set", "list", "delete")),
        *(("clients", sub) for sub in ("add", "list", "show", "remove", "block", "unblock")),
        *(("keys", sub) for sub in ("list", "rotate", "reseal")),
        ("policy", "explain"),
        *(("users", sub) for sub in ("list", "revoke")),
        ("audit", "tail"),
        *(("users", sub) for sub in ("list", "revoke")),
    }


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_and_json(words: tuple[str, ...], terminal: Terminal) -> None:
    text = terminal.ok(*words, "--help")

    assert "mcp-broker " + " ".join(words) in text.partition("Example:")[2]
    assert ("--json" in text) == (words not in {("serve",), ("demo",)})


@pytest.mark.parametrize("words", [(), ("config",), ("secrets",), ("clients",), ("keys",), ("audit",)], ids=" ".join)
def test_a_group_without_command_prints_its_help(words: tuple[str, ...], terminal: Terminal) -> None:
    assert "Commands:" in terminal.run(*words).output


@pytest.mark.parametrize(
    "words", [("nonsense",), ("keys", "nonsense"), ("keys", "list", "--nonsense"), ("clients", "show")]
)
def test_wrong_usage_ends_with_status_2(words: tuple[str, ...], terminal: Terminal) -> None:
    assert terminal.refused(*words, status=2)


# `users` needs the database alone: whoever has to go goes, whatever else is wrong.
NEED_SETTINGS = [w for w in COMMANDS if w not in {("demo",), ("config", "schema")} and w[0] not in ("secrets", "users")]


@pytest.mark.parametrize("words", NEED_SETTINGS, ids=" ".join)
def test_settings_that_cannot_be_used_end_every_command_with_status_2_and_every_fault(
    words: tuple[str, ...], terminal: Terminal
) -> None:
    terminal.env |= {"BROKER_ISSUER": "https://auth.example.com/", "BROKER_DCR": "maybe"}
    arguments = {"show": ["x"], "remove": ["x"], "block": ["x"], "unblock": ["x"]} if words[0] == "clients" else {}
    arguments["explain"] = ["--user", "x", "--client", "x", "--resource", "x"]
    arguments["revoke"] = ["x"]
    arguments["add"] = ["--name", "x", "--redirect-uri", "https://x.example/cb"]

    told = terminal.refused(*words, *arguments.get(words[-1], []), status=2)

    assert told.startswith("mcp-broker: 3 settings are wrong:")
    assert "BROKER_MASTER_KEY" in told
    assert "-> write true or false" in told


def test_the_help_does_not_import_what_is_slow() -> None:
    slow = {"httpx2", "joserfc", "authlib", "sqlalchemy", "alembic", "psycopg", "mcp", "uvicorn", "keyring", "jinja2"}
    script = f"import sys, broker.cli; sys.exit(' '.join({slow} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_wins_over_environment_and_file(terminal: Terminal) -> None:
    Path("broker.toml").write_text('log_level = "error"\ndrain = 7\n')
    terminal.env["BROKER_LOG_LEVEL"] = "warning"

    shown = {e["name"]: e for e in terminal.json("config", "show", "--set", "BROKER_LOG_LEVEL=debug")}

    assert shown["BROKER_LOG_LEVEL"] == {"name": "BROKER_LOG_LEVEL", "value": "debug", "origin": "command line"}
    assert shown["BROKER_DRAIN"]["origin"] == "broker.toml (drain)"
    assert shown["BROKER_ISSUER"]["value"] == ISSUER


def test_the_file_is_that_of_the_option_then_that_of_the_variable(terminal: Terminal) -> None:
    for name, seconds in (("a.toml", 1), ("b.toml", 2)):
        Path(name).write_text(f"drain = {seconds}")

    def drain(*words: str) -> str:
        shown = {e["name"]: e for e in terminal.json("config", "show", *words)}
        return f"{shown['BROKER_DRAIN']['value']} from {shown['BROKER_DRAIN']['origin']}"

    assert drain("--config", "a.toml") == "1 from a.toml (drain)"
    terminal.env["BROKER_CONFIG"] = "b.toml"
    assert drain() == "2 from b.toml (drain)"
    assert drain("--config", "a.toml") == "1 from a.toml (drain)"


def test_a_named_file_that_is_not_there_is_refused(terminal: Terminal) -> None:
    assert "No such file" in terminal.refused("config", "show", "--config", "none.toml", status=2)
    terminal.env["BROKER_CONFIG"] = "none.toml"
    assert "No such file" in terminal.refused("config", "show", status=2)


@pytest.mark.parametrize("word", ["log_level", "=debug", ""])
def test_an_override_is_name_and_value(word: str, terminal: Terminal) -> None:
    assert "NAME=VALUE" in terminal.refused("config", "show", "--set", word, status=2)


def test_one_override_is_given_once(terminal: Terminal) -> None:
    assert "twice" in terminal.refused("config", "show", "--set", "drain=1", "--set", "drain=2", status=2)


@pytest.mark.parametrize(
    "words", [("clients", "list"), ("keys", "list"), ("audit", "tail"), ("migrate",)], ids=" ".join
)
def test_a_database_that_cannot_be_opened_ends_with_status_1_and_a_sentence(
    words: tuple[str, ...], terminal: Terminal
) -> None:
    terminal.env["BROKER_DATABASE_URL"] = "sqlite:////nowhere/at/all/broker.db"

    assert terminal.refused(*words).startswith("mcp-broker: ")


def test_the_installed_command_ends_with_a_status_and_no_traceback(terminal: Terminal) -> None:
    terminal.env["BROKER_ISSUER"] = "nonsense"
    process = terminal.start("keys", "list")
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (2, "")
    assert "BROKER_ISSUER (environment)" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [("clients", "list"), ("keys", "list"), ("migrate",)], ids=" ".join)
@pytest.mark.parametrize("place", ["/nope/x.db", "junk.db"])
def test_a_database_that_cannot_be_used_is_a_sentence_with_its_setting(
    words: tuple[str, ...], place: str, terminal: Terminal
) -> None:
    (terminal.directory / "junk.db").write_bytes(b"this is no database" * 100)
    terminal.env["BROKER_DATABASE_URL"] = f"sqlite:///{place}"

    told = terminal.refused(*words)

    assert ". Look at BROKER_DATABASE_URL: it names a file" in told
    assert told.count("the database") <= 1


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_speaks_of_what_is_given_and_not_of_types(words: tuple[str, ...], terminal: Terminal) -> None:
    assert "list[" not in terminal.ok(*words, "--help")
