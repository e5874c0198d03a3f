from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from broker.audit import Audit
from broker.keys import JWKS_MAX_AGE, SigningKeys, WrongMasterKey
from broker.model import SigningKey
from broker.oauth import TemporarilyUnavailable
from broker.protocol import jws, key_ring
from broker.protocol.key_ring import PUBLISHED_AHEAD, State
from broker.seal import Sealer
from broker.settings import DAY, PolicyRule
from broker.store.base import KeyRing, Store, StoreUnavailable
from broker.store.open import open_store
from tests.broker.records import NOW, make_resource
from tests.broker.token_house import ENTROPY, FILES, MASTER_KEY, FakeClock, FaultyStore, make_settings


class Ring:
    """A store and a clock that several replicas share."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.log: list[str] = []

    def replica(self, *master_keys: bytes, store: Any = None, **settings: Any) -> SigningKeys:
        return SigningKeys(
            store=store or self.store,
            sealer=Sealer(master_keys or (MASTER_KEY,), ENTROPY),
            clock=self.clock,
            entropy=ENTROPY,
            audit=Audit(self.clock, write=self.log.append),
            settings=make_settings(**{"resources": (FILES,), **settings}),
        )

    async def started(self, *master_keys: bytes, **settings: Any) -> SigningKeys:
        keys = self.replica(*master_keys, **settings)
        await keys.start()
        return keys

    async def stored(self, alg: str = "ES256") -> list[SigningKey]:
        return [key for key in (await self.store.load_keys()).keys if key.alg == alg]

    async def events(self) -> list[str]:
        return [s.event.name for s in await self.store.read_events(limit=1000)]


@pytest.fixture
async def ring(tmp_path: Path) -> AsyncIterator[Ring]:
    clock = FakeClock()
    store = open_store(f"sqlite:///{tmp_path / 'broker.db'}", sink=lambda _: None, clock=clock, serving=True)
    await store.open()
    yield Ring(store, clock)
    await store.close()


def kids(keys: SigningKeys) -> list[str]:
    return [key["kid"] for key in json.loads(keys.public_jwks())["keys"]]


async def signed_by(keys: SigningKeys, alg: str = "ES256") -> str:
    return jws.parse(await keys.sign({"n": 1}, alg=alg, typ="at+jwt")).kid


async def test_the_first_start_makes_a_key_for_each_algorithm_in_use_and_a_mac_key(ring: Ring):
    """Architecture, section 5: the first key of an algorithm signs at once."""
    keys = await ring.started(resources=(make_resource(signing_alg="RS256"),))
    assert keys.algorithms == ("ES256", "RS256")
    assert {key.alg for key in keys.all} == {"ES256", "RS256", "HMAC"}
    assert await signed_by(keys, "RS256") in kids(keys)
    assert len(keys.mac_key(keys.mac_key_id) or b"") == 32
    assert keys.mac_key("unknown") is None
    assert keys.signing_since() == {"ES256": NOW, "RS256": NOW}
    assert await ring.events() == ["key.created"] * 3


async def test_a_restart_keeps_every_key(ring: Ring):
    """Security rule E11: tokens outlive a restart."""
    before = await ring.started()
    after = await ring.started()
    assert (before.all, before.mac_key_id) == (after.all, after.mac_key_id)
    assert await signed_by(before) == await signed_by(after)


async def test_replicas_that_start_together_share_one_set_of_keys(ring: Ring):
    """Security rule F3: the ring's version lets exactly one make them."""
    replicas = [ring.replica() for _ in range(4)]
    async with anyio.create_task_group() as group:
        for replica in replicas:
            group.start_soon(replica.start)
    assert len({r.mac_key_id for r in replicas}) == 1
    assert len({await signed_by(r) for r in replicas}) == 1
    assert len(await ring.stored()) == 1


