"""Upstream sessions: leases, what ends with them, logout events and tombstones, on both databases (rules B14 to B17)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.model import LoggedOut, UpstreamSession
from broker.store.base import Store
from broker.store.upstream_base import LogoutToken
from broker.store.upstream_rows import logout_keys
from broker.store.upstream_statements import MARK_LOGOUT
from tests.broker.records import NOW, make_identity
from tests.broker.store.keeper import (
    Keeper,
    event,
    give_code,
    give_grant,
    make_session,
    race,
    redeem,
    stored,
)

ISSUER = "https://idp.example.com"
DUE = NOW - 900
ALICE = LoggedOut(issuer=ISSUER, subject="alice", sid=None)


async def give_session(store: Store, name: str = "s", **upstream: Any) -> str:
    """Save a session whose last check is long ago; return the id of its upstream session."""
    session = make_session(session_hash=name.encode() * 32, **{"checked_at": NOW - 900, **upstream})
    saved = await store.save_session(session, replaces=None, now=NOW, events=())
    assert saved is not None
    return saved


async def lease(
    store: Store, saved: str, by: str = "one", *, now: int = NOW, until: int = 30
) -> UpstreamSession | None:
    return await store.lease_upstream_session(saved, lease=by, now=now, until=now + until, due=DUE, skew=60)


async def log_out(
    store: Store, who: LoggedOut = ALICE, *, jti: str = "jti", now: int = NOW, ends_grants: bool = True
) -> bool:
    token = LogoutToken(jti=jti, expires_at=now + 180)
    return await store.log_out(who, token, ends_grants=ends_grants, now=now, events=event("upstream.logout"))


async def test_of_sixteen_askers_on_two_replicas_one_gets_the_lease(stores: Keeper):
    """Rule B14."""
    replicas = [await stores.open(), await stores.open()]
    saved = await give_session(replicas[0])
    got = await race(lambda n: lease(replicas[n % 2], saved, f"asker {n}"))
    assert len([session for session in got if session]) == 1


async def test_a_lease_that_ran_out_is_taken_over_and_its_holder_stores_nothing(store: Store):
    """Rule B14: of two answers the one under the live lease counts."""
    saved = await give_session(store)
    first = await lease(store, saved, "slow")
    assert first is not None
    assert await lease(store, saved, "quick", now=NOW + 29) is None
    second = await lease(store, saved, "quick", now=NOW + 30)
    assert second is not None
    late = replace(first, sealed_tokens="late")
    assert not await store.renew_upstream_session(late, lease="slow", now=NOW, known_at=NOW, events=event("late"))
    fresh = replace(second, sealed_tokens="fresh")
    assert await store.renew_upstream_session(fresh, lease="quick", now=NOW + 31, known_at=NOW, events=event("fresh"))
    found = await store.find_upstream_session(saved)
    assert found is not None
    assert (found.sealed_tokens, found.checked_at) == ("fresh", NOW + 31)
    assert await stored(store) == ["fresh"]


async def test_a_replica_whose_clock_is_behind_steals_no_lease(store: Store):
    """Rule B14: two processes read a second apart what is one moment; a rotating provider would end the session at the second asker."""
    saved = await give_session(store)
    assert await lease(store, saved, "one", now=NOW)
    for behind in (1, 2, 59):
        assert await lease(store, saved, "two", now=NOW - behind) is None
    assert await lease(store, saved, "two", now=NOW - 86_400), "a lease that lies a day ahead is no lease (F4)"


async def test_what_was_checked_meanwhile_is_not_leased_again(store: Store):
    """Rule B14: one re-check an interval."""
    saved = await give_session(store)
    session = await lease(store, saved)
    assert session is not None
    await store.renew_upstream_session(session, lease="one", now=NOW, known_at=NOW, events=())
    assert await lease(store, saved, "two") is None


async def test_a_check_in_the_future_counts_for_nothing(store: Store):
    """Rule F4: a clock that was set back."""
    saved = await give_session(store, checked_at=NOW + 5000)
    assert await lease(store, saved)


async def test_a_lease_given_back_is_free_at_once_and_may_bring_tokens(store: Store):
    """Rule B14: tokens that came with a failure are kept."""
    saved = await give_session(store)
    await lease(store, saved)
    assert await store.release_upstream_session(saved, lease="one", sealed_tokens="rotated", events=())
    again = await lease(store, saved, "two")
    assert again is not None
    assert again.sealed_tokens == "rotated"
    await store.release_upstream_session(saved, lease="two", sealed_tokens=None, events=())
    found = await store.find_upstream_session(saved)
    assert found is not None
    assert found.sealed_tokens == "rotated"


async def test_a_grant_reads_the_person_from_its_upstream_session(store: Store):
    """One re-check serves every grant of the session (rule B16)."""
    saved = await give_session(store)
    handle = await give_grant(store, upstream_session_id=saved)
    session = await lease(store, saved)
    assert session is not None
    moved = replace(session, identity=make_identity(groups=("other",)))
    await store.renew_upstream_session(moved, lease="one", now=NOW, known_at=NOW, events=())
    grant = await store.find_grant_by_handle(handle)
    assert grant is not None
    assert (grant.identity.groups, grant.checked_at) == (("other",), NOW)
    found = await store.find_session(b"s" * 32, now=NOW)
    assert found is not None
    assert found.identity.groups == ("other",)


async def test_an_ended_upstream_session_ends_every_grant_and_session_at_once(store: Store):
    """Rules B15, B16: in every statement that would use them."""
    saved = await give_session(store)
    handle = await give_grant(store, "1", upstream_session_id=saved)
    waiting = await give_code(store, "2", upstream_session_id=saved)
    await lease(store, saved)
    assert await store.end_upstream_session(saved, lease="one", now=NOW, reason="gone", events=event("upstream.ended"))
    grant = await store.find_grant("grant-1")
    assert grant is not None
    assert (grant.revoked_at, grant.revoked_reason) == (NOW, "gone")
    assert not await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())
    assert await store.token_ended("jti", "grant-1", now=NOW)
    assert not await redeem(store, waiting)
    assert await store.find_session(b"s" * 32, now=NOW) is None
    found = await store.find_upstream_session(saved)
    assert found is not None
    assert (found.ended_at, found.sealed_tokens) == (NOW, None)
    assert not await store.end_upstream_session(saved, lease="one", now=NOW, reason="again", events=event("twice"))
    assert "twice" not in await stored(store)


async def test_no_code_is_saved_for_an_upstream_session_that_ended(store: Store):
    """Rule B17."""
    saved = await give_session(store)
    await log_out(store)
    with pytest.raises(AssertionError):
        await give_code(store, upstream_session_id=saved)


async def test_a_logout_token_is_used_once_on_any_number_of_replicas(stores: Keeper):
    """Rule B15, replay included."""
    replicas = [await stores.open(), await stores.open()]
    await give_session(replicas[0])
    won = await race(lambda n: log_out(replicas[n % 2]))
    assert won.count(True) == 1
    assert await stored(replicas[0]) == ["upstream.logout"]


@pytest.mark.parametrize(
    ("who", "ends"),
    [
        (LoggedOut(issuer=ISSUER, subject="alice", sid=None), {"first", "second", "nameless"}),
        (LoggedOut(issuer=ISSUER, subject="alice", sid="sid-1"), {"first", "nameless"}),
        (LoggedOut(issuer=ISSUER, subject=None, sid="sid-1"), {"first"}),
        (LoggedOut(issuer="https://other.example.com", subject="alice", sid=None), set()),
        (LoggedOut(issuer=ISSUER, subject="sid-1", sid=None), set()),
    ],
    ids=["subject", "subject and sid", "sid", "another issuer", "a sid is no subject"],
)
async def test_a_logout_ends_what_it_names(store: Store, who: LoggedOut, ends: set[str]):
    """Back-Channel Logout section 2.7; a session without a `sid` ends with its person's."""
    saved = {
        "first": await give_session(store, "1", identity=make_identity(upstream_sid="sid-1")),
        "second": await give_session(store, "2", identity=make_identity(upstream_sid="sid-2")),
        "nameless": await give_session(store, "3"),
        "bob": await give_session(store, "4", identity=make_identity(subject="u_bob", upstream_subject="bob")),
    }
    assert await log_out(store, who)
    ended = set()
    for name, session in saved.items():
        found = await store.find_upstream_session(session)
        if found is None or found.ended_at is not None:
            ended.add(name)
    assert ended == ends


