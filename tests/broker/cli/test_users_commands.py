"""`mcp-broker users`: who holds what, and ending all of it (architecture, section 8)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from broker.clock import SystemClock
from broker.store.open import open_store
from tests.broker.cli.terminal import Terminal
from tests.broker.records import make_identity
from tests.broker.store.keeper import give_grant, make_session, unheard


def sign_in(terminal: Terminal, name: str, *, provider: str = "corp", email: str | None = None, app: str = "") -> None:
    """Leave a live session and, for an app, a grant of that upstream session, as a login does."""
    database, now = f"sqlite:///{terminal.directory}/broker.db", SystemClock().now()

    async def save() -> None:
        store = open_store(database, sink=unheard, clock=SystemClock(), serving=False)
        await store.open()
        issuer = f"https://{provider}.example.com"
        subject = await store.subject_for(
            issuer, name, namespace="", candidate=f"u_{name}_{provider}", now=now, events=()
        )
        identity = make_identity(
            subject=subject, upstream_subject=name, upstream_issuer=issuer, provider=provider, email=email
        )
        session = make_session(
            session_hash=f"{name} {provider}".encode(), identity=identity, expires_at=now + 3600, began_at=now - 5
        )
        session = replace(session, upstream=replace(session.upstream, checked_at=now))
        saved = await store.save_session(session, replaces=None, now=now, events=())
        if app:
            await give_grant(
                store,
                app,
                identity=identity,
                upstream_session_id=saved,
                idle_expires_at=now + 3600,
                expires_at=now + 7200,
            )
        await store.close()

    asyncio.run(save())


def test_everybody_is_listed_with_what_they_hold(terminal: Terminal) -> None:
    sign_in(terminal, "alice", email="alice@example.com", app="files")
    sign_in(terminal, "bob", email="bob@example.com")

    everybody = {person["upstream_subject"]: person for person in terminal.json("users", "list")}

    assert (everybody["alice"]["sessions"], everybody["alice"]["grants"]) == (1, 1)
    assert (everybody["bob"]["sessions"], everybody["bob"]["grants"]) == (1, 0)
    assert everybody["alice"]["email"] == "alice@example.com"
    assert "alice@example.com" in terminal.ok("users", "list")


def test_one_person_is_shown_with_every_session_and_app(terminal: Terminal) -> None:
    sign_in(terminal, "alice", email="alice@example.com", app="files")

    (alice,) = terminal.json("users", "list", "alice@example.com")

    assert len(alice["sessions"]) == 1
    assert (alice["grants"][0]["grant_id"], alice["grants"][0]["client_name"]) == ("grant-files", "Client")
    assert "groups staff" in terminal.ok("users", "list", "alice")


def test_what_hangs_on_a_provider_that_is_gone_is_not_shown_as_good(terminal: Terminal) -> None:
    """Every refresh of it is refused; `checked_at` and an expiry in a month say otherwise."""
    sign_in(terminal, "alice", app="files")
    sign_in(terminal, "bob", provider="oidc", app="mail")
    assert "not configured" not in terminal.ok("users", "list", "alice"), "no provider at all: the settings say nothing"
    terminal.env |= {"OIDC_ISSUER": "https://idp.example.com", "OIDC_CLIENT_ID": "b", "OIDC_CLIENT_SECRET": "s"}

    everybody = {person["upstream_subject"]: person["usable"] for person in terminal.json("users", "list")}
    (alice,) = terminal.json("users", "list", "alice")
    (bob,) = terminal.json("users", "list", "bob")

    assert everybody == {"alice": False, "bob": True}
    assert (alice["grants"][0]["usable"], alice["sessions"][0]["usable"]) == (False, False)
    assert (bob["grants"][0]["usable"], bob["sessions"][0]["usable"]) == (True, True)
    assert "corp (not configured)" in terminal.ok("users", "list")
    assert terminal.ok("users", "list", "alice").count("of no use: corp is not configured") == 2
    assert "of no use" not in terminal.ok("users", "list", "bob")


def test_revoking_ends_sessions_grants_and_logins_on_their_way(terminal: Terminal) -> None:
    """Issue: everything a person holds; rule B17 for what is on its way."""
    sign_in(terminal, "alice", email="alice@example.com", app="files")
    sign_in(terminal, "bob", app="mail")

    (ended,) = terminal.json("users", "revoke", "alice")

    assert (ended["sessions"], ended["grants"]) == (1, 1)
    (alice,) = terminal.json("users", "list", "alice")
    assert (alice["sessions"], alice["grants"]) == ([], [])
    (bob,) = terminal.json("users", "list", "bob")
    assert len(bob["grants"]) == 1
    (event,) = [event for event in terminal.json("audit", "tail") if event["event"] == "user.revoked"]
    assert (event["subject"], event["by"]) == ("u_alice_corp", "command line")


def test_a_login_that_began_before_does_not_finish_after(terminal: Terminal) -> None:
    """Rule B17."""
    sign_in(terminal, "alice")
    terminal.ok("users", "revoke", "alice")
    database, now = f"sqlite:///{terminal.directory}/broker.db", SystemClock().now()

    async def finish(began_at: int) -> str | None:
        store = open_store(database, sink=unheard, clock=SystemClock(), serving=False)
        await store.open()
        identity = make_identity(
            subject="u_alice_corp", upstream_subject="alice", upstream_issuer="https://corp.example.com"
        )
        session = make_session(session_hash=b"n" * 32, identity=identity, expires_at=now + 3600, began_at=began_at)
        saved = await store.save_session(session, replaces=None, now=now, events=())
        await store.close()
        return saved

    assert asyncio.run(finish(now - 60)) is None
    assert asyncio.run(finish(now + 60)) is not None


def test_an_address_of_several_people_revokes_nobody_by_itself(terminal: Terminal) -> None:
    """Rule B10: an address is no identity; somebody else may have brought it along."""
    sign_in(terminal, "alice", email="alice@example.com", app="files")
    sign_in(terminal, "mallory", provider="github", email="alice@example.com", app="mail")

    said = terminal.refused("users", "revoke", "alice@example.com")

    assert "u_alice_corp (corp)" in said
    assert "u_mallory_github (github)" in said
    assert "--all" in said
    assert len(terminal.json("users", "list", "alice")[0]["grants"]) == 1
    assert len(terminal.json("users", "revoke", "alice@example.com", "--all")) == 2
    assert terminal.json("users", "list", "mallory")[0]["grants"] == []


def test_a_fault_elsewhere_in_the_settings_keeps_nobody_in(terminal: Terminal) -> None:
    """Issue: whoever has to go goes at once, also while a rule has a typing error; the warning says which."""
    sign_in(terminal, "alice", app="files")
    database = f'database_url = "sqlite:///{terminal.directory}/broker.db"\n'
    (terminal.directory / "broker.toml").write_text(database + '[[policy]]\ngroupp = "staff"\n')

    result = terminal.run("users", "revoke", "alice")

    assert result.exit_code == 0
    assert "1 grants" in result.stdout
    assert "groupp" in result.stderr
    assert terminal.json("users", "list", "alice")[0]["grants"] == []
    (terminal.directory / "broker.toml").write_text('database_url = "nowhere"\n')
    assert "database_url" in terminal.refused("users", "list", status=2).lower()


def test_nobody_is_not_revoked(terminal: Terminal) -> None:
    assert "nobody is known as nobody@example.com" in terminal.refused("users", "revoke", "nobody@example.com")
    assert "nobody is known" in terminal.refused("users", "list", "nobody")
    assert "Nobody has signed in yet" in terminal.ok("users", "list")


def test_a_database_that_was_not_there_is_named(terminal: Terminal) -> None:
    """Whoever mistypes the place would otherwise read that nobody ever signed in."""
    terminal.env["BROKER_DATABASE_URL"] = "sqlite:///elsewhere.db"
    first = terminal.run("users", "list")
    assert first.stderr == f"There is no database yet, making one: {terminal.directory}/elsewhere.db\n"
    assert "Nobody" in first.stdout
    assert terminal.run("users", "list").stderr == ""
