"""What was fetched and still counts (RFC 9111 section 4): bounded, by the answer's own freshness, never an error (rule D9)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from broker.clock import Clock
from broker.oauth import OAuthError, Reason, TooManyRequests

MOST = 1000  # entries
BACK_OFF = (
    3.0  # seconds without a second try where nobody answered, so that a dead host costs one wait and not one each
)
COOL_DOWN = 30.0  # seconds between renewals that callers ask for
LAST_GOOD = 86400.0  # seconds for which an answer may stand in for a host that is down, where the caller accepts that

T = TypeVar("T")


@dataclass(slots=True)
class _Held(Generic[T]):
    value: T
    fetched_at: float
    fresh_until: float
    retry_at: float = 0.0  # not before, for callers whom the last good value serves


class Remembered(Generic[T]):
    """Values by URL. `load` returns a value and its lifetime in seconds, or raises OAuthError."""

    def __init__(self, clock: Clock) -> None:
        """`clock` is asked for monotonic time only."""
        self._clock = clock
        self._held: OrderedDict[str, _Held[T]] = OrderedDict()
        self._failures: OrderedDict[str, tuple[float, OAuthError]] = OrderedDict()

    async def get(
        self,
        url: str,
        load: Callable[[], Awaitable[tuple[T, int]]],
        *,
        renew: bool = False,
        last_good: bool = False,
    ) -> T:
        """Return a fresh value, loading it where there is none; raises what `load` raises.

        Where a limit forbids to ask, a value of the last day serves. `renew` asks again even while it is fresh, at most once in
        30 s; `last_good` accepts a value of the last day whenever asking fails.
        """
        now = self._clock.monotonic()
        held = self._held.get(url)
        serves = held is not None and last_good and now - held.fetched_at < LAST_GOOD
        if held is not None:
            fresh = now < held.fresh_until and not (renew and now - held.fetched_at >= COOL_DOWN)
            if fresh or (serves and now < held.retry_at):
                self._held.move_to_end(url)
                return held.value
        try:
            return await self._load(url, load)
        except (
            TooManyRequests
        ):  # somebody's limit is nobody else's outage: what was good today still says who the client is
            if held is None or now - held.fetched_at >= LAST_GOOD:
                raise
            return held.value
        except OAuthError:
            if held is None or not serves:
                raise
            held.retry_at = self._clock.monotonic() + COOL_DOWN
            return held.value

    async def _load(self, url: str, load: Callable[[], Awaitable[tuple[T, int]]]) -> T:
        until, failure = self._failures.get(url, (0.0, None))
        if failure is not None and self._clock.monotonic() < until:
            raise type(failure)(failure.reason, failure.detail)
        try:
            value, lifetime = await load()
        except TooManyRequests:
            raise  # says something about the caller, nothing about the URL
        except OAuthError as fault:
            # Only that nobody answered: a verdict about a document ends with the document that is there next.
            if fault.reason is Reason.CLIENT_DOCUMENT_UNREACHABLE:
                _put(self._failures, url, (self._clock.monotonic() + BACK_OFF, fault))
            raise
        now = self._clock.monotonic()
        self._failures.pop(url, None)
        _put(self._held, url, _Held(value, now, now + lifetime))
        return value


V = TypeVar("V")


def _put(entries: OrderedDict[str, V], url: str, value: V) -> None:
    entries[url] = value
    entries.move_to_end(url)
    if len(entries) > MOST:
        entries.popitem(last=False)