async def test_a_wrong_master_key_is_a_clean_error_and_changes_nothing(ring: Ring):
    """Security rule G11."""
    await ring.started()
    before = await ring.store.load_keys()
    with pytest.raises(WrongMasterKey, match="BROKER_MASTER_KEY does not open the keys"):
        await ring.started(b"x" * 32)
    assert await ring.store.load_keys() == before


async def test_nothing_in_the_database_signs(ring: Ring):
    """Security rule G11: private keys are sealed, each for its own place."""
    keys = await ring.started()
    one, other = (await ring.stored())[0], (await ring.stored("HMAC"))[0]
    assert "PRIVATE" not in one.sealed
    version = (await ring.store.load_keys()).version
    swapped = [SigningKey(kid=k.kid, alg=k.alg, sealed=s.sealed, public_jwk=k.public_jwk, created_at=0, activates_at=0)
               for k, s in ((one, other), (other, one))]  # fmt: skip
    assert await ring.store.replace_keys(version, swapped, events=[])
    with pytest.raises(WrongMasterKey):
        await ring.started()
    assert await signed_by(keys) == one.kid


async def test_a_scheduled_key_is_published_two_hours_before_it_signs(ring: Ring):
    """Architecture, section 5; security rule F3: on all replicas, at the stored time."""
    one, other = await ring.started(), await ring.started()
    (first,) = await ring.stored()
    ring.clock.forward(90 * DAY - PUBLISHED_AHEAD - 1)
    await one.refresh()
    assert kids(one) == [first.kid]
    ring.clock.forward(1)
    await one.refresh()
    await other.refresh()
    (_, second) = await ring.stored()
    assert kids(one) == kids(other) == [first.kid, second.kid]
    assert key_ring.state(second, ring.clock.now()) is State.PENDING
    ring.clock.forward(PUBLISHED_AHEAD - 1)
    assert await signed_by(one) == await signed_by(other) == first.kid
    ring.clock.forward(1)
    assert await signed_by(one) == await signed_by(other) == second.kid
    assert one.signing_since() == {"ES256": ring.clock.now()}


async def test_a_retiring_key_stays_until_none_of_its_tokens_lives(ring: Ring):
    """Security rule F3: rotation fails no verification."""
    hour = make_resource(access_token_ttl=3600)
    rules = (PolicyRule(name="long", access_token_ttl=7200), PolicyRule(name="plain"))
    keys = await ring.started(resources=(hour,), policy=rules)
    old = await signed_by(keys)
    token = await keys.sign({"n": 1}, alg="ES256", typ="at+jwt")
    await keys.rotate(at_once=True)
    assert await signed_by(keys) != old
    await keys.refresh()
    ring.clock.forward(7200 + 60 + JWKS_MAX_AGE - 1)
    await keys.refresh()
    key = keys.verification_key(old)
    assert key is not None
    assert json.loads(jws.verify(jws.parse(token), key)) == {"n": 1}
    ring.clock.forward(1)
    assert keys.verification_key(old) is None
    assert old not in kids(keys)
    assert old in [key.kid for key in await ring.stored()]
    await keys.refresh()
    assert old not in [key.kid for key in await ring.stored()]
    assert (await ring.events())[2:] == ["key.created", "key.retired", "key.gone"]


async def test_rotation_by_hand_waits_for_verifiers_unless_told_not_to(ring: Ring):
    """Architecture, section 5: `keys rotate --now` skips the wait."""
    keys = await ring.started()
    old = await signed_by(keys)
    (waiting,) = await keys.rotate()
    assert waiting.activates_at == NOW + PUBLISHED_AHEAD
    assert await signed_by(keys) == old
    assert kids(keys) == [old, waiting.kid]
    (new,) = await keys.rotate("ES256", at_once=True)
    assert await signed_by(keys) == new.kid
    assert kids(keys) == [old, new.kid], "a key that was made before, for later, is as suspect as the old one"


