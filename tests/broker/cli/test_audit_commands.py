"""`mcp-broker audit tail` (architecture, section 8)."""

from __future__ import annotations

import json
import signal

from tests.broker.cli.terminal import Terminal


def make_events(terminal: Terminal, *client_ids: str) -> None:
    for client_id in client_ids:
        terminal.ok("clients", "block", client_id)


def test_the_newest_events_come_oldest_first(terminal: Terminal) -> None:
    make_events(terminal, "a", "b", "c")

    assert [e["client_id"] for e in terminal.json("audit", "tail", "-n", "2")] == ["b", "c"]
    assert [line.split()[1] for line in terminal.ok("audit", "tail").splitlines()] == ["client.blocked"] * 3
    assert 'client_id="c"' in terminal.ok("audit", "tail", "--lines", "1")


def test_events_of_one_name(terminal: Terminal) -> None:
    make_events(terminal, "a")
    terminal.ok("clients", "unblock", "a")

    assert [e["event"] for e in terminal.json("audit", "tail", "--name", "client.unblocked")] == ["client.unblocked"]


def test_a_name_that_no_event_has_is_refused_with_the_nearest(terminal: Terminal) -> None:
    assert "did you mean token.refresh_reused?" in terminal.refused(
        "audit", "tail", "--name", "token.refresh_reusd", status=2
    )
    assert "the names are client.added" in terminal.refused("audit", "tail", "--name", "?", status=2)


def test_an_empty_trail_is_an_empty_list(terminal: Terminal) -> None:
    assert terminal.json("audit", "tail") == []
    assert terminal.ok("audit", "tail") == ""


def test_what_others_chose_cannot_steer_the_terminal(terminal: Terminal) -> None:
    """Security rule G7."""
    make_events(terminal, "caf\N{LATIN SMALL LETTER E WITH ACUTE}")

    assert terminal.ok("audit", "tail").isascii()


def test_following_prints_what_comes_until_interrupted(terminal: Terminal) -> None:
    make_events(terminal, "before")
    with terminal.start("audit", "tail", "--follow", "--json") as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        make_events(terminal, "meanwhile")
        second = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert (first["client_id"], second["client_id"]) == ("before", "meanwhile")
    assert second["sequence"] > first["sequence"]
    assert (process.returncode, err) == (0, "")
