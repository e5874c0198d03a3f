"""What the end of a person takes along, and what it leaves alone, on both databases (contract, `users revoke`)."""

from __future__ import annotations

import pytest

from broker.store.base import Store
from tests.broker.records import NOW, make_identity
from tests.broker.store.keeper import Keeper, event, give_code, give_grant, make_session, race, redeem

ISSUER = "https://idp.example.com"


async def person(store: Store, namespace: str) -> str:
    """Return our subject for alice as this namespace knows her."""
    return await store.subject_for(ISSUER, "alice", namespace=namespace, candidate=f"u_{namespace}", now=NOW, events=())


async def sign_in(store: Store, subject: str, name: str, *, began_at: int = NOW - 10) -> str | None:
    identity = make_identity(subject=subject, provider=subject.removeprefix("u_"))
    session = make_session(session_hash=name.encode().ljust(32, b"."), identity=identity, began_at=began_at)
    return await store.save_session(session, replaces=None, now=NOW, events=())


async def test_the_same_account_under_another_namespace_is_another_person(store: Store):
    """Architecture, section 5, "identity": one issuer and subject, kept apart; ending one ends nothing of the other, live or on its way."""
    ended, other = await person(store, "staff"), await person(store, "lab")
    theirs = await sign_in(store, other, "theirs")
    assert theirs is not None
    handle = await give_grant(store, "1", identity=make_identity(subject=other), upstream_session_id=theirs)
    assert await sign_in(store, ended, "mine")

    assert await store.end_person(ended, now=NOW, reason="user_revoked", events=event("user.revoked"))

    assert (await store.holdings(ended, now=NOW)).sessions == ()
    assert await store.find_session(b"theirs".ljust(32, b"."), now=NOW) is not None
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())
    code = await give_code(store, "2", identity=make_identity(subject=other), upstream_session_id=theirs)
    assert await redeem(store, code)
    assert await sign_in(store, other, "theirs, on its way")
    assert await sign_in(store, ended, "mine, on its way") is None
    await store.purge(NOW + 60, audit_before=0)
    assert await store.find_session(b"theirs".ljust(32, b"."), now=NOW) is not None


async def test_whoever_was_ended_may_sign_in_again(store: Store):
    subject = await person(store, "staff")
    assert await sign_in(store, subject, "before")
    await store.end_person(subject, now=NOW, reason="user_revoked", events=())
    for began_at, saved in ((NOW - 1, False), (NOW, False), (NOW + 1, True)):
        assert (await sign_in(store, subject, f"at {began_at}", began_at=began_at) is not None) is saved


@pytest.mark.parametrize("racers", [2, 12])
async def test_a_login_and_the_end_of_its_person_at_once_leave_nothing_alive(stores: Keeper, racers: int):
    """Rule B17, on two replicas, for an end that came from here."""
    replicas = [await stores.open(), await stores.open()]
    subject = await person(replicas[0], "staff")

    async def act(n: int) -> None:
        if n == racers // 2:
            await replicas[0].end_person(subject, now=NOW, reason="user_revoked", events=())
            return
        saved = await sign_in(replicas[1], subject, f"session {n}")
        if saved is not None:
            try:
                code = await give_code(
                    replicas[1], f"{n}", identity=make_identity(subject=subject), upstream_session_id=saved
                )
            except AssertionError:
                return
            await redeem(replicas[1], code)

    await race(act, racers=racers)
    held = await replicas[0].holdings(subject, now=NOW)
    assert (held.sessions, held.grants) == ((), ())
