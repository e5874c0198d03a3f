"""What is fetched once and kept (security rules B7, B8)."""

from __future__ import annotations

import asyncio

import pytest

from providers.base import Fault, UpstreamError
from providers.kept import Fetched, Kept
from tests.providers.case import Clock


class Source:
    """Counts its fetches; fails while `down`; waits for `gate` if there is one."""

    def __init__(self) -> None:
        self.fetches = 0
        self.down = False
        self.gate: asyncio.Event | None = None

    async def fetch(self) -> Fetched[int]:
        """Return the number of this fetch."""
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise UpstreamError(Fault.TRANSIENT, "down")
        return Fetched(self.fetches, 300)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_value_is_fetched_again_only_when_it_is_no_longer_fresh(source: Source, clock: Clock) -> None:
    """Security rule B7."""
    kept = Kept(source.fetch, clock.now)
    assert [await kept.get(), await kept.get()] == [1, 1]
    clock.value += 299
    assert await kept.get() == 1
    clock.value += 1
    assert await kept.get() == 2


async def test_many_callers_share_one_fetch(source: Source, clock: Clock) -> None:
    """Security rule B7: single flight."""
    source.gate = asyncio.Event()
    kept = Kept(source.fetch, clock.now)
    callers = [asyncio.create_task(kept.get()) for _ in range(10)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*callers) == [1] * 10


async def test_many_callers_share_one_failure(source: Source, clock: Clock) -> None:
    """Security rule B7: a slow, failing provider is waited for once, not once for each caller."""
    source.gate, source.down = asyncio.Event(), True
    kept = Kept(source.fetch, clock.now)
    callers = [asyncio.create_task(kept.get()) for _ in range(10)]
    await asyncio.sleep(0)
    source.gate.set()
    failures = await asyncio.gather(*callers, return_exceptions=True)
    assert {str(failure) for failure in failures} == {"transient: down"}
    assert source.fetches == 1


async def test_a_caller_that_gives_up_leaves_the_others_served(source: Source, clock: Clock) -> None:
    """A closed browser tab costs nobody else their login."""
    source.gate = asyncio.Event()
    kept = Kept(source.fetch, clock.now)
    first, second = asyncio.create_task(kept.get()), asyncio.create_task(kept.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await second == 2


async def test_after_a_failure_the_next_attempt_waits_a_moment(source: Source, clock: Clock) -> None:
    """Two seconds with nothing to serve, thirty with a stale value."""
    source.down = True
    kept = Kept(source.fetch, clock.now)
    for _ in range(2):
        with pytest.raises(UpstreamError):
            await kept.get()
    assert source.fetches == 1
    source.down = False
    clock.value += 2
    assert await kept.get() == 2
    source.down = True
    clock.value += 300
    assert [await kept.get(), await kept.get(), source.fetches] == [2, 2, 3]
    clock.value += 30
    assert [await kept.get(), source.fetches] == [2, 4]


async def test_a_stale_value_serves_only_as_long_as_it_may(source: Source, clock: Clock) -> None:
    """Security rule B8."""
    kept = Kept(source.fetch, clock.now, stale_for=1000)
    await kept.get()
    source.down = True
    clock.value += 1299
    assert await kept.get() == 1
    clock.value += 1
    with pytest.raises(UpstreamError):
        await kept.get()


async def test_a_clock_that_went_back_makes_nothing_immortal(source: Source, clock: Clock) -> None:
    """Security rule F4."""
    kept = Kept(source.fetch, clock.now)
    await kept.get()
    clock.value -= 10_000
    assert await kept.get() == 2


async def test_a_renewal_is_granted_at_most_once_in_30_seconds(source: Source, clock: Clock) -> None:
    """Security rule B8."""
    kept = Kept(source.fetch, clock.now)
    await kept.get()
    assert [await kept.renewed(), await kept.renewed()] == [2, 2]
    clock.value += 30
    source.down = True
    assert [await kept.renewed(), source.fetches] == [2, 3]


async def test_a_renewal_refused_with_nothing_fresh_is_a_failure(clock: Clock) -> None:
    """A value past its time is not served because somebody may not insist."""

    async def fetch() -> Fetched[int]:
        return Fetched(1, 5)

    kept = Kept(fetch, clock.now, stale_for=0)
    assert await kept.renewed() == 1
    clock.value += 10
    with pytest.raises(UpstreamError, match="expired"):
        await kept.renewed()