async def test_rotation_by_hand_covers_every_algorithm_or_the_one_named(ring: Ring):
    """Architecture, section 8: `keys rotate`."""
    keys = await ring.started(resources=(make_resource(signing_alg="Ed25519"),))
    assert [key.alg for key in await keys.rotate()] == ["ES256", "Ed25519"]
    assert [key.alg for key in await keys.rotate("Ed25519", at_once=True)] == ["Ed25519"]
    with pytest.raises(KeyError):
        await keys.rotate("HS256")


async def test_another_replicas_key_is_found_when_a_token_names_it(ring: Ring):
    """Security rule F3: also in the seconds before a replica follows the ring; a stranger's kid asks once a second at most."""
    one, other = await ring.started(), await ring.started()
    (new,) = await one.rotate(at_once=True)
    assert other.verification_key(new.kid) is None
    found = await other.find_verification_key(new.kid)
    assert found is not None
    loads = 0

    async def counted() -> KeyRing:
        nonlocal loads
        loads += 1
        return await ring.store.load_keys()

    store = FaultyStore(ring.store)
    store.replaced["load_keys"] = counted
    third = ring.replica(store=store)
    await third.start()
    loads = 0
    for _ in range(5):
        assert await third.find_verification_key("unknown") is None
    assert loads == 1


async def test_replicas_rotate_once_between_them(ring: Ring):
    """Security rule F3: compare-and-set on the ring's version."""
    replicas = [await ring.started() for _ in range(4)]
    ring.clock.forward(90 * DAY)
    async with anyio.create_task_group() as group:
        for replica in replicas:
            group.start_soon(replica.refresh)
    assert len(await ring.stored()) == 2
    assert len({tuple(kids(r)) for r in replicas}) == 1


async def test_a_ring_that_never_holds_still_is_an_outage(ring: Ring):
    """Security.md, "Faults survived"."""

    async def never(*_: Any, **__: Any) -> bool:
        return False

    store = FaultyStore(ring.store)
    store.replaced["replace_keys"] = never
    with pytest.raises(StoreUnavailable):
        await ring.replica(store=store).start()


async def test_resealing_moves_every_key_to_the_first_master_key(ring: Ring):
    """Architecture, section 8: `keys reseal`; no token changes."""
    before = await ring.started()
    old = await signed_by(before)
    both = await ring.started(b"n" * 32, MASTER_KEY)
    assert await both.reseal() == 2
    assert await both.reseal() == 0
    after = await ring.started(b"n" * 32)
    assert await signed_by(after) == old
    assert after.mac_key(before.mac_key_id) == before.mac_key(before.mac_key_id)
    with pytest.raises(WrongMasterKey):
        await ring.started(MASTER_KEY)


async def test_a_replica_without_a_newer_master_key_keeps_serving_and_says_so(ring: Ring):
    """Security.md, "Faults survived": a rolling change of the master key in the wrong order."""
    behind = await ring.started()
    ahead = await ring.started(b"n" * 32, MASTER_KEY)
    await ahead.rotate(at_once=True)
    old = await signed_by(behind)
    await behind.refresh()
    assert await signed_by(behind) == old
    assert any('"keys.unreadable"' in line for line in ring.log)


async def test_an_algorithm_without_a_key_is_an_outage_not_a_crash(ring: Ring):
    """Architecture, section 4: 503, never an error that makes clients throw their state away."""
    keys = await ring.started()
    with pytest.raises(TemporarilyUnavailable):
        await keys.sign({}, alg="RS256", typ="at+jwt")


async def test_only_public_members_are_published_whatever_a_row_holds(ring: Ring):
    """Security rule F3."""
    await ring.started()
    stored = await ring.store.load_keys()
    spoilt = [
        SigningKey(
            kid=k.kid,
            alg=k.alg,
            sealed=k.sealed,
            public_jwk=json.dumps({**json.loads(k.public_jwk), "d": "secret"}) if k.public_jwk else "",
            created_at=k.created_at,
            activates_at=k.activates_at,
        )
        for k in stored.keys
    ]
    assert await ring.store.replace_keys(stored.version, spoilt, events=[])
    keys = await ring.started()
    assert b"secret" not in keys.public_jwks()
