"""`mcp-broker policy explain` (architecture, sections 7 and 8): the decision, the rule, and what would change it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest

from broker.clock import SystemClock
from broker.model import Client, ClientSource, Identity
from broker.store.open import open_store
from tests.broker.cli.terminal import Terminal, served
from tests.broker.records import make_identity
from tests.broker.store.keeper import make_session

ALICE: dict[str, Any] = {
    "provider": "oidc",
    "subject": "u_alice",
    "upstream_subject": "42",
    "email": "alice@corp.example",
    "groups": ("eng/backend", "staff"),
    "acr": "1",
    "auth_time_stated": True,
}
RULES = [
    {"name": "read", "group": "staff", "scopes": ["files:read"]},
    {"name": "write", "group": ["ops", "eng/*"], "acr": "gold", "scopes": ["files:write"], "access_token_ttl": "5m"},
    {"name": "no-mallory", "effect": "deny", "user": "mallory@corp.example"},
]
ASK = ("policy", "explain", "--client", "app", "--resource", "files")


@pytest.fixture
def shell(terminal: Terminal) -> Terminal:
    """A terminal with an MCP server, a provider and rules."""
    terminal.env |= served(RULES, {"files:read": "Read", "files:write": "Write"})
    return terminal


def seen(*people: Identity, clients: Sequence[Client] = ()) -> None:
    """Put people with sessions, and clients, into this terminal's database."""

    async def work() -> None:
        store = open_store("sqlite:///broker.db", sink=lambda _: None, clock=SystemClock(), serving=False)
        await store.open()
        for number, identity in enumerate(people):
            upstream = (identity.upstream_issuer, identity.upstream_subject)
            await store.subject_for(*upstream, namespace="", candidate=identity.subject, now=1, events=())
            session = make_session(session_hash=bytes([number]) * 32, identity=identity, expires_at=2**40)
            await store.save_session(session, replaces=None, now=1, events=())
        for client in clients:
            await store.save_client(client, events=())
        await store.close()

    asyncio.run(work())


def alice(**changes: Any) -> Identity:
    return make_identity(**{**ALICE, "auth_time": int(time.time()) - 60, **changes})


@pytest.mark.parametrize("user", ["u_alice", "42", "alice@corp.example", "ALICE@corp.example"])
def test_a_person_is_as_the_database_knows_them(shell: Terminal, user: str) -> None:
    seen(alice())
    told = shell.json(*ASK, "--user", user, "--scope", "files:read")

    assert (told["allowed"], told["scopes"], told["rule"]) == (True, ["files:read"], "read")
    assert told["person"]["groups"] == ["eng/backend", "staff"]
    assert 60 <= told["person"]["login_age"] < 120
    assert (told["access_token_ttl"], told["refresh_token_ttl"]) == (900, 30 * 86400)
    assert (told["withheld"], told["would_change"], told["step_up"]) == ([], [], None)


def test_what_is_partly_permitted_says_what_would_give_the_rest(shell: Terminal) -> None:
    """Status 0: something is permitted."""
    seen(alice())
    told = shell.json(*ASK, "--user", "u_alice", "--scope", "files:read files:write")

    assert (told["allowed"], told["withheld"]) == (True, ["files:write"])
    assert told["step_up"] == {"provider": "oidc", "acr_values": ["gold"], "max_age": None}
    assert told["would_change"][0] == "Signing in again, with acr gold"
    write = told["rules"][1]
    assert (write["name"], write["matches"]) == ("write", False)
    assert [(c["name"], c["has"], c["holds"]) for c in write["conditions"]] == [
        ("group", ["eng/backend", "staff"], True),
        ("acr", ["1"], False),
    ]


def test_a_refusal_ends_with_status_1(shell: Terminal) -> None:
    seen(alice(groups=("sales",), email="mallory@corp.example"))
    result = shell.run(*ASK, "--user", "u_alice", "--scope", "files:read")

    assert result.exit_code == 1
    assert "REFUSED: nothing (not files:read)" in result.stdout
    assert "no allow rule matches this person on files" in result.stdout
    assert "Allow rule read gives files:read to group staff (group is sales here)" in result.stdout


