"""A `sid` that only a re-check brings is compared with the logouts since the login began, on both databases (rule B17)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.model import LoggedOut, UpstreamSession
from broker.store.base import Store
from broker.store.upstream_base import LogoutToken
from tests.broker.records import NOW, make_identity
from tests.broker.store.keeper import Keeper, event, give_grant, make_session, race, stored

ISSUER = "https://idp.example.com"
SID_ONLY = LoggedOut(issuer=ISSUER, subject=None, sid="sid-1")


async def leased(store: Store, name: str = "s", sid: str | None = None, *, began_at: int = NOW - 10) -> UpstreamSession:
    """Save a session that is due, and take its lease."""
    identity = make_identity(upstream_sid=sid)
    session = make_session(
        session_hash=name.encode().ljust(32, b"."), identity=identity, checked_at=NOW - 900, began_at=began_at
    )
    saved = await store.save_session(session, replaces=None, now=NOW, events=())
    assert saved is not None
    found = await store.lease_upstream_session(saved, lease="one", now=NOW, until=NOW + 30, due=NOW - 900, skew=60)
    assert found is not None
    return found


async def log_out(store: Store, who: LoggedOut = SID_ONLY, *, jti: str = "jti", now: int = NOW) -> bool:
    token = LogoutToken(jti=jti, expires_at=now + 180)
    return await store.log_out(who, token, ends_grants=True, now=now, events=event("upstream.logout"))


async def renew(
    store: Store, session: UpstreamSession, sid: str | None, *, now: int = NOW, ends_grants: bool = True
) -> bool:
    told = replace(session, identity=make_identity(upstream_sid=sid), sealed_tokens="new")
    return await store.renew_upstream_session(
        told, lease="one", now=now, known_at=now, events=event("upstream.rechecked"), ends_grants=ends_grants
    )


@pytest.mark.parametrize("known", [None, "sid-0"], ids=["none was known", "another was known"])
async def test_a_logout_of_a_session_that_was_not_known_by_its_sid_wins(store: Store, known: str | None):
    """Rule B17: it arrived while the provider was being asked, and only the answer says whom it meant."""
    session = await leased(store, sid=known)
    assert await log_out(store)
    found = await store.find_upstream_session(session.upstream_session_id)
    assert found is not None
    assert found.ended_at is None, "nothing says yet that this was the one"

    assert not await renew(store, session, "sid-1")

    found = await store.find_upstream_session(session.upstream_session_id)
    assert found is not None
    assert found.sealed_tokens == "sealed-1", "nothing of the answer is kept"
    assert "upstream.rechecked" not in await stored(store)
    ended = await store.end_upstream_session(
        session.upstream_session_id, lease="one", now=NOW, reason="logout", events=event("upstream.ended")
    )
    assert ended, "the lease is still there to end it by"


async def test_a_logout_from_before_the_login_and_one_of_another_sid_change_nothing(store: Store):
    """Rule B17 is about logouts since the login began."""
    await log_out(store, now=NOW - 60)
    session = await leased(store)
    await log_out(store, LoggedOut(issuer=ISSUER, subject=None, sid="sid-2"), jti="another")
    assert await renew(store, session, "sid-1")
    assert await store.find_session(b"s".ljust(32, b"."), now=NOW) is not None


async def test_the_new_sid_is_what_later_logouts_find(store: Store):
    """Rule B15: from the answer on the session has that `sid`; looking for its tombstone leaves none."""
    session = await leased(store)
    assert await renew(store, session, "sid-1")
    assert await store.find_session(b"s".ljust(32, b"."), now=NOW) is not None
    assert await leased(store, "t", "sid-1", began_at=NOW), "a login with that `sid` finishes"
    assert await log_out(store)
    found = await store.find_upstream_session(session.upstream_session_id)
    assert found is not None
    assert found.ended_at == NOW


async def test_where_grants_stay_only_the_browser_session_is_dead(store: Store):
    """Contract, `LOGOUT_ENDS=sessions`: the answer is stored, and the tombstone keeps the browser out."""
    session = await leased(store)
    handle = await give_grant(store, upstream_session_id=session.upstream_session_id)
    await log_out(store)
    assert await renew(store, session, "sid-1", ends_grants=False)
    assert await store.find_session(b"s".ljust(32, b"."), now=NOW) is None
    assert (await store.holdings("u_alice", now=NOW)).sessions == ()
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())


async def test_whichever_comes_first_the_logout_or_the_answer_nothing_stays_alive(stores: Keeper):
    """Rule B17, on two replicas: the answer finds the tombstone, or the logout finds the session by its new `sid`."""
    replicas = [await stores.open(), await stores.open()]
    sessions = [await leased(replicas[1], f"s{n}") for n in range(12)]

    async def act(n: int) -> bool:
        if n == 0:
            return await log_out(replicas[0])
        return await renew(replicas[1], sessions[n - 1], "sid-1")

    stood = await race(act, racers=13)
    for renewed, session in zip(stood[1:], sessions, strict=True):
        found = await replicas[0].find_upstream_session(session.upstream_session_id)
        assert found is not None
        assert (found.ended_at is not None) is renewed, "stored and then ended, or refused and the lease kept"