async def test_a_login_that_began_before_the_logout_is_not_saved_and_one_since_is(store: Store):
    """Rule B17: to the second, and at the same second the logout wins."""
    await log_out(store)
    for began_at, saved in ((NOW - 600, False), (NOW, False), (NOW + 1, True)):
        session = make_session(session_hash=bytes([began_at % 251]) * 32, began_at=began_at)
        assert (await store.save_session(session, replaces=None, now=NOW, events=()) is not None) is saved


async def test_whichever_comes_first_a_logout_and_a_login_at_once_leave_nothing_alive(stores: Keeper):
    """Rule B17, on two replicas: a code saved after the logout's tombstone is refused, one saved before it is dead."""
    replicas = [await stores.open(), await stores.open()]
    for round_ in range(8):

        async def act(n: int, round_: int = round_) -> None:
            if n == 0:
                await log_out(replicas[0], jti=f"jti {round_}")
                return
            name = f"{round_}-{n}"
            session = make_session(session_hash=name.encode().ljust(32, b"."), upstream_session_id=name)
            if await replicas[1].save_session(session, replaces=None, now=NOW, events=()):
                try:
                    code_hash = await give_code(replicas[1], name, upstream_session_id=name)
                except AssertionError:
                    return
                await redeem(replicas[1], code_hash)

        await race(act, racers=6)
        held = await replicas[0].holdings("u_alice", now=NOW)
        assert (held.sessions, held.grants) == ((), ())