def test_the_words_for_a_person_tell_every_rule_and_condition(shell: Terminal) -> None:
    seen(alice(amr=(), groups=("staff",)))
    text = shell.ok(*ASK, "--user", "u_alice")

    for line in (
        "PERMITTED: files:read (not files:write)",
        "  rule      read",
        "alice@corp.example (oidc) with app on https://files.example.com/mcp",
        "  matches  allow read (files:read)",
        "      yes group is staff: staff",
        "  no match  allow write (files:write)",
        "      no  group is ops or eng/*: staff",
        "  no match  deny no-mallory (all scopes)",
        "  email_verified   yes",
        "  amr              none",
        "  role             unknown",
    ):
        assert line in text.splitlines()
    assert "What would change it:" in text


@pytest.mark.parametrize("reason", ["claim_absent", "graph_forbidden"])
def test_why_groups_are_unknown_is_told_and_that_no_rule_mends_it(shell: Terminal, reason: str) -> None:
    """The mapper or the permission is missing at the provider, and an administrator would else look at the rules."""
    seen(alice(groups=None, groups_unknown=reason))
    text = shell.run(*ASK, "--user", "u_alice").stdout

    assert f"  groups           unknown ({reason})" in text.splitlines()
    assert f"  - The groups are unknown ({reason}): no change of a rule helps; mend the provider's claim" in text
    assert "The roles are unknown" not in text, "no rule asks for them"
    described = shell.run(*ASK, "--user", "new@corp.example", "--role", "editor").stdout
    assert "  groups           unknown (not supposed)" in described.splitlines()
    assert "mend the provider's claim" not in described


def test_an_acr_is_told_in_the_providers_word_and_in_ours(shell: Terminal) -> None:
    """`ACR_MAP` makes two words of one."""
    shell.env["BROKER_PROVIDERS__OIDC__ACR_MAP"] = '{"1": "pwd", "2": "gold"}'
    seen(alice(acr="pwd"))
    text = shell.ok(*ASK, "--user", "u_alice", "--scope", "files:read files:write")

    assert "  acr              1 at the provider, pwd here" in text.splitlines()
    assert "  - Signing in again, with acr 2 at the provider, gold here" in text.splitlines()


def test_options_suppose_what_is_not_so(shell: Terminal) -> None:
    seen(alice(groups=()))
    assert shell.run(*ASK, "--user", "u_alice").exit_code == 1

    supposed = ("--group", "staff", "--group", "ops", "--acr", "gold")
    told = shell.json(*ASK, "--user", "u_alice", *supposed)
    assert (told["scopes"], told["access_token_ttl"]) == (["files:read", "files:write"], 300)
    assert told["rule"] == "read, write"


def test_somebody_unknown_is_described_by_options(shell: Terminal) -> None:
    told = shell.json(*ASK, "--user", "new@corp.example", "--group", "staff")
    assert (told["allowed"], told["person"]["email"], told["person"]["email_verified"]) == (
        True,
        "new@corp.example",
        True,
    )
    assert told["person"]["acr"] is None

    everything = shell.json(
        *ASK,
        *("--user", "u_new", "--provider", "oidc", "--email", "n@corp.example", "--group", "staff", "--role", "r"),
        *("--organization", "acme", "--tenant", "t", "--acr", "gold", "--amr", "hwk", "--login-age", "5m"),
    )["person"]
    assert (everything["subject"], everything["email"], everything["login_age"]) == ("u_new", "n@corp.example", 300)
    assert (everything["role"], everything["organization"], everything["tenant"]) == (["r"], ["acme"], ["t"])
    assert (everything["acr"], everything["amr"]) == ("gold", ["hwk"])
    assert shell.json(*ASK, "--user", "99", "--group", "staff")["person"]["upstream_subject"] == "99"


def test_somebody_unknown_and_not_described_is_status_2(shell: Terminal) -> None:
    assert "nobody is known as new@corp.example" in shell.refused(*ASK, "--user", "new@corp.example", status=2)
    shell.env |= {"KEYCLOAK_ISSUER": "https://kc.example", "KEYCLOAK_CLIENT_ID": "b", "KEYCLOAK_CLIENT_SECRET": "s"}
    shell.env["BROKER_POLICY"] = "[{}]"
    assert "how they would sign in" in shell.refused(*ASK, "--user", "x@corp.example", "--group", "staff", status=2)
    assert shell.json(*ASK, "--user", "x@corp.example", "--provider", "keycloak")["allowed"]


