"""`mcp-broker users revoke` gives a person's tokens back to the provider after everything here has ended."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from broker.clock import SystemClock, SystemEntropy
from broker.seal import Sealer
from broker.store.open import open_store
from broker.upstream.vault import TokenVault
from providers.base import UpstreamTokens
from tests.broker.cli.terminal import Terminal
from tests.broker.doctor.servers import serving
from tests.broker.records import make_identity
from tests.broker.store.keeper import give_grant, make_session, unheard
from tests.providers import scripted_faults as faulty
from tests.providers.scripted_idp import ScriptedIdp

KEY = b"k" * 32
SECRET = "a-client-secret-of-32-characters!!"


@pytest.fixture
def idp(terminal: Terminal) -> Iterator[ScriptedIdp]:
    """A provider on a socket of loopback, configured as `keycloak`."""
    made: list[ScriptedIdp] = []

    def make(url: str) -> Any:
        made.append(ScriptedIdp(url, client_secret=SECRET))
        return made[0].app

    with serving(make) as url:
        terminal.env |= {
            "BROKER_MASTER_KEY": base64.urlsafe_b64encode(KEY).decode(),
            "BROKER_PROVIDERS__CORP__TYPE": "keycloak",
            "BROKER_PROVIDERS__CORP__ISSUER": url,
            "BROKER_PROVIDERS__CORP__CLIENT_ID": "broker",
            "BROKER_PROVIDERS__CORP__CLIENT_SECRET": SECRET,
            "BROKER_PROVIDERS__CORP__TIMEOUT": "3s",
        }
        yield made[0]


def hold(terminal: Terminal, name: str, *, sealed_by: bytes = KEY, sessions: int = 1) -> None:
    """Leave live sessions, and a grant that hangs on a sign-in whose browser session is over."""
    database, now = f"sqlite:///{terminal.directory}/broker.db", SystemClock().now()
    vault = TokenVault(Sealer((sealed_by,), SystemEntropy()))

    async def save() -> None:
        store = open_store(database, sink=unheard, clock=SystemClock(), serving=False)
        await store.open()
        issuer = "https://idp.example.com"
        subject = await store.subject_for(issuer, name, namespace="", candidate=f"u_{name}", now=now, events=())
        identity = make_identity(subject=subject, upstream_subject=name, upstream_issuer=issuer, provider="corp")
        for number in range(sessions + 1):
            sealed = vault.seal(identity, UpstreamTokens(access_token="at", refresh_token=f"rt of {name} {number}"))
            session = make_session(
                session_hash=f"{name} {number}".encode(),
                identity=identity,
                expires_at=now + 3600,
                began_at=now - 5,
                sealed_tokens=sealed,
            )
            saved = await store.save_session(replace(session, created_at=now), replaces=None, now=now, events=())
        kept = {"idle_expires_at": now + 3600, "expires_at": now + 7200}
        await give_grant(store, name, identity=identity, upstream_session_id=saved, **kept)
        await store.end_session(f"{name} {sessions}".encode(), now=now, events=())
        await store.close()

    asyncio.run(save())


def given_back(idp: ScriptedIdp) -> list[str]:
    return sorted(call.params["token"] for call in idp.calls("revoke"))


def test_every_sign_in_of_the_person_is_given_back_and_nobody_else_s(terminal: Terminal, idp: ScriptedIdp) -> None:
    """Also the one that only an app's grant hung on."""
    hold(terminal, "alice", sessions=2)
    hold(terminal, "bob")

    (ended,) = terminal.json("users", "revoke", "alice")

    assert (ended["sessions"], ended["grants"], ended["given_back"]) == (2, 1, 3)
    assert given_back(idp) == ["rt of alice 0", "rt of alice 1", "rt of alice 2"]
    events = [event["event"] for event in terminal.json("audit", "tail")]
    assert events.count("upstream.given_back") == 3
    assert events.index("user.revoked") < events.index("upstream.given_back"), "after the end here"
    assert "2 sign-ins were given back to corp" in terminal.ok("users", "revoke", "bob")


def test_a_provider_that_is_down_keeps_nobody_in(terminal: Terminal, idp: ScriptedIdp) -> None:
    hold(terminal, "alice")
    idp.faults.answers["revoke"] = faulty.DOWN

    (ended,) = terminal.json("users", "revoke", "alice")

    assert (ended["grants"], ended["given_back"]) == (1, 0)
    assert terminal.json("users", "list", "alice")[0]["grants"] == []
    failed = [e for e in terminal.json("audit", "tail") if e["event"] == "upstream.not_given_back"]
    assert {event["reason"] for event in failed} == {"revocation_unavailable"}


def test_tokens_that_cannot_be_opened_keep_nobody_in(terminal: Terminal, idp: ScriptedIdp) -> None:
    """Rule G11: sealed under another master key."""
    hold(terminal, "alice", sealed_by=b"o" * 32)

    (ended,) = terminal.json("users", "revoke", "alice")

    assert (ended["grants"], ended["given_back"], given_back(idp)) == (1, 0, [])
    failed = [e for e in terminal.json("audit", "tail") if e["event"] == "upstream.not_given_back"]
    assert {event["reason"] for event in failed} == {"tokens_seal_broken"}