async def test_only_sessions_end_where_grants_are_to_stay(store: Store):
    """Contract, `LOGOUT_ENDS=sessions`."""
    saved = await give_session(store)
    handle = await give_grant(store, upstream_session_id=saved)
    assert await log_out(store, ends_grants=False)
    assert await store.find_session(b"s" * 32, now=NOW) is None
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())


async def test_a_session_saved_at_the_very_moment_of_a_logout_is_dead_and_stays_dead(store: Store):
    """Rule B17: its statement saw no tombstone yet and the logout's saw no session yet; the look at each use and the purge do."""
    await give_session(store, checked_at=NOW)
    late = {"first_key": logout_keys(ALICE)[0], "key_hash": b"", "tombstone_until": NOW + 3600, "now": NOW}
    await store._database.change(MARK_LOGOUT, late, ())  # type: ignore[attr-defined] # what a logout does first
    assert await store.find_session(b"s" * 32, now=NOW) is None
    await store.purge(NOW + 60, audit_before=0)
    await store.purge(NOW + 3600, audit_before=0)
    assert await store.find_session(b"s" * 32, now=NOW) is None


async def test_a_session_that_signed_out_gets_no_code_and_no_new_tokens(store: Store):
    """Rules E11, B13: Allow was pressed before, and the provider's answer comes after."""
    saved = await give_session(store)
    session = await lease(store, saved)
    assert session is not None
    assert await store.end_session(b"s" * 32, now=NOW, events=())
    assert not await store.renew_upstream_session(session, lease="one", now=NOW, known_at=NOW, events=())
    assert await store.sealed_tokens(after="", limit=9) == []
    with pytest.raises(AssertionError):
        await give_code(store, upstream_session_id=saved, session_hash=b"s" * 32)


async def test_a_predecessor_is_not_answered_again_after_its_grant_ended(store: Store):
    """Rule E11: whatever was revoked while the provider was being asked."""
    handle = await give_grant(store)
    assert await store.repeat_refresh_token(handle, now=NOW, events=event("repeated"))
    await store.revoke_grant("grant-1", now=NOW, reason="test", events=())
    assert not await store.repeat_refresh_token(handle, now=NOW, events=event("late"))
    other = await give_grant(store, "2", upstream_session_id=await give_session(store))
    await log_out(store)
    assert not await store.repeat_refresh_token(other, now=NOW, events=event("late"))
    assert "late" not in await stored(store)


async def test_one_person_s_shared_session_takes_the_newest_tokens_and_keeps_its_grants(store: Store):
    """Provider facts 6: GitHub ends the eleventh-newest token, so a new login must never end an older grant."""
    first = await give_session(store, "1", shared=True, upstream_session_id="us-1", sealed_tokens="old")
    handle = await give_grant(store, upstream_session_id=first)
    await lease(store, first, "asking with the old ones")
    second = await give_session(
        store, "2", shared=True, upstream_session_id="us-2", sealed_tokens="new", checked_at=NOW
    )
    assert second == first
    found = await store.find_upstream_session(first)
    assert found is not None
    assert (found.sealed_tokens, found.checked_at) == ("new", NOW)
    late = replace(found, sealed_tokens="older than new")
    lost = await store.renew_upstream_session(late, lease="asking with the old ones", now=NOW, known_at=NOW, events=())
    assert not lost
    assert not await store.end_upstream_session(
        first, lease="asking with the old ones", now=NOW, reason="token_revoked", events=()
    )
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())


