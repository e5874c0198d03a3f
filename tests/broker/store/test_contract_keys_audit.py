"""The key ring and the audit trail, on both databases."""

from __future__ import annotations

import asyncio

from broker.model import AuditEvent, SigningKey
from broker.store.base import KeyRing, Store
from tests.broker.records import NOW
from tests.broker.store.keeper import Keeper, event, give_grant, race, stored


def make_key(kid: str, *, retires_at: int | None = None) -> SigningKey:
    return SigningKey(
        kid=kid,
        alg="ES256",
        sealed="sealed",
        public_jwk='{"kty":"EC"}',
        created_at=NOW,
        activates_at=NOW + 1,
        retires_at=retires_at,
        gone_at=retires_at and retires_at + 9,
    )


async def test_a_new_store_has_an_empty_ring(store: Store):
    """Its first version can be named in the first change."""
    assert await store.load_keys() == KeyRing(version=0, keys=())


async def test_the_ring_comes_back_as_it_was_saved(store: Store):
    """Architecture section 5: keys are sealed in the store."""
    keys = (make_key("k1", retires_at=NOW + 5), make_key("k2"))
    assert await store.replace_keys(0, keys, events=event("key.created"))
    assert await store.load_keys() == KeyRing(version=1, keys=keys)
    assert await store.replace_keys(1, keys[1:], events=event("key.gone"))
    assert await store.load_keys() == KeyRing(version=2, keys=keys[1:])
    assert await stored(store) == ["key.created", "key.gone"]


async def test_a_change_that_names_an_old_version_changes_nothing(store: Store):
    """Compare and set: a replica that looked away does not undo a rotation."""
    await store.replace_keys(0, (make_key("k1"),), events=())
    assert not await store.replace_keys(0, (), events=event("key.gone"))
    assert (await store.load_keys()).version == 1
    assert await stored(store) == []


async def test_of_sixteen_first_rings_one_is_kept(stores: Keeper):
    """Rule F3: replicas that start together sign with the same key."""
    replicas = [await stores.open(), await stores.open()]
    won = await race(lambda n: replicas[n % 2].replace_keys(0, (make_key(f"k{n}"),), events=event("key.created")))
    ring = await replicas[1].load_keys()
    assert won.count(True) == 1
    assert ring == KeyRing(version=1, keys=(make_key(f"k{won.index(True)}"),))
    assert await stored(replicas[0]) == ["key.created"]


async def test_an_event_comes_back_as_it_was_stored(store: Store):
    """Every member, values of every kind, and text that is not ours to trust (rule G7)."""
    whole = AuditEvent(
        name="token.issued",
        at=NOW,
        request_id="req-1",
        subject="u_alice",
        client_id="client-1",
        resource="https://files.example.com/mcp",
        grant_id="grant-1",
        fields={"text": "ü\N{REPLACEMENT CHARACTER} '\"\\", "number": 7, "flag": True, "nothing": None},
    )
    await store.append_events([whole, AuditEvent(name="login.failed", at=NOW)])
    assert [found.event for found in await store.read_events()] == [whole, AuditEvent(name="login.failed", at=NOW)]


async def test_nothing_to_append_is_nothing_to_do(stores: Keeper):
    """No transaction, no event, no line."""
    store = await stores.open()
    await store.append_events(())
    assert await store.read_events() == []
    assert stores.emitted == []


async def test_the_trail_is_read_in_order_and_in_pieces(store: Store):
    """`mcp-broker audit tail`, and whoever follows it."""
    for n in range(7):
        await store.append_events(event("odd" if n % 2 else "even", n=n))
    first = await store.read_events(limit=3)
    rest = await store.read_events(after=first[-1].sequence, limit=100)
    assert [found.event.fields["n"] for found in first + rest] == list(range(7))
    assert [found.event.fields["n"] for found in await store.read_events(newest=True, limit=3)] == [4, 5, 6]
    assert [found.event.fields["n"] for found in await store.read_events(name="odd")] == [1, 3, 5]
    assert [found.event.fields["n"] for found in await store.read_events(name="odd", newest=True, limit=2)] == [3, 5]
    assert await store.read_events(after=rest[-1].sequence) == []


async def test_several_events_of_one_change_keep_their_order(stores: Keeper):
    """All of them, in the transaction of the change."""
    store = await stores.open()
    await give_grant(store)
    events = (*event("token.refresh_reused"), *event("grant.revoked"))
    await store.revoke_grant("grant-1", now=NOW, reason="reuse", events=events)
    assert await stored(store) == ["token.refresh_reused", "grant.revoked"]


async def test_the_sink_gets_events_once_they_are_stored(stores: Keeper):
    """A change that did not happen is neither stored nor logged."""
    store = await stores.open()
    handle = await give_grant(store)
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("yes"))
    assert not await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=event("no"))
    await store.append_events(event("also"))
    assert [found.name for found in stores.emitted] == ["yes", "also"] == await stored(store)


async def test_many_changes_at_once_store_each_event_once(stores: Keeper):
    """No event of a token that was answered is missing."""
    replicas = [await stores.open(), await stores.open()]
    await race(lambda n: replicas[n % 2].append_events(event(f"event-{n}")), 100)
    names = await stored(replicas[0])
    assert sorted(names) == sorted(f"event-{n}" for n in range(100))
    assert sorted(found.name for found in stores.emitted) == sorted(names)


async def test_a_caller_that_goes_away_spoils_nothing(store: Store):
    """The change happens whole or not at all, and the next caller is served."""
    await give_grant(store)
    task = asyncio.create_task(store.revoke_grant("grant-1", now=NOW, reason="user", events=event("grant.revoked")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await store.append_events(event("next"))
    grant = await store.find_grant("grant-1")
    assert grant is not None
    assert ("grant.revoked" in await stored(store)) is (grant.revoked_at is not None)
