"""A value fetched from a provider and kept in memory: one fetch at a time, the last good value while fetching fails.

Serves discovery and key sets (security rules B7, B8). Losing it changes latency, never an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from providers.base import Fault, UpstreamError

T = TypeVar("T")

RENEWAL_INTERVAL = (
    30  # seconds between two fetches that somebody insists on, and between attempts while a stale value serves
)
_EMPTY_RETRY = 2  # seconds before the next attempt when there is nothing to serve: those who queued share one failure


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """What a fetch gave, and for how many seconds it is fresh."""

    value: T
    fresh_for: int


class Kept(Generic[T]):
    """The value of `fetch`.

    `now` returns epoch seconds; `stale_for` is for how many seconds past freshness the value still serves while fetching fails
    (None: without end).
    """

    def __init__(
        self, fetch: Callable[[], Awaitable[Fetched[T]]], now: Callable[[], int], *, stale_for: int | None = None
    ) -> None:
        self._fetch = fetch
        self._now = now
        self._stale_for = stale_for
        self._lock = asyncio.Lock()
        self._kept: Fetched[T] | None = None
        self._fetched_at = 0
        self._failure: UpstreamError | None = None
        self._failed_at = 0
        self._renewed_at: int | None = None

    async def get(self) -> T:
        """Return the value, fetched if it is not fresh; raises UpstreamError when there is none to serve."""
        if (kept := self._within(0)) is not None:
            return kept.value
        async with self._lock:
            if (kept := self._within(0)) is not None:  # fetched while this caller waited
                return kept.value
            if not self._resting() and (fetched := await self._attempt()) is not None:
                return fetched.value
            return self._last_good()

    async def renewed(self) -> T:
        """Return the value after a new fetch, at most one in RENEWAL_INTERVAL; when that fails, the value as it was."""
        async with self._lock:
            if self._renewed_at is None or not _is_recent(self._renewed_at, self._now(), RENEWAL_INTERVAL):
                self._renewed_at = self._now()
                if (fetched := await self._attempt()) is not None:
                    return fetched.value
            return self._last_good()

    async def _attempt(self) -> Fetched[T] | None:
        try:
            fetched = await self._fetch()
        except UpstreamError as failure:
            self._failure, self._failed_at = failure, self._now()
            return None
        self._kept, self._failure, self._fetched_at = fetched, None, self._now()
        return fetched

    def _last_good(self) -> T:
        if (kept := self._within(self._stale_for)) is not None:
            return kept.value
        failure = self._failure or UpstreamError(Fault.TRANSIENT, "expired")
        raise UpstreamError(failure.fault, failure.reason)  # a new one: many callers share the failure

    def _within(self, stale_for: int | None) -> Fetched[T] | None:
        """Return what is kept unless it is older than its freshness and `stale_for` (None: whatever its age)."""
        if self._kept is None or stale_for is None:
            return self._kept
        fits = _is_recent(self._fetched_at, self._now(), self._kept.fresh_for + stale_for)
        return self._kept if fits else None

    def _resting(self) -> bool:
        if self._failure is None:
            return False
        return _is_recent(self._failed_at, self._now(), RENEWAL_INTERVAL if self._kept else _EMPTY_RETRY)


def _is_recent(then: int, now: int, seconds: int) -> bool:
    """Whether less than `seconds` passed; a clock that went back counts as a long time (security rule F4)."""
    return 0 <= now - then < seconds
