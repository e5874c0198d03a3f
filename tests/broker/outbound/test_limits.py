"""How often strangers may make us fetch, and what is remembered of the answers."""

from __future__ import annotations

import asyncio
import threading

import pytest

from broker.oauth import InvalidClient, OAuthError, Reason, TooManyRequests
from broker.outbound import FetchFailed, GuardedFetcher, Remembered, remembered
from broker.outbound import limiter as limits
from broker.outbound.fetcher import PER_HOST, PER_SOURCE
from broker.outbound.limiter import Limiter
from broker.outbound.names import MOST_LOOKUPS, PATIENCE, NameResolver, system_addresses
from broker.settings import Rate, Settings
from tests.broker.outbound.stranger import SOURCE, Names, Stranger, answer
from tests.broker.resource_issuer import ManualClock


async def test_whoever_asks_meanwhile_shares_one_fetch(server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D10: one fetch at a time for each URL."""
    urls = [server.url()] * 10
    fetched = await asyncio.gather(*(fetcher.fetch(url, source=SOURCE, max_bytes=5120) for url in urls))
    assert len({id(one) for one in fetched}) == 1
    assert server.connections == 1
    await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)
    assert server.connections == 2


async def test_one_caller_who_leaves_takes_nothing_from_the_others(server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D10."""
    calls = [asyncio.create_task(fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)) for _ in range(2)]
    await asyncio.sleep(0)
    calls[0].cancel()
    assert (await calls[1]).document == {"client_id": "x"}
    assert calls[0].cancelled()


async def test_a_failed_fetch_is_everybody_s_and_nobody_s_afterwards(server: Stranger, fetcher: GuardedFetcher) -> None:
    """Rule D9: an error is not held by the fetcher."""
    server.says = answer(b"[]")
    calls = [fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120) for _ in range(2)]
    assert all(isinstance(one, FetchFailed) for one in await asyncio.gather(*calls, return_exceptions=True))
    server.says = answer({"a": 1})
    assert (await fetcher.fetch(server.url(), source=SOURCE, max_bytes=5120)).document == {"a": 1}


async def test_a_source_fetches_so_often_and_no_more(near: Settings, clock: ManualClock) -> None:
    """Rule D10: the /64 of an IPv6 source counts as one; waiting helps."""
    fetcher = GuardedFetcher(near, clock=clock, resolve=Names())
    for number in range(PER_SOURCE.count):
        with pytest.raises(FetchFailed):
            await fetcher.fetch(f"https://localhost/{number}", source=f"2001:db8::{number:x}", max_bytes=1)
    with pytest.raises(TooManyRequests) as limited:
        await fetcher.fetch("https://127.0.0.1/x", source="2001:db8::ffff", max_bytes=1)
    assert limited.value.retry_after == 4
    with pytest.raises(FetchFailed):
        await fetcher.fetch("https://127.0.0.1/x", source="192.0.2.2", max_bytes=1)
    clock.advance(4)
    with pytest.raises(FetchFailed):
        await fetcher.fetch("https://127.0.0.1/x", source="2001:db8::1", max_bytes=1)


async def test_one_source_does_not_lock_a_host_for_everybody(near: Settings, clock: ManualClock) -> None:
    """Rule D10: a source's share is well below the host's."""
    fetcher = GuardedFetcher(near, clock=clock, resolve=Names())
    for number in range(PER_HOST.count):
        with pytest.raises((FetchFailed, TooManyRequests)):
            await fetcher.fetch(f"https://localhost/{number}", source=SOURCE, max_bytes=1)
    for number in range(PER_HOST.count // 2):
        with pytest.raises(FetchFailed):
            await fetcher.fetch(f"https://localhost/x{number}", source=f"198.51.100.{number}", max_bytes=1)


async def test_a_host_is_asked_so_often_whoever_asks(near: Settings, clock: ManualClock) -> None:
    """Rule D10: we are no amplifier."""
    fetcher = GuardedFetcher(near, clock=clock, resolve=Names())
    for number in range(60):
        with pytest.raises(FetchFailed):
            await fetcher.fetch(f"https://localhost/{number}", source=f"192.0.2.{number}", max_bytes=1)
    with pytest.raises(TooManyRequests):
        await fetcher.fetch("https://localhost/x", source="198.51.100.1", max_bytes=1)


async def test_a_source_holds_only_so_many_fetches_at_once(near: Settings, clock: ManualClock) -> None:
    """Rules D10 and G14: slow hosts of one stranger leave room for everybody else."""
    released = asyncio.Event()

    async def slow(_: str, __: int) -> list[str]:
        await released.wait()
        return ["10.0.0.1"]

    fetcher = GuardedFetcher(near, clock=clock, resolve=slow)
    waiting = [
        asyncio.create_task(fetcher.fetch(f"https://localhost/{n}", source=SOURCE, max_bytes=1)) for n in range(8)
    ]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests):
        await fetcher.fetch("https://localhost/x", source=SOURCE, max_bytes=1)
    waiting.append(asyncio.create_task(fetcher.fetch("https://localhost/x", source="192.0.2.2", max_bytes=1)))
    released.set()
    assert all(isinstance(one, FetchFailed) for one in await asyncio.gather(*waiting, return_exceptions=True))
    with pytest.raises(FetchFailed):
        await fetcher.fetch("https://localhost/y", source=SOURCE, max_bytes=1)


