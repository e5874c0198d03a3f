"""`mcp-broker policy explain` about somebody with several live sign-ins: what it shows is what the broker decides."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest

from broker.clock import SystemClock
from broker.model import Identity
from broker.store.open import open_store
from tests.broker.cli.terminal import Terminal, served
from tests.broker.records import make_identity
from tests.broker.store.keeper import give_grant, make_session, unheard

FILES, MAIL = "https://files.example.com/mcp", "https://mail.example.com/mcp"
ASK = ("policy", "explain", "--user", "u_alice", "--client", "app", "--resource", "files", "--scope", "files:read")
RULES = [{"name": "read", "group": "staff", "scopes": ["files:read"]}]


@pytest.fixture
def shell(terminal: Terminal) -> Terminal:
    terminal.env |= served(RULES, {"files:read": "Read"})
    return terminal


def alice(**changes: Any) -> Identity:
    return make_identity(**{"provider": "oidc", "subject": "u_alice", "upstream_subject": "42", **changes})


def signed_in(
    name: str, identity: Identity, *, minutes_ago: int, app: str = "", client: str = "app", url: str = FILES
) -> None:
    """Leave a live session and, for an app, a grant that hangs on it; the upstream session is called by the name."""
    now = int(time.time())

    async def work() -> None:
        store = open_store("sqlite:///broker.db", sink=unheard, clock=SystemClock(), serving=False)
        await store.open()
        await store.subject_for(identity.upstream_issuer, "42", namespace="", candidate="u_alice", now=1, events=())
        session = make_session(
            session_hash=name.encode() * 8,
            identity=identity,
            upstream_session_id=name,
            expires_at=now + 3600,
            checked_at=now - 60 * minutes_ago,
        )
        session = replace(session, created_at=now - 60 * minutes_ago)
        assert await store.save_session(session, replaces=None, now=now, events=()) == name
        if app:
            kept = {"idle_expires_at": now + 3600, "expires_at": now + 3600}
            await give_grant(
                store, app, identity=identity, upstream_session_id=name, client_id=client, resource=url, **kept
            )
        await store.close()

    asyncio.run(work())


def test_the_sign_in_decides_on_which_the_app_s_grant_hangs(shell: Terminal) -> None:
    """The next refresh of that grant is decided so, whatever a newer sign-in in another browser brought."""
    signed_in("old", alice(groups=("staff",)), minutes_ago=60, app="one")
    signed_in("new", alice(groups=("sales",)), minutes_ago=1)

    told = shell.json(*ASK)

    assert (told["allowed"], told["person"]["groups"]) == (True, ["staff"])
    assert (told["sign_in"]["live"], told["sign_in"]["grants"]) == (True, ["grant-one"])
    assert [(one["allowed"], one["person"]["groups"], one["sign_in"]["grants"]) for one in told["others"]] == [
        (False, ["sales"], [])
    ]
    text = shell.ok(*ASK)
    assert text.startswith("PERMITTED: files:read\n")
    assert "the app's grant grant-one hangs on it" in text
    assert "Signed in otherwise, too:\n  REFUSED: nothing (not files:read)\n" in text
    assert "rule no match: no allow rule matches this person on files" in text
    assert "groups sales" in text


def test_a_refused_grant_is_a_refusal_though_a_newer_sign_in_would_be_permitted(shell: Terminal) -> None:
    signed_in("old", alice(groups=("sales",)), minutes_ago=60, app="one")
    signed_in("new", alice(groups=("staff",)), minutes_ago=1)

    result = shell.run(*ASK, "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["allowed"], told["others"][0]["allowed"]) == (1, False, True)


@pytest.mark.parametrize("other", [{"client": "other"}, {"url": MAIL}, {}], ids=["client", "resource", "none"])
def test_without_a_grant_of_the_app_there_every_live_sign_in_is_judged(shell: Terminal, other: dict[str, str]) -> None:
    """A grant of another app, or of this one on another server, hangs on what it hangs on; it is no word about this one."""
    signed_in("old", alice(groups=("staff",), acr="1"), minutes_ago=60, app="one" if other else "", **other)
    signed_in("new", alice(groups=("sales",)), minutes_ago=1)

    told = json.loads(shell.run(*ASK, "--json").stdout)

    assert [one["person"]["groups"] for one in (told, *told["others"])] == [["sales"], ["staff"]]
    assert [one["allowed"] for one in (told, *told["others"])] == [False, True]
    assert "; no grant" in shell.run(*ASK).stdout


def test_what_is_decided_alike_is_said_in_two_words(shell: Terminal) -> None:
    signed_in("old", alice(groups=("staff",)), minutes_ago=60)
    signed_in("new", alice(groups=("staff",)), minutes_ago=1)

    assert "Signed in otherwise, too:\n  the same\n" in shell.ok(*ASK)


def test_two_grants_of_one_app_are_both_told(shell: Terminal) -> None:
    """The same app on two machines: each grant hangs on the sign-in that it came from."""
    signed_in("old", alice(groups=("staff",)), minutes_ago=60, app="one")
    signed_in("new", alice(groups=("sales",)), minutes_ago=1, app="two")

    told = json.loads(shell.run(*ASK, "--json").stdout)

    assert [(one["allowed"], one["sign_in"]["grants"]) for one in (told, *told["others"])] == [
        (False, ["grant-two"]),
        (True, ["grant-one"]),
    ]


def test_what_is_supposed_is_supposed_of_every_sign_in(shell: Terminal) -> None:
    signed_in("old", alice(groups=("sales",), acr="1"), minutes_ago=60)
    signed_in("new", alice(groups=("guests",)), minutes_ago=1)

    told = shell.json(*ASK, "--group", "staff")

    assert [(one["allowed"], one["person"]["acr"]) for one in (told, *told["others"])] == [(True, None), (True, "1")]


def test_a_provider_that_is_supposed_chooses_among_the_sign_ins_through_it(shell: Terminal) -> None:
    """Two registrations at one issuer know the same person (architecture, section 5, "identity")."""
    shell.env |= {
        "KEYCLOAK_ISSUER": "https://idp.example.com",
        "KEYCLOAK_CLIENT_ID": "b",
        "KEYCLOAK_CLIENT_SECRET": "s",
    }
    shell.env["BROKER_POLICY"] = '[{"provider": "keycloak", "group": "staff"}]'
    signed_in("old", alice(groups=("staff",), provider="keycloak"), minutes_ago=60)
    signed_in("new", alice(groups=("sales",)), minutes_ago=1)

    told = shell.json(*ASK, "--provider", "keycloak")

    assert (told["person"]["groups"], told["others"]) == (["staff"], [])


def test_whoever_has_no_live_sign_in_is_as_last_described_and_it_says_so(shell: Terminal) -> None:
    signed_in("old", alice(groups=("staff",)), minutes_ago=60)
    shell.ok("users", "revoke", "u_alice")

    told = shell.json(*ASK)

    assert (told["allowed"], told["sign_in"]["live"], told["others"]) == (True, False, [])
    assert "none lives; this is how the person was last described" in shell.ok(*ASK)
