"""How often one key (a host, a source) may do something: in bounded memory (rules D10, D13)."""

from __future__ import annotations

import math
from collections import OrderedDict

from broker.clock import Clock
from broker.settings import Rate

MOST_KEYS = 10_000


class Limiter:
    """`rate.count` at once and then evenly over `rate.window` seconds, for each key. The oldest of too many keys is forgotten."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        """`clock` is asked for monotonic time only."""
        self._period = rate.window / rate.count
        self._burst = self._period * (rate.count - 1)
        self._clock = clock
        self._paid_until: OrderedDict[str, float] = OrderedDict()

    def take(self, key: str) -> int:
        """Take one; return 0 when it was there, else after how many seconds it will be."""
        now = self._clock.monotonic()
        ahead = max(0.0, self._paid_until.get(key, 0.0) - now)
        if ahead > self._burst:
            return math.ceil(ahead - self._burst)
        self._paid_until[key] = now + ahead + self._period
        self._paid_until.move_to_end(key)
        if len(self._paid_until) > MOST_KEYS:
            self._paid_until.popitem(last=False)
        return 0
