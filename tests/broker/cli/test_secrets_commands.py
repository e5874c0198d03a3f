"""`mcp-broker secrets set | list | delete` through keyring (architecture, sections 7 and 8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest

from tests.broker.cli.terminal import Terminal
from tests.broker.test_secret_source import MemoryKeyring, PlaintextKeyring


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    """A keyring for the test."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def test_a_secret_is_read_from_standard_input_and_settings_find_it(memory: MemoryKeyring, terminal: Terminal) -> None:
    text = terminal.ok("secrets", "set", "corp/client_secret", stdin="hunter2\n")
    terminal.env["BROKER_DCR_TOKEN"] = "keyring:corp/client_secret"

    assert memory.entries["corp", "client_secret"] == "hunter2"
    assert "keyring:corp/client_secret" in text
    assert "hunter2" not in text
    assert "keyring:corp/client_secret" in terminal.ok("config", "show")


def test_the_list_has_names_and_never_values(memory: MemoryKeyring, terminal: Terminal) -> None:
    terminal.ok("secrets", "set", "corp/client_secret", stdin="hunter2")
    terminal.ok("secrets", "set", "corp/other", stdin="hunter2")
    del memory.entries["corp", "other"]
    Path("broker.toml").write_text('dcr_token = "keyring:mcp-broker/dcr"\n')
    terminal.env["BROKER_MASTER_KEY"] = "keyring:corp/client_secret,keyring:mcp-broker/old"

    listed = terminal.json("secrets", "list")

    assert [(e["reference"], e["present"], e["used"]) for e in listed] == [
        ("keyring:corp/client_secret", True, True),
        ("keyring:corp/other", False, False),
        ("keyring:mcp-broker/dcr", False, True),
        ("keyring:mcp-broker/old", False, True),
    ]
    assert "hunter2" not in terminal.ok("secrets", "list")


def test_an_empty_list_names_the_command_that_fills_it(memory: MemoryKeyring, terminal: Terminal) -> None:
    assert "secrets set" in terminal.ok("secrets", "list")
    assert terminal.json("secrets", "list") == []


def test_a_deleted_entry_is_gone_from_keyring_and_list(memory: MemoryKeyring, terminal: Terminal) -> None:
    terminal.ok("secrets", "set", "corp/client_secret", stdin="hunter2")

    assert terminal.json("secrets", "delete", "corp/client_secret") == {"deleted": "keyring:corp/client_secret"}
    assert ("corp", "client_secret") not in memory.entries
    assert terminal.json("secrets", "list") == []
    assert "no entry corp/client_secret" in terminal.refused("secrets", "delete", "corp/client_secret")


@pytest.mark.parametrize("entry", ["corp", "/x", "x/", "mcp-broker/index of entries"])
def test_an_entry_is_written_service_and_name(entry: str, memory: MemoryKeyring, terminal: Terminal) -> None:
    terminal.refused("secrets", "set", entry, stdin="hunter2", status=2)

    assert memory.entries == {}


def test_an_empty_secret_is_not_kept(memory: MemoryKeyring, terminal: Terminal) -> None:
    assert "empty" in terminal.refused("secrets", "set", "corp/x", stdin="\n")
    assert memory.entries == {}


@pytest.mark.parametrize(
    "words", [("secrets", "set", "a/b"), ("secrets", "list"), ("secrets", "delete", "a/b")], ids=" ".join
)
def test_a_machine_without_a_keyring_is_told_so_with_the_way_around(
    words: tuple[str, ...], memory: MemoryKeyring, terminal: Terminal
) -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]

    told = terminal.refused(*words, stdin="hunter2")

    assert "this machine has no keyring back end" in told
    assert "file:/path" in told


def test_a_keyring_in_clear_keeps_nothing(memory: MemoryKeyring, terminal: Terminal) -> None:
    clear = PlaintextKeyring()
    keyring.set_keyring(clear)

    assert "unencrypted" in terminal.refused("secrets", "set", "a/b", stdin="hunter2")
    assert clear.entries == {}
