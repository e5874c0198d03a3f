"""README and changelog promise what is there: how to install it, and which parts of the contract this version lacks."""

from __future__ import annotations

import re

import pytest
import typer.main
from typer.core import TyperGroup

from broker.cli import app
from tests.house.test_layers import ROOT

README, DEPLOY, CHANGELOG = ((ROOT / name).read_text() for name in ("README.md", "deploy/README.md", "CHANGELOG.md"))
CONTRACT = (  # architecture, section 8
    *("serve", "demo", "doctor", "config show", "config validate", "config schema", "migrate", "policy explain"),
    *("secrets set", "secrets list", "secrets delete", "resources add", "resources list", "resources snippet"),
    *(f"clients {verb}" for verb in ("add", "list", "show", "remove", "block", "unblock")),
    *("keys list", "keys rotate", "keys reseal", "users list", "users revoke", "grants list", "grants revoke"),
    *("sessions list", "sessions revoke", "audit tail", "audit export", "audit verify"),
)
ENDPOINTS = (
    "/account",
    "/forward-auth",
    "/protected-resource/",
)  # of section 6; those that this version has are tested elsewhere


def commands() -> set[str]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    names = set()
    for name, command in root.commands.items():
        names |= {f"{name} {sub}" for sub in command.commands} if isinstance(command, TyperGroup) else {name}
    return names


def missing() -> str:
    """Return the changelog's paragraph of what is not in the newest version."""
    return CHANGELOG.partition("Not in this version")[2].partition("\n\n")[0]


def test_the_changelog_names_every_command_of_the_contract_that_is_not_there():
    named = set(re.findall(r"`([a-z]+ [a-z]+)`", re.sub(r"\([^)]*\)", "", missing())))
    assert named == set(CONTRACT) - commands()


def test_the_changelog_names_every_endpoint_of_the_contract_that_is_not_there():
    sources = "".join(path.read_text() for path in (ROOT / "broker" / "endpoints").glob("*.py"))
    for endpoint in ENDPOINTS:
        assert (f"`{endpoint}" in missing()) is (f'"{endpoint}' not in sources), endpoint


@pytest.mark.parametrize("page", ["README.md", "deploy/README.md", "providers/README.md"])
def test_no_page_for_users_counts_on_what_is_not_there(page: str):
    text = (ROOT / page).read_text()
    for promised in re.findall(r"`(/[^`]+)`", missing()):
        assert promised.partition("{")[0] not in text, promised
    for command in set(CONTRACT) - commands():
        assert f"mcp-broker {command}" not in text, command


def test_nobody_is_told_to_install_a_package_that_is_not_published():
    for page in (README, DEPLOY):
        assert "pip install '.[postgres]'" in page
        assert not re.search(r"pip install '?mcp-federation-broker", page)


def test_the_master_key_is_made_by_a_line_that_works_on_every_system():
    line = re.search(r"python3 -c 'import base64, os; [^']+'", README)
    assert line
    assert line[0] in DEPLOY
    assert "basenc" not in README + DEPLOY