async def test_an_ended_shared_session_is_not_revived_by_a_new_login(store: Store):
    """Rule E11: the grants of before stay ended."""
    first = await give_session(store, "1", shared=True, upstream_session_id="us-1")
    handle = await give_grant(store, upstream_session_id=first)
    await log_out(store)
    second = await give_session(store, "2", shared=True, upstream_session_id="us-2", began_at=NOW + 1)
    assert second == "us-2"
    assert not await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())


async def test_another_person_shares_nothing(store: Store):
    """Rule B14: never somebody else's session."""
    first = await give_session(store, "1", shared=True, upstream_session_id="us-1")
    bob = make_identity(subject="u_bob", upstream_subject="bob")
    assert await give_session(store, "2", shared=True, upstream_session_id="us-2", identity=bob) != first


async def test_a_person_s_end_takes_everything_they_hold(store: Store):
    """Issue: `users revoke`; also what is on its way."""
    subject = await store.subject_for(ISSUER, "alice", namespace="", candidate="u_alice", now=NOW, events=())
    saved = await give_session(store)
    handle = await give_grant(store, "1", upstream_session_id=saved)
    untied = await give_grant(store, "2")
    assert await store.end_person(subject, now=NOW, reason="user_revoked", events=event("user.revoked"))
    held = await store.holdings(subject, now=NOW)
    assert (held.sessions, held.grants) == ((), ())
    for one in (handle, untied):
        assert not await store.rotate_refresh_token(one, 1, now=NOW, idle_expires_at=NOW + 9, events=())
    assert await store.save_session(make_session(began_at=NOW), replaces=None, now=NOW, events=()) is None
    assert not await store.end_person("u_nobody", now=NOW, reason="user_revoked", events=event("nobody"))
    assert await stored(store) == ["user.revoked"]


async def test_people_are_listed_with_what_lives(store: Store):
    """Contract: `users list`."""
    for name in ("alice", "bob"):
        await store.subject_for(ISSUER, name, namespace="", candidate=f"u_{name}", now=NOW, events=())
    saved = await give_session(store)
    await give_grant(store, "1", upstream_session_id=saved)
    await give_grant(store, "2", upstream_session_id=saved, idle_expires_at=NOW + 10)
    (alice,) = await store.list_people(now=NOW + 10)
    assert (alice.identity.subject, alice.sessions, alice.grants) == ("u_alice", 1, 1)
    held = await store.holdings("u_alice", now=NOW + 10)
    assert [grant.grant_id for grant in held.grants] == ["grant-1"]


async def test_tokens_go_when_nothing_lives_that_needs_them_and_the_row_when_nothing_names_it(store: Store):
    """Architecture section 9; a row that went too early would bring ended grants back to life."""
    saved = await give_session(store, expires_at=NOW + 100)
    await give_grant(store, upstream_session_id=saved, expires_at=NOW + 200_000, idle_expires_at=NOW + 150_000)
    await store.purge(NOW + 100, audit_before=0)
    found = await store.find_upstream_session(saved)
    assert found is not None
    assert found.sealed_tokens == "sealed-1", "the grant lives and needs them"
    await store.revoke_grant("grant-1", now=NOW + 101, reason="test", events=())
    await store.purge(NOW + 100 + 86_400, audit_before=0)
    found = await store.find_upstream_session(saved)
    assert found is not None
    assert found.sealed_tokens is None
    await store.purge(NOW + 200_000, audit_before=0)
    await store.purge(NOW + 300_000, audit_before=0)
    assert await store.find_upstream_session(saved) is None


async def test_a_seal_is_replaced_only_as_long_as_it_is_the_same(store: Store):
    """`keys reseal` beside a running broker."""
    for name in "ab":
        await give_session(store, name)
    found = await store.sealed_tokens(after="", limit=1)
    found += await store.sealed_tokens(after=found[0][0], limit=1)
    assert [sealed for _, sealed in found] == ["sealed-1", "sealed-1"]
    first = found[0][0]
    assert await store.reseal_tokens(first, sealed="sealed-1", resealed="sealed-2")
    assert not await store.reseal_tokens(first, sealed="sealed-1", resealed="sealed-3")
