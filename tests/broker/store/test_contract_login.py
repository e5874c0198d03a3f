"""Pending logins, people and browser sessions, on both databases."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from broker.store.base import Store
from tests.broker.records import NOW, make_identity
from tests.broker.store.keeper import Keeper, event, give_code, make_login, make_session, race, redeem, stored

_NOTHING: Any = None
UNSTORABLE = (replace(event()[0], name=_NOTHING),)  # its name is missing, which both databases refuse
REFUSED = (sqlite3.IntegrityError, psycopg.IntegrityError)


async def test_a_pending_login_comes_back_as_it_was_saved(store: Store):
    """Rule B2: the stored login is the only source of context."""
    login = make_login()
    assert await store.begin_login(login, events=event("login.started"))
    assert await store.finish_login(login.state_hash, now=NOW, events=event("login.returned")) == login
    assert await stored(store) == ["login.started", "login.returned"]


async def test_a_login_finishes_once(store: Store):
    """Rule B3."""
    await store.begin_login(make_login(), events=())
    assert await store.finish_login(b"s" * 32, now=NOW, events=event("login.returned"))
    assert await store.finish_login(b"s" * 32, now=NOW, events=event("login.returned")) is None
    assert await stored(store) == ["login.returned"]


async def test_an_unknown_state_finishes_nothing(store: Store):
    """Rule B3."""
    await store.begin_login(make_login(), events=())
    assert await store.finish_login(b"t" * 32, now=NOW, events=event("login.returned")) is None
    assert await stored(store) == []


async def test_a_login_dies_exactly_when_it_expires(store: Store):
    """Rule B3: the last good second is the one before."""
    await store.begin_login(make_login(request_id="r1", state_hash=b"1" * 32), events=())
    await store.begin_login(make_login(request_id="r2", state_hash=b"2" * 32), events=())
    assert await store.finish_login(b"1" * 32, now=NOW + 599, events=())
    assert await store.finish_login(b"2" * 32, now=NOW + 600, events=event("login.returned")) is None
    assert await stored(store) == []


async def test_a_later_approval_replaces_the_earlier_login(store: Store):
    """Rule A8: two tabs; the one approved last is the one that counts."""
    await store.begin_login(make_login(state_hash=b"1" * 32), events=())
    assert await store.begin_login(make_login(state_hash=b"2" * 32, nonce="later"), events=())
    assert await store.finish_login(b"1" * 32, now=NOW, events=()) is None
    found = await store.finish_login(b"2" * 32, now=NOW, events=())
    assert found is not None
    assert found.nonce == "later"


async def test_a_finished_request_cannot_be_approved_again(store: Store):
    """Rule A9: a doubled approval never makes two logins that both succeed."""
    await store.begin_login(make_login(), events=())
    await store.finish_login(b"s" * 32, now=NOW, events=())
    assert not await store.begin_login(make_login(state_hash=b"2" * 32), events=event("login.started"))
    assert await store.finish_login(b"2" * 32, now=NOW, events=()) is None
    assert await stored(store) == []


async def test_a_request_whose_code_was_redeemed_cannot_be_approved_again(store: Store):
    """Rule A9."""
    code_hash = await give_code(store)
    assert await store.begin_login(make_login(), events=())
    assert await redeem(store, code_hash)
    assert not await store.begin_login(make_login(), events=())


async def test_of_sixteen_callbacks_one_finishes_the_login(stores: Keeper):
    """Rule B3, on two replicas."""
    replicas = [await stores.open(), await stores.open()]
    await replicas[0].begin_login(make_login(), events=())
    returned = event("login.returned")
    won = await race(lambda n: replicas[n % 2].finish_login(b"s" * 32, now=NOW, events=returned))
    assert len([login for login in won if login]) == 1
    assert await stored(replicas[0]) == ["login.returned"]


async def subject_of(
    store: Store, upstream: str, candidate: str, *, issuer: str = "https://idp", apart: str = ""
) -> str:
    created = event("user.created", candidate=candidate)
    return await store.subject_for(issuer, upstream, namespace=apart, candidate=candidate, now=NOW, events=created)


async def test_a_login_that_could_not_be_recorded_is_not_used_up(store: Store):
    """The event and the change are one transaction: neither is there without the other."""
    await store.begin_login(make_login(), events=())
    with pytest.raises(REFUSED):
        await store.finish_login(b"s" * 32, now=NOW, events=UNSTORABLE)
    assert await store.finish_login(b"s" * 32, now=NOW, events=())


async def test_a_person_who_could_not_be_recorded_is_not_made(store: Store):
    """As above."""
    with pytest.raises(REFUSED):
        await store.subject_for("https://idp", "42", namespace="", candidate="u_1", now=NOW, events=UNSTORABLE)
    assert await subject_of(store, "42", "u_2") == "u_2"


async def test_a_person_keeps_the_subject_of_the_first_sign_in(store: Store):
    """Architecture section 5: our `sub` is a stored random name found by issuer and upstream subject; rule B10."""
    assert await subject_of(store, "42", "u_1") == "u_1"
    assert await subject_of(store, "42", "u_2") == "u_1"


async def test_the_event_of_a_new_person_is_stored_once_and_with_the_name_that_counts(store: Store):
    """An auditor sees when somebody became known here, and nothing of the kind again."""
    await subject_of(store, "42", "u_1")
    await subject_of(store, "42", "u_2")
    await subject_of(store, "43", "u_3")
    made = await store.read_events()
    assert [found.event.fields["candidate"] for found in made] == ["u_1", "u_3"]


async def test_issuer_subject_and_namespace_keep_people_apart(store: Store):
    """Architecture section 5."""
    people = [
        await subject_of(store, "42", "u_1"),
        await subject_of(store, "43", "u_2"),
        await subject_of(store, "42", "u_3", issuer="https://other"),
        await subject_of(store, "42", "u_4", apart="apart"),
    ]
    assert people == ["u_1", "u_2", "u_3", "u_4"]


async def test_sixteen_first_sign_ins_of_one_person_make_one_subject(stores: Keeper):
    """Architecture section 5, on two replicas; the event is that of the one who made it."""
    replicas = [await stores.open(), await stores.open()]
    found = await race(lambda n: subject_of(replicas[n % 2], "42", f"u_{n}"))
    made = await replicas[0].read_events()
    assert [made_.event.fields["candidate"] for made_ in made] == [*set(found)]


async def test_a_session_comes_back_as_it_was_saved(store: Store):
    """Only the hash of its cookie is stored (rule G11)."""
    session = make_session(identity=make_identity(groups=(), amr=("pwd", "otp"), attributes={"roles": ("a", "b")}))
    await store.save_session(session, replaces=None, now=NOW, events=event("session.started"))
    assert await store.find_session(session.session_hash, now=NOW) == session
    assert await stored(store) == ["session.started"]


async def test_a_session_ends_exactly_when_it_expires(store: Store):
    """Rule F4: our own expiries have no leeway."""
    await store.save_session(make_session(), replaces=None, now=NOW, events=())
    assert await store.find_session(b"b" * 32, now=NOW + 3599)
    assert await store.find_session(b"b" * 32, now=NOW + 3600) is None
    assert not await store.end_session(b"b" * 32, now=NOW + 3600, events=())


async def test_a_new_session_ends_the_one_that_it_replaces(store: Store):
    """Rule G9: every login makes a new session id."""
    await store.save_session(make_session(session_hash=b"1" * 32), replaces=None, now=NOW, events=())
    await store.save_session(make_session(session_hash=b"2" * 32), replaces=b"1" * 32, now=NOW, events=())
    assert await store.find_session(b"1" * 32, now=NOW) is None
    assert await store.find_session(b"2" * 32, now=NOW)


async def test_of_sixteen_sign_outs_one_ends_the_session(stores: Keeper):
    """The event of the end is stored once."""
    replicas = [await stores.open(), await stores.open()]
    await replicas[0].save_session(make_session(), replaces=None, now=NOW, events=())
    won = await race(lambda n: replicas[n % 2].end_session(b"b" * 32, now=NOW, events=event("session.ended")))
    assert won.count(True) == 1
    assert await stored(replicas[0]) == ["session.ended"]
