"""Refresh rotation, revocation and single-use keys, on both databases."""

from __future__ import annotations

import pytest

from broker.store.base import Store
from tests.broker.records import NOW
from tests.broker.store.keeper import Keeper, event, give_code, give_grant, race, stored


async def rotate(store: Store, handle: str, generation: int = 1, *, now: int = NOW) -> bool:
    return await store.rotate_refresh_token(
        handle, generation, now=now, idle_expires_at=now + 600, events=event("token.refreshed")
    )


async def test_rotation_advances_the_chain_in_its_row(store: Store):
    """RFC 9700 section 4.14.2; rule E6."""
    handle = await give_grant(store)
    assert await rotate(store, handle, now=NOW + 7)
    grant = await store.find_grant_by_handle(handle)
    assert grant is not None
    assert (grant.generation, grant.rotated_at, grant.idle_expires_at) == (2, NOW + 7, NOW + 607)
    assert await stored(store) == ["token.refreshed"]


@pytest.mark.parametrize("generation", [0, 2])
async def test_only_the_current_generation_rotates(store: Store, generation: int):
    """Rule E6."""
    handle = await give_grant(store)
    assert not await rotate(store, handle, generation)
    assert await stored(store) == []


async def test_of_sixteen_rotations_one_succeeds(stores: Keeper):
    """Rule E6, on two replicas: one successor, one event."""
    replicas = [await stores.open(), await stores.open()]
    handle = await give_grant(replicas[0])
    won = await race(lambda n: rotate(replicas[n % 2], handle))
    grant = await replicas[1].find_grant_by_handle(handle)
    assert won.count(True) == 1
    assert grant is not None
    assert grant.generation == 2
    assert await stored(replicas[0]) == ["token.refreshed"]


@pytest.mark.parametrize(("after", "good"), [(599, True), (600, False)])
async def test_an_idle_chain_ends_exactly_when_it_expires(store: Store, after: int, *, good: bool):
    """Rule F4: our own expiries have no leeway."""
    handle = await give_grant(store, idle_expires_at=NOW + 600)
    assert await rotate(store, handle, now=NOW + after) is good


@pytest.mark.parametrize(("after", "good"), [(599, True), (600, False)])
async def test_a_grant_ends_exactly_when_it_expires(store: Store, after: int, *, good: bool):
    """Rule F4: rotation does not outlive the absolute expiry."""
    handle = await give_grant(store, idle_expires_at=NOW + 900, expires_at=NOW + 600)
    assert await rotate(store, handle, now=NOW + after) is good


async def test_a_grant_whose_code_was_not_redeemed_does_not_rotate(store: Store):
    """Rule E9."""
    await give_code(store)
    assert not await rotate(store, "handle-1", 0)


async def test_a_revoked_grant_does_not_rotate(store: Store):
    """Rule E11."""
    handle = await give_grant(store)
    assert await store.revoke_grant("grant-1", now=NOW + 1, reason="reuse", events=event("grant.revoked"))
    assert not await rotate(store, handle, now=NOW + 2)
    grant = await store.find_grant("grant-1")
    assert grant is not None
    assert (grant.revoked_at, grant.revoked_reason) == (NOW + 1, "reuse")


async def test_a_grant_ends_once(stores: Keeper):
    """The first reason stands, and one event is stored, on two replicas."""
    replicas = [await stores.open(), await stores.open()]
    await give_grant(replicas[0])
    won = await race(
        lambda n: replicas[n % 2].revoke_grant(
            "grant-1", now=NOW + n, reason=f"reason-{n}", events=event("grant.revoked")
        )
    )
    assert won.count(True) == 1
    assert await stored(replicas[0]) == ["grant.revoked"]
    assert not await replicas[0].revoke_grant("unknown", now=NOW, reason="user", events=event())


async def test_a_token_ends_with_its_grant(store: Store):
    """RFC 7009 section 2.1; rule E11."""
    await give_grant(store, expires_at=NOW + 6000)
    assert not await store.token_ended("jti-1", "grant-1", now=NOW)
    await store.revoke_grant("grant-1", now=NOW, reason="user", events=())
    assert await store.token_ended("jti-1", "grant-1", now=NOW)


@pytest.mark.parametrize(("after", "ended"), [(5999, False), (6000, True)])
async def test_a_token_ends_exactly_when_its_grant_expires(store: Store, after: int, *, ended: bool):
    """Rule F4."""
    await give_grant(store, expires_at=NOW + 6000)
    assert await store.token_ended("jti-1", "grant-1", now=NOW + after) is ended


async def test_a_token_without_a_grant_has_ended(store: Store):
    """Rule E22: what is not known to live is not active."""
    assert await store.token_ended("jti-1", "grant-1", now=NOW)


async def test_an_access_token_ends_alone(store: Store):
    """RFC 7009: an access token ends its own `jti`."""
    await give_grant(store)
    assert await store.revoke_token("jti-1", expires_at=NOW + 900, events=event("token.revoked"))
    assert not await store.revoke_token("jti-1", expires_at=NOW + 900, events=event("token.revoked"))
    assert await store.token_ended("jti-1", "grant-1", now=NOW)
    assert not await store.token_ended("jti-2", "grant-1", now=NOW)
    assert await stored(store) == ["token.revoked"]


async def test_of_sixteen_first_uses_one_is_the_first(stores: Keeper):
    """Rule E13: an assertion's `jti` is consumed once, on two replicas."""
    replicas = [await stores.open(), await stores.open()]
    won = await race(lambda n: replicas[n % 2].first_use("assertion", "iss jti", expires_at=NOW + 60, now=NOW))
    assert won.count(True) == 1


@pytest.mark.parametrize(("after", "first"), [(59, False), (60, True)])
async def test_a_key_may_be_used_again_exactly_when_it_expired(store: Store, after: int, *, first: bool):
    """Rule E13: an assertion that has expired is refused for that; its row is not needed any more."""
    await store.first_use("assertion", "key", expires_at=NOW + 60, now=NOW)
    assert await store.first_use("assertion", "key", expires_at=NOW + 120, now=NOW + after) is first


async def test_purposes_do_not_share_keys(store: Store):
    """Rule A11: every handle serves one purpose."""
    assert await store.first_use("assertion", "key", expires_at=NOW + 60, now=NOW)
    assert await store.first_use("logout", "key", expires_at=NOW + 60, now=NOW)
