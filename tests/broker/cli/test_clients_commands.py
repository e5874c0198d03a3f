"""`mcp-broker clients`: add, list, show, remove, block, unblock (architecture, section 8)."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from broker.cli.context import at_desk, settings_from
from broker.clock import SystemClock
from broker.model import AuditEvent, Client, ClientSource, digest
from broker.store.open import open_store
from tests.broker.cli.terminal import Terminal

ADD = ("clients", "add", "--name", "Inspector", "--redirect-uri", "http://127.0.0.1:6274/oauth/callback")


def stored(client_id: str) -> Client | None:
    return at_desk(
        settings_from(None, ["issuer=http://localhost:8080"]), lambda desk: desk.store.find_client(client_id)
    )


def test_a_public_client_is_added_and_its_id_printed(terminal: Terminal) -> None:
    found = re.fullmatch(r"client id:     ([A-Za-z0-9._~-]+)\n", terminal.ok(*ADD))

    assert found
    client = stored(found[1])
    assert client is not None
    assert (client.name, client.source, client.secret_hash) == ("Inspector", ClientSource.ADDED, None)
    assert client.token_endpoint_auth_method == "none"
    assert client.redirect_uris == ("http://127.0.0.1:6274/oauth/callback",)
    assert client.grant_types == ("authorization_code", "refresh_token")
    assert not client.client_id.startswith(("u_", "https://"))


def test_a_confidential_clients_secret_is_printed_once_and_kept_as_a_hash(terminal: Terminal) -> None:
    """Security rule D14."""
    text = terminal.ok(*ADD, "--confidential")
    client_id, secret = re.findall(r"client (?:id|secret): +(\S+)", text)
    client = stored(client_id)

    assert client is not None
    assert client.secret_hash == digest(secret)
    assert client.token_endpoint_auth_method == "client_secret_basic"
    assert len(secret) >= 43
    later = (
        terminal.ok("clients", "show", client_id)
        + terminal.ok("clients", "list", "--json")
        + terminal.ok("audit", "tail")
    )
    assert secret not in later


def test_adding_as_json_gives_metadata_by_the_rfcs_names(terminal: Terminal) -> None:
    """RFC 7591 section 2."""
    added = terminal.json(
        *ADD, "--redirect-uri", "https://a.example/cb", "--confidential", "--grant-type", "authorization_code"
    )

    assert added["redirect_uris"] == ["http://127.0.0.1:6274/oauth/callback", "https://a.example/cb"]
    assert added["grant_types"] == ["authorization_code"]
    assert {"client_id", "client_secret", "token_endpoint_auth_method"} <= set(added)


@pytest.mark.parametrize(
    "words",
    [
        ("clients", "add", "--name", "x"),
        ("clients", "add", "--redirect-uri", "https://a.example/cb"),
        ("clients", "add", "--name", " ", "--redirect-uri", "https://a.example/cb"),
        ("clients", "add", "--name", "a\x1b[31m", "--redirect-uri", "https://a.example/cb"),
        ("clients", "add", "--name", "x" * 121, "--redirect-uri", "https://a.example/cb"),
        ("clients", "add", "--name", "x", "--redirect-uri", "http://a.example/cb"),
        ("clients", "add", "--name", "x", "--redirect-uri", "javascript:alert(1)"),
        ("clients", "add", "--name", "x", "--redirect-uri", "https://a.example/cb?code=1"),
        (*ADD, "--grant-type", "implicit"),
        (*ADD, "--grant-type", "refresh_token"),
    ],
)
def test_a_client_that_could_not_work_or_is_not_safe_is_refused(words: tuple[str, ...], terminal: Terminal) -> None:
    """Security rules C3 and C4."""
    terminal.refused(*words, status=2)

    assert terminal.json("clients", "list") == []


def test_a_listed_scheme_may_be_used(terminal: Terminal) -> None:
    terminal.env["BROKER_REDIRECT_SCHEMES"] = "cursor"

    assert terminal.json("clients", "add", "--name", "Cursor", "--redirect-uri", "cursor://cb")["redirect_uris"]


def test_the_list_has_configured_and_added_clients_and_blocked_strangers(terminal: Terminal) -> None:
    terminal.env["BROKER_CLIENTS__APP__REDIRECT_URIS"] = "https://app.example.com/cb"
    client_id = terminal.json(*ADD)["client_id"]
    terminal.ok("clients", "block", "https://evil.example/client.json")
    terminal.ok("clients", "block", "app")

    listed = {c["client_id"]: (c.get("source"), c["blocked"]) for c in terminal.json("clients", "list")}

    assert listed == {
        "app": ("configured", True),
        client_id: ("added", False),
        "https://evil.example/client.json": (None, True),
    }
    text = terminal.ok("clients", "list")
    assert "CLIENT ID" in text
    assert re.search(r"^app +app +configured +none +blocked$", text, re.MULTILINE)


def test_an_empty_list_says_so(terminal: Terminal) -> None:
    assert terminal.ok("clients", "list") == "There is no client.\n"


def test_show_tells_one_client(terminal: Terminal) -> None:
    client_id = terminal.json(*ADD)["client_id"]

    assert terminal.json("clients", "show", client_id)["name"] == "Inspector"
    assert "http://127.0.0.1:6274/oauth/callback" in terminal.ok("clients", "show", client_id)
    assert "no client" in terminal.refused("clients", "show", "nobody")
    terminal.ok("clients", "block", "https://evil.example/client.json")
    assert terminal.json("clients", "show", "https://evil.example/client.json")["blocked"]


def test_a_removed_client_is_gone(terminal: Terminal) -> None:
    client_id = terminal.json(*ADD)["client_id"]

    assert terminal.json("clients", "remove", client_id) == {"client_id": client_id, "state": "removed"}
    assert stored(client_id) is None
    assert "no client" in terminal.refused("clients", "remove", client_id)


def test_a_configured_client_is_not_removed_but_blocked(terminal: Terminal) -> None:
    terminal.env["BROKER_CLIENTS__APP__REDIRECT_URIS"] = "https://app.example.com/cb"

    assert "is configured" in terminal.refused("clients", "remove", "app")
    assert "Blocked: app" in terminal.ok("clients", "block", "app")


def test_a_block_is_lifted_and_both_may_be_said_twice(terminal: Terminal) -> None:
    assert "Blocked" in terminal.ok("clients", "block", "app")
    assert "blocked already" in terminal.ok("clients", "block", "app")
    assert "Unblocked" in terminal.ok("clients", "unblock", "app")
    assert "was not blocked" in terminal.ok("clients", "unblock", "app")
    terminal.refused("clients", "block", "a\nb", status=2)


def test_every_change_is_in_the_audit_trail(terminal: Terminal) -> None:
    client_id = terminal.json(*ADD)["client_id"]
    for command in ("block", "unblock", "remove"):
        terminal.ok("clients", command, client_id)

    names = [(e["event"], e["client_id"], e["by"]) for e in terminal.json("audit", "tail")]
    assert names == [
        (f"client.{word}", client_id, "command line") for word in ("added", "blocked", "unblocked", "removed")
    ]


async def test_a_running_broker_knows_what_a_command_changed(terminal: Terminal) -> None:
    """Architecture, section 8: commands work beside a running broker, on SQLite too."""
    logged: list[AuditEvent] = []
    store = open_store("sqlite:///broker.db", sink=logged.extend, clock=SystemClock(), serving=True)
    await store.open()
    try:
        before = await store.changes()
        out, _ = await asyncio.to_thread(terminal.start(*ADD, "--json").communicate, timeout=60)
        client_id = json.loads(out)["client_id"]
        await asyncio.to_thread(terminal.start("clients", "block", client_id).communicate, timeout=60)

        client = await store.find_client(client_id)
        assert client is not None
        assert client_id in await store.blocked_clients()
        assert await store.changes() > before
    finally:
        await store.close()


def test_names_from_strangers_cannot_steer_the_terminal(terminal: Terminal) -> None:
    """Security rule G7: a registered client chooses its name."""
    client = Client(
        client_id="evil", name="a\x1b[2Jb\nc", source=ClientSource.ADDED, redirect_uris=("https://a.example/cb",)
    )
    settings = settings_from(None, ["issuer=http://localhost:8080"])
    assert at_desk(settings, lambda desk: desk.store.save_client(client, events=[]))

    for command in (("list",), ("show", "evil")):
        text = terminal.ok("clients", *command)
        assert "\x1b" not in text
        assert "\N{REPLACEMENT CHARACTER}" in text
