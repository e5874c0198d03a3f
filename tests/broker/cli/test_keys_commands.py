"""`mcp-broker keys list | rotate | reseal` (architecture, sections 5 and 8)."""

from __future__ import annotations

from pathlib import Path

from tests.broker.cli.terminal import Terminal


def test_before_any_start_there_is_no_key(terminal: Terminal) -> None:
    assert terminal.json("keys", "list") == []
    assert "There is no key yet" in terminal.ok("keys", "list")


def test_a_rotated_key_is_published_before_it_signs(terminal: Terminal) -> None:
    (made,) = terminal.json("keys", "rotate")

    assert made["state"] == "pending"
    assert made["activates_at"] - made["created_at"] == 7200
    assert {key["state"] for key in terminal.json("keys", "list")} == {"active", "pending"}


def test_now_skips_the_wait(terminal: Terminal) -> None:
    before = [key["kid"] for key in terminal.json("keys", "rotate")]
    (made,) = terminal.json("keys", "rotate", "--now")

    assert made["state"] == "active"
    assert made["kid"] not in before
    text = terminal.ok("keys", "list")
    assert "retiring" in text
    assert made["kid"] in text


def test_one_algorithm_of_several_may_be_rotated(terminal: Terminal) -> None:
    terminal.env |= {
        "BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp",
        "BROKER_RESOURCES__FILES__SIGNING_ALG": "ES256",
    }

    assert {key["alg"] for key in terminal.json("keys", "rotate")} == {"RS256", "ES256"}
    assert {key["alg"] for key in terminal.json("keys", "rotate", "--alg", "ES256")} == {"ES256"}
    assert "RS256, ES256" in terminal.refused("keys", "rotate", "--alg", "Ed25519", status=2)


def test_the_list_holds_no_private_part_and_no_mac_key(terminal: Terminal) -> None:
    """Security rule F3."""
    terminal.ok("keys", "rotate")

    for key in terminal.json("keys", "list"):
        assert set(key) == {"kid", "alg", "state", "created_at", "activates_at", "retires_at", "gone_at"}
        assert key["alg"] != "HMAC"


def test_the_master_key_of_this_machine_is_made_once_and_said_so(terminal: Terminal) -> None:
    """Security rule G11: mode 0600."""
    first = terminal.run("keys", "rotate")
    second = terminal.run("keys", "rotate")

    assert f"Making a master key for this machine: {terminal.directory}/broker.db.key" in first.stderr
    assert second.stderr == ""
    assert Path("broker.db.key").stat().st_mode & 0o777 == 0o600


def test_a_wrong_master_key_is_a_sentence(terminal: Terminal) -> None:
    """Security rule G11."""
    terminal.ok("keys", "rotate")
    terminal.env["BROKER_MASTER_KEY"] = "A" * 43

    told = terminal.refused("keys", "rotate")
    assert "BROKER_MASTER_KEY" in told
    assert "A" * 43 not in told


def test_a_master_key_file_that_holds_none_or_cannot_be_read_is_a_sentence(terminal: Terminal) -> None:
    Path("broker.db.key").write_text("nonsense")
    assert "\nmcp-broker: " in terminal.refused("keys", "rotate")

    Path("broker.db.key").unlink()
    Path("broker.db.key").mkdir()
    assert "can be neither read nor made" in terminal.refused("keys", "rotate")


OLD, NEW = "A" * 43, "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def test_reseal_moves_every_key_so_that_the_old_master_key_may_go(terminal: Terminal) -> None:
    """Architecture, section 8: afterwards the new one alone opens everything, and no key has changed."""
    terminal.env["BROKER_MASTER_KEY"] = OLD
    before = terminal.json("keys", "rotate") and terminal.json("keys", "list")
    terminal.env["BROKER_MASTER_KEY"] = f"{NEW},{OLD}"

    moved = terminal.json("keys", "reseal")
    again = terminal.ok("keys", "reseal")

    assert moved["moved"] == len(before) + 1, "the key of refresh tokens too"
    assert moved["older_may_go_at"] > before[0]["created_at"] + 599
    assert "0 keys and 0 upstream tokens were moved" in again
    assert "may leave the list at" in again
    terminal.env["BROKER_MASTER_KEY"] = NEW
    assert terminal.json("keys", "list") == before
    assert terminal.ok("keys", "rotate")
    terminal.env["BROKER_MASTER_KEY"] = OLD
    assert "BROKER_MASTER_KEY" in terminal.refused("keys", "rotate")


def test_reseal_without_the_old_master_key_changes_nothing(terminal: Terminal) -> None:
    """Security rule G11."""
    terminal.env["BROKER_MASTER_KEY"] = OLD
    terminal.ok("keys", "rotate")
    terminal.env["BROKER_MASTER_KEY"] = NEW

    assert "BROKER_MASTER_KEY" in terminal.refused("keys", "reseal")
    terminal.env["BROKER_MASTER_KEY"] = OLD
    assert terminal.ok("keys", "rotate")


def test_the_master_key_stands_beside_the_file_itself_and_never_beside_a_link(terminal: Terminal) -> None:
    """One file, one key: by any other name the same key is found, and a second name is refused before a key is made."""
    home, elsewhere = terminal.directory / "home", terminal.directory / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    terminal.env["BROKER_DATABASE_URL"] = f"sqlite:///{home}/broker.db"
    terminal.ok("keys", "rotate")
    (elsewhere / "link.db").symlink_to(home / "broker.db")
    terminal.env["BROKER_DATABASE_URL"] = f"sqlite:///{elsewhere}/link.db"
    terminal.ok("keys", "rotate")
    (elsewhere / "hard.db").hardlink_to(home / "broker.db")
    terminal.env["BROKER_DATABASE_URL"] = f"sqlite:///{elsewhere}/hard.db"

    assert "hard link" in terminal.refused("keys", "rotate")
    assert (home / "broker.db.key").exists()
    assert {path.name for path in elsewhere.iterdir()} == {"link.db", "hard.db"}