async def test_closing_abandons_what_is_under_way(near: Settings, clock: ManualClock) -> None:
    """SIGTERM does not wait for strangers."""

    async def never(_: str, __: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    fetcher = GuardedFetcher(near, clock=clock, resolve=never)
    waiting = asyncio.create_task(fetcher.fetch("https://localhost/x", source=SOURCE, max_bytes=1))
    await asyncio.sleep(0)
    await fetcher.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_bucket_refills_evenly() -> None:
    """Rule D10: token buckets by monotonic time (rule F4)."""
    clock = ManualClock()
    limiter = Limiter(Rate(2, 60), clock)
    assert [limiter.take("a"), limiter.take("a"), limiter.take("a")] == [0, 0, 30]
    assert limiter.take("b") == 0
    clock.advance(10)
    assert limiter.take("a") == 20
    clock.advance(20)
    assert [limiter.take("a"), limiter.take("a")] == [0, 30]
    clock.advance(3600)
    assert [limiter.take("a"), limiter.take("a"), limiter.take("a")] == [0, 0, 30]


def test_the_oldest_of_too_many_keys_is_forgotten() -> None:
    """Rule D9: bounded memory."""
    limiter = Limiter(Rate(1, 60), ManualClock())
    for number in range(limits.MOST_KEYS + 1):
        assert limiter.take(str(number)) == 0
    assert limiter.take("1") == 60
    assert limiter.take("0") == 0


async def test_names_are_looked_up_apart_and_hanging_lookups_are_counted() -> None:
    """Rule G14: slow name servers take a bounded number of threads, none of them anybody else's."""
    hanging = threading.Event()

    def look_up(host: str, _: int) -> list[str]:
        if host.startswith("slow"):
            hanging.wait(10)
        if host == "odd.example":
            raise UnicodeError
        return [threading.current_thread().name]

    resolve = NameResolver(look_up)
    assert await resolve("fast.example", 443) == ["broker-names"]
    with pytest.raises(OSError, match="no address"):
        await resolve("odd.example", 443)
    slow = [asyncio.create_task(resolve(f"slow{n}.example", 443)) for n in range(MOST_LOOKUPS)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many"):
        await resolve("fast.example", 443)
    slow[0].cancel()
    hanging.set()
    await asyncio.gather(*slow, return_exceptions=True)
    assert await resolve("fast.example", 443) == ["broker-names"]


async def test_a_name_that_hangs_takes_one_place_and_refuses_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules D10, G14: however often it is asked for; after a while it is refused at once instead of waited for."""
    hanging, looked_up = threading.Event(), []

    def look_up(host: str, _: int) -> list[str]:
        looked_up.append(host)
        if host == "slow.example":
            hanging.wait(10)
        return ["192.0.2.1"]

    resolve = NameResolver(look_up)
    slow = [asyncio.create_task(resolve("slow.example", 443)) for _ in range(2 * MOST_LOOKUPS)]
    await asyncio.sleep(0)
    assert await resolve("fast.example", 443) == ["192.0.2.1"]
    slow[0].cancel()
    loop = asyncio.get_running_loop()
    in_a_while = loop.time() + PATIENCE + 1
    with monkeypatch.context() as later:
        later.setattr(loop, "time", lambda: in_a_while)
        with pytest.raises(OSError, match="hangs"):
            await resolve("slow.example", 443)
    hanging.set()
    answers = await asyncio.gather(*slow, return_exceptions=True)
    assert answers[1:] == [["192.0.2.1"]] * (2 * MOST_LOOKUPS - 1)
    assert sorted(looked_up) == ["fast.example", "slow.example"]
    assert await resolve("slow.example", 443) == ["192.0.2.1"]


def test_the_system_lists_each_address_once() -> None:
    """RFC 6724: in the system's order."""
    found = system_addresses("127.0.0.1", 443)
    assert found == ["127.0.0.1"]


class Source:
    """Something that is loaded: counts, and fails when told to."""

    def __init__(self) -> None:
        self.loads = 0
        self.fault: OAuthError | None = None

    async def load(self) -> tuple[int, int]:
        self.loads += 1
        if self.fault is not None:
            raise self.fault
        return self.loads, 60


GONE = InvalidClient(Reason.CLIENT_DOCUMENT_UNREACHABLE, "timeout")


async def test_a_value_is_reused_until_it_is_stale() -> None:
    """Rule D9; RFC 9111 section 4.2."""
    clock, source = ManualClock(), Source()
    values: Remembered[int] = Remembered(clock)
    assert [await values.get("u", source.load) for _ in range(3)] == [1, 1, 1]
    clock.advance(59)
    assert await values.get("u", source.load) == 1
    clock.advance(1)
    assert await values.get("u", source.load) == 2
    assert await values.get("v", source.load) == 3


async def test_an_error_is_held_for_seconds_only() -> None:
    """Rule D9: never as an answer; only so long that a dead host costs one wait and not one for each caller."""
    clock, source = ManualClock(), Source()
    values: Remembered[int] = Remembered(clock)
    source.fault = GONE
    for _ in range(3):
        with pytest.raises(InvalidClient) as refused:
            await values.get("u", source.load)
        assert refused.value.reason is Reason.CLIENT_DOCUMENT_UNREACHABLE
    assert source.loads == 1
    source.fault = None
    clock.advance(3)
    assert await values.get("u", source.load) == 2


async def test_a_verdict_about_a_document_is_not_held_at_all() -> None:
    """Rule D9: whoever mends a document is served at once."""
    source = Source()
    values: Remembered[int] = Remembered(ManualClock())
    source.fault = InvalidClient(Reason.CLIENT_DOCUMENT_INVALID, "client_name")
    for _ in range(2):
        with pytest.raises(InvalidClient):
            await values.get("u", source.load)
    assert source.loads == 2
    source.fault = None
    assert await values.get("u", source.load) == 3


async def test_a_limit_says_nothing_about_the_url() -> None:
    """Rule D10: one caller's limit is not another's error."""
    source = Source()
    values: Remembered[int] = Remembered(ManualClock())
    source.fault = TooManyRequests(Reason.RATE_LIMITED)
    with pytest.raises(TooManyRequests):
        await values.get("u", source.load)
    source.fault = None
    assert await values.get("u", source.load) == 2


async def test_a_limit_keeps_nobody_from_what_was_good_today() -> None:
    """Rules D9, D10: whoever spends a host's limit locks out no client that was known before, for a day."""
    clock, source = ManualClock(), Source()
    values: Remembered[int] = Remembered(clock)
    assert await values.get("u", source.load) == 1
    source.fault = TooManyRequests(Reason.RATE_LIMITED)
    clock.advance(86_000)
    assert await values.get("u", source.load) == 1
    source.fault = None
    assert await values.get("u", source.load) == 3
    source.fault = TooManyRequests(Reason.RATE_LIMITED)
    clock.advance(86_400)
    with pytest.raises(TooManyRequests):
        await values.get("u", source.load)


async def test_a_stale_value_stands_in_for_a_day_where_the_caller_accepts_it() -> None:
    """Architecture, registration: keys keep their last good copy for a day; everybody else gets the error."""
    clock, source = ManualClock(), Source()
    values: Remembered[int] = Remembered(clock)
    assert await values.get("u", source.load) == 1
    source.fault = GONE
    clock.advance(3600)
    assert await values.get("u", source.load, last_good=True) == 1
    with pytest.raises(InvalidClient):
        await values.get("u", source.load)
    clock.advance(10)
    loads = source.loads
    assert await values.get("u", source.load, last_good=True) == 1
    assert source.loads == loads  # a host that is down is not asked at every call
    clock.advance(86400)
    with pytest.raises(InvalidClient):
        await values.get("u", source.load, last_good=True)


async def test_a_renewal_is_possible_after_a_while() -> None:
    """Rule B8 in spirit: an unknown key looks again, at most once in 30 s."""
    clock, source = ManualClock(), Source()
    values: Remembered[int] = Remembered(clock)
    assert await values.get("u", source.load) == 1
    assert await values.get("u", source.load, renew=True) == 1
    clock.advance(30)
    assert await values.get("u", source.load) == 1
    assert await values.get("u", source.load, renew=True) == 2
    assert await values.get("u", source.load, renew=True) == 2


async def test_memory_is_bounded() -> None:
    """Rule D9: the least used goes first."""
    source = Source()
    values: Remembered[int] = Remembered(ManualClock())
    for number in range(remembered.MOST):
        await values.get(str(number), source.load)
    await values.get("0", source.load)
    await values.get("one more", source.load)
    loads = source.loads
    await values.get("0", source.load)
    assert source.loads == loads
    await values.get("1", source.load)
    assert source.loads == loads + 1
