"""Opening, closing, restarting and being killed, on both databases."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from broker.store.base import Store, StoreUnavailable
from tests.broker.records import NOW
from tests.broker.store.keeper import Keeper, event, give_code, give_grant, make_login, make_session, redeem, stored

ROOT = Path(__file__).resolve().parents[3]
WRITES_UNTIL_KILLED = """
import asyncio, sys
from broker.clock import SystemClock
from broker.store.open import open_store
from tests.broker.store.keeper import event, give_grant

async def main():
    store = open_store(sys.argv[1], sink=lambda events: None, clock=SystemClock(), serving=False)
    await store.open()
    handle = await give_grant(store, expires_at=2_000_000_000, idle_expires_at=2_000_000_000)
    generation = 1
    while await store.rotate_refresh_token(
        handle, generation, now=1_800_000_000, idle_expires_at=2_000_000_000, events=event()
    ):
        generation += 1
        print(generation, flush=True)

asyncio.run(main())
"""


async def test_everything_survives_a_restart(stores: Keeper):
    """Rule E11: what was acknowledged stays, what was revoked stays revoked, what was used stays used."""
    store = await stores.open()
    code_hash = await give_code(store, "code")
    handle = await give_grant(store, "live")
    await give_grant(store, "revoked")
    await store.revoke_grant("grant-revoked", now=NOW, reason="user", events=event("grant.revoked"))
    await store.begin_login(make_login(), events=())
    await store.save_session(make_session(), replaces=None, now=NOW, events=())
    await store.first_use("assertion", "key", expires_at=NOW + 60, now=NOW)
    await store.close()
    store = await stores.open()
    assert await redeem(store, code_hash)
    assert await store.rotate_refresh_token(handle, 1, now=NOW, idle_expires_at=NOW + 9, events=())
    assert await store.token_ended("jti", "grant-revoked", now=NOW)
    assert await store.finish_login(b"s" * 32, now=NOW, events=()) == make_login()
    assert await store.find_session(b"b" * 32, now=NOW) == make_session()
    assert not await store.first_use("assertion", "key", expires_at=NOW + 60, now=NOW)
    assert await stored(store) == ["grant.revoked"]


async def test_a_change_is_seen_by_every_process_at_once(stores: Keeper):
    """Architecture section 8: commands work beside a running broker."""
    here, there = await stores.open(), await stores.open()
    await give_grant(here)
    assert await there.find_grant("grant-1")
    await there.revoke_grant("grant-1", now=NOW, reason="user", events=event("grant.revoked"))
    assert await here.token_ended("jti", "grant-1", now=NOW)
    assert await stored(here) == ["grant.revoked"]
    assert await here.changes() == await there.changes() > 0


async def test_closing_finishes_what_was_accepted(stores: Keeper):
    """SIGTERM: requests in flight finish."""
    store = await stores.open()
    await give_grant(store)
    writes = [asyncio.create_task(store.append_events(event(f"event-{n}"))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    store = await stores.open()
    kept = {f"event-{n}" for n, outcome in enumerate(outcomes) if outcome is None}
    assert kept
    assert set(await stored(store)) == kept


async def test_a_closed_store_says_that_it_is(stores: Keeper):
    """Nothing hangs, and nothing opens itself again."""
    store = await stores.open()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.append_events(event())
    with pytest.raises(StoreUnavailable):
        await store.find_grant("grant-1")
    with pytest.raises(StoreUnavailable):
        await store.check()
    with pytest.raises(StoreUnavailable):
        await store.purge(NOW, audit_before=NOW)


async def test_a_living_store_passes_its_check(store: Store):
    """`/readyz`; the database is on this machine, so its clock is ours."""
    await store.check()
    assert abs(await store.clock_offset()) < 1


async def test_every_operation_is_observed(store: Store):
    """`/metrics`: how long the store takes, failures included."""
    seen: list[tuple[str, float]] = []
    store.observe(lambda word, seconds: seen.append((word, seconds)))
    await store.find_grant("grant-1")
    await store.append_events(event())
    await store.purge(NOW, audit_before=0)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.find_grant("grant-1")
    assert [word for word, _ in seen[:3]] == ["read", "change", "sweep"]
    assert seen[-1][0] == "read"
    assert all(seconds >= 0 for _, seconds in seen)


async def test_what_was_acknowledged_survives_kill_9(stores: Keeper):
    """Faults survived: nothing acknowledged is lost, whenever the process dies."""
    await (await stores.open()).close()
    acknowledged = _write_until_killed(stores.url)
    store = await stores.open()
    grant = await store.find_grant("grant-1")
    assert grant is not None
    assert grant.generation in (acknowledged, acknowledged + 1)  # the last one may be committed and not announced
    assert len(await stored(store)) == grant.generation - 1
    assert await store.rotate_refresh_token("handle-1", grant.generation, now=NOW, idle_expires_at=NOW, events=())


def _write_until_killed(url: str) -> int:
    """Return the last generation that a process announced before it was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_KILLED, url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(20)]
        process.kill()
        lines += process.stdout
    return int([line for line in lines if line.endswith("\n")][-1])