def test_an_address_of_several_people_is_status_2_until_one_is_chosen(shell: Terminal) -> None:
    """Security rule B10: an address is no identity."""
    shell.env |= {"KEYCLOAK_ISSUER": "https://kc.example", "KEYCLOAK_CLIENT_ID": "b", "KEYCLOAK_CLIENT_SECRET": "s"}
    shell.env["BROKER_POLICY"] = "[{}]"
    seen(alice(), alice(subject="u_twin", upstream_subject="43", provider="keycloak"))
    told = shell.refused(*ASK, "--user", "alice@corp.example", status=2)

    assert "u_alice (oidc)" in told
    assert "u_twin (keycloak)" in told
    one = shell.json(*ASK, "--user", "alice@corp.example", "--provider", "keycloak")
    assert one["person"]["subject"] == "u_twin"


def test_the_app_may_be_configured_added_or_unknown(shell: Terminal) -> None:
    shell.env["BROKER_POLICY"] = '[{"client": ["app", "added", "https://app.example/metadata", "typo"]}]'
    added = Client(client_id="added", name="Added", source=ClientSource.ADDED, redirect_uris=("https://a.example/cb",))
    seen(alice(), clients=(added,))

    for client in ("app", "added", "https://app.example/metadata"):
        result = shell.run("policy", "explain", "--client", client, "--resource", "files", "--user", "42")
        assert (result.exit_code, result.stderr) == (0, "")
    result = shell.run("policy", "explain", "--client", "typo", "--resource", "files", "--user", "42")
    assert (result.exit_code, "no client typo is registered here" in result.stderr) == (0, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--resource", "nowhere"), "'nowhere' is not configured: files"),
        (("--resource", "files", "--scope", "a\tb"), "write scopes such as files:read"),
        (("--resource", "files", "--provider", "kc"), "'kc' is not configured: oidc"),
        (("--resource", "files", "--login-age", "soon"), "no time span"),
    ],
)
def test_what_is_not_configured_is_wrong_usage(shell: Terminal, words: tuple[str, ...], says: str) -> None:
    asked = ("policy", "explain", "--client", "app", "--user", "42", "--group", "staff", *words)
    assert says in " ".join(shell.refused(*asked, status=2).replace("│", "").split())


def test_a_requirement_of_the_server_is_told(shell: Terminal) -> None:
    shell.env["BROKER_RESOURCES__FILES__REQUIRE"] = '{"acr": "gold", "max_login_age": "30s"}'
    seen(alice())
    result = shell.run(*ASK, "--user", "42", "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["allowed"], told["rule"]) == (1, False, "require")
    assert len(told["demands"]) == 2
    assert told["step_up"] == {"provider": "oidc", "acr_values": ["gold"], "max_age": 30}
    assert told["access_token_ttl"] is None


def test_without_rules_everything_is_permitted(shell: Terminal) -> None:
    del shell.env["BROKER_POLICY"]
    seen(alice(name=None, email=None))
    text = shell.ok(*ASK, "--user", "42")

    assert "PERMITTED: files:read files:write" in text
    assert "u_alice (oidc) with app" in text
    assert "Rules:" not in text
    assert "What would change it" not in text


def test_names_cannot_steer_a_terminal(shell: Terminal) -> None:
    """Security rule G7."""
    seen(alice(groups=("staff\x1b[31m",)))
    assert "\x1b" not in shell.run(*ASK, "--user", "42").stdout


def test_a_blocked_client_gets_nothing_whatever_the_rules_say(shell: Terminal) -> None:
    seen(alice())
    shell.ok("clients", "block", "app")
    result = shell.run(*ASK, "--user", "u_alice", "--scope", "files:read", "--json")

    told = json.loads(result.stdout)
    assert (result.exit_code, told["allowed"], told["scopes"], told["withheld"]) == (1, False, [], ["files:read"])
    assert (told["rule"], told["reason"]) == ("client", "client app is blocked")
    assert told["would_change"] == ["Lifting the block: mcp-broker clients unblock app"]


def test_what_a_client_may_not_ask_for_is_not_permitted(shell: Terminal) -> None:
    """Rule C10: the rules would give it, the administrator's word about the app does not."""
    shell.env["BROKER_CLIENTS__APP__SCOPE"] = "files:read"
    seen(alice(acr="gold"))
    told = shell.json(*ASK, "--user", "u_alice", "--scope", "files:read files:write")

    assert (told["allowed"], told["scopes"], told["withheld"]) == (True, ["files:read"], ["files:write"])
    assert told["asked"] == ["files:read", "files:write"]
    assert told["would_change"] == ["A SCOPE of client app that holds files:write"]

    refused = shell.run(*ASK, "--user", "u_alice", "--scope", "files:write")
    assert refused.exit_code == 1
    assert "REFUSED: nothing (not files:write)" in refused.stdout
    assert "client app may ask for files:read alone, as its SCOPE says" in refused.stdout
