"""What the purge deletes, and what it must leave, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from broker.model import AuditEvent
from broker.store.base import Registration, Store
from broker.store.sql_store import BATCH
from tests.broker.records import NOW
from tests.broker.store.keeper import (
    GENEROUS,
    Keeper,
    event,
    give_code,
    give_grant,
    make_login,
    make_registered,
    make_session,
    stored,
)

DAY = 86_400


async def purge(store: Store, now: int, *, audit_before: int = 0) -> int:
    return await store.purge(now, audit_before=audit_before)


async def register(store: Store, name: str, *, unused: int = 1000, window: int = 3600) -> Registration:
    limits = replace(GENEROUS, unused=unused, window=window)
    return await store.register_client(make_registered(name), source=name, limits=limits, now=NOW, events=())


async def test_an_empty_store_has_nothing_to_purge(store: Store):
    """And says so."""
    assert await purge(store, NOW + 400 * DAY, audit_before=NOW + 400 * DAY) == 0


async def test_what_lives_stays(store: Store):
    """Whatever has an expiry lives until exactly then."""
    await store.begin_login(make_login(expires_at=NOW + 10), events=())
    await store.save_session(make_session(expires_at=NOW + 10), replaces=None, now=NOW, events=())
    await store.revoke_token("jti", expires_at=NOW + 10, events=())
    await store.first_use("assertion", "key", expires_at=NOW + 10, now=NOW)
    await register(store, "client", window=10)
    assert await purge(store, NOW + 9) == 0
    assert await purge(store, NOW + 10) == 7, "with a session go the upstream session behind it and its person's mark"


async def test_a_finished_login_stays_until_it_expires(store: Store):
    """Rule A9: until then its request could be approved again."""
    await store.begin_login(make_login(), events=())
    await store.finish_login(b"s" * 32, now=NOW, events=())
    assert await purge(store, NOW + 599) == 0
    assert await purge(store, NOW + 600) == 1


async def test_an_unredeemed_code_goes_with_its_grant(store: Store):
    """Nothing is left of a login that was not finished; its consent is."""
    await give_code(store)
    assert await purge(store, NOW + 59) == 0
    assert await purge(store, NOW + 60) == 2
    assert await store.find_grant("grant-1") is None
    assert await store.find_consent(b"1".ljust(32, b"y"))


async def test_a_replacing_code_keeps_its_grant(store: Store):
    """The grant's time starts anew with the code's."""
    await give_code(store)
    later = await store.find_code(b"1".ljust(32, b"c"))
    consent = await store.find_consent(b"1".ljust(32, b"y"))
    assert later is not None
    assert consent is not None
    await store.save_code(replace(later[0], expires_at=NOW + 90), later[1], consent, now=NOW, events=())
    assert await purge(store, NOW + 60) == 0
    assert await purge(store, NOW + 90) == 2


async def test_a_redeemed_code_stays_for_a_day(store: Store):
    """Rule E1: replays are recognised."""
    await give_grant(store, expires_at=NOW + 90 * DAY)
    code_hash = b"1".ljust(32, b"c")
    assert await purge(store, NOW + DAY - 1) == 0
    assert await store.find_code(code_hash)
    assert await purge(store, NOW + DAY) == 1
    assert await store.find_code(code_hash) is None
    assert await store.find_grant("grant-1")


async def test_a_grant_stays_until_its_absolute_expiry(store: Store):
    """Rule E6: a genuine older refresh token is recognised however old it is, after revocation and idleness too."""
    await give_grant(store, idle_expires_at=NOW + 5, expires_at=NOW + 10 * DAY)
    await store.revoke_grant("grant-1", now=NOW + 1, reason="user", events=())
    await purge(store, NOW + 10 * DAY - 1)
    assert await store.find_grant_by_handle("handle-1")
    await purge(store, NOW + 10 * DAY)
    assert await store.find_grant_by_handle("handle-1") is None


async def test_an_unused_registration_goes_when_it_expires(store: Store):
    """Rule D13; and makes room for another, and caches hear of it."""
    await register(store, "c1", unused=1)
    before = await store.changes()
    await purge(store, NOW + 999)
    assert await store.find_client("c1")
    assert await store.changes() == before
    await purge(store, NOW + 1000)
    assert await store.find_client("c1") is None
    assert await store.changes() > before
    assert await register(store, "c2", unused=1) is Registration.SAVED


async def test_a_client_with_a_live_grant_never_goes(store: Store):
    """Rule D13: it goes, with its consents, when the last of its grants ended."""
    await register(store, "c1")
    await give_grant(store, "1", client_id="c1", expires_at=NOW + 2000)
    await give_grant(store, "2", client_id="c1", expires_at=NOW + 3000)
    for now in (NOW + 1000, NOW + 2000, NOW + 2999):
        await purge(store, now)
        assert await store.find_client("c1")
    await purge(store, NOW + 3000)
    assert await store.find_client("c1") is None
    assert await store.find_consent(b"1".ljust(32, b"y")) is None


async def test_a_client_whose_grants_were_revoked_goes(store: Store):
    """Rule D13: a revoked grant keeps no client."""
    await register(store, "c1")
    await give_grant(store, "1", client_id="c1", expires_at=NOW + 2000)
    await store.revoke_grant("grant-1", now=NOW, reason="user", events=())
    await purge(store, NOW + 2000)
    assert await store.find_client("c1") is None


async def test_more_than_a_batch_goes_too(store: Store):
    """Rows go in small batches, so that nobody waits for long; all of them go."""
    many = BATCH + 5
    await asyncio.gather(*(store.revoke_token(f"jti-{n}", expires_at=NOW + 1, events=()) for n in range(many)))
    assert await purge(store, NOW + 1) == many


async def test_old_events_go_and_the_newest_stays(store: Store):
    """Sequence numbers are never given twice."""
    for n in range(3):
        await store.append_events([AuditEvent(name=f"event-{n}", at=NOW + n)])
    last = (await store.read_events(newest=True, limit=1))[0].sequence
    assert await purge(store, NOW, audit_before=NOW + 1) == 1
    assert await stored(store) == ["event-1", "event-2"]
    assert await purge(store, NOW, audit_before=NOW + 100) == 1
    assert await stored(store) == ["event-2"]
    await store.append_events(event("next"))
    assert (await store.read_events(newest=True, limit=1))[0].sequence > last


async def test_two_replicas_purge_at_once(stores: Keeper):
    """What one has in its hands the other leaves alone."""
    replicas = [await stores.open(), await stores.open()]
    for n in range(20):
        await give_code(replicas[0], str(n))
    gone = await asyncio.gather(*(purge(replica, NOW + 60) for replica in replicas))
    assert sum(gone) == 40
    assert await purge(replicas[0], NOW + 60) == 0
