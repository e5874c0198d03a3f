"""What a round measured, and what many rounds say: medians, and ratios of neighbours in time. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

BUSY = 0.9  # of one core: a process that used less was waiting for something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One cell of one round. Seconds; `server_cpu` is user and system time of the measured process, `client_cpu` the generator's."""

    operations: int
    elapsed: float
    server_cpu: float
    client_cpu: float

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.elapsed

    @property
    def cost(self) -> float:
        """The server's CPU seconds for one operation."""
        return self.server_cpu / self.operations

    @property
    def server_busy(self) -> float:
        """Which part of the time the server was computing (more than 1 on several cores)."""
        return self.server_cpu / self.elapsed

    @property
    def client_busy(self) -> float:
        """Which part of the time the generator was computing."""
        return self.client_cpu / self.elapsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Medians over rounds."""

    rate: float
    cost: float
    server_busy: float
    client_busy: float
    operations: int
    rounds: int

    @property
    def generator_bound(self) -> bool:
        """Whether the generator was busier than the server: the server can do more than was seen."""
        return self.client_busy > BUSY > self.server_busy

    def as_json(self) -> dict[str, float]:
        """Return the fields."""
        return asdict(self)


def summarise(samples: Sequence[Sample]) -> Summary:
    """Return the medians of at least one round."""
    return Summary(
        rate=statistics.median(s.rate for s in samples),
        cost=statistics.median(s.cost for s in samples),
        server_busy=statistics.median(s.server_busy for s in samples),
        client_busy=statistics.median(s.client_busy for s in samples),
        operations=sum(s.operations for s in samples),
        rounds=len(samples),
    )


def rate_ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """Return ours / theirs in operations a second: the median over rounds of the ratio within a round, since machines drift."""
    return statistics.median(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))


def cost_ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """Return theirs / ours in CPU seconds for one operation: above 1 we are cheaper, as in `rate_ratio`."""
    return statistics.median(b.cost / a.cost for a, b in zip(ours, theirs, strict=True))


def grown(start: float, half: float, end: float, *, done: int, to: int) -> float:
    """Return a size's growth over `to` things, seen at the start, the half and the end of `done` of them.

    Caches fill first and then stay; only what still grows in the second half is taken to go on in proportion.
    """
    return end - start + max(0.0, end - half) * (to - done) / (done / 2)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of at least one value that so many per cent of them do not exceed (the nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should reach: `bound` at least (or at most), `aim` if all goes well; `of` says of what."""

    bound: float
    aim: float | None = None
    at_most: bool = False

    def verdict(self, value: float) -> str:
        """Return `aim`, `yes` or `no`."""
        if self.aim is not None and self._reaches(value, self.aim):
            return "aim"
        return "yes" if self._reaches(value, self.bound) else "no"

    def _reaches(self, value: float, bound: float) -> bool:
        return value <= bound if self.at_most else value >= bound

    def __str__(self) -> str:
        """Say it in a column."""
        sign = "<=" if self.at_most else ">="
        aim = "" if self.aim is None else f" (aim {self.aim:g})"
        return f"{sign} {self.bound:g}{aim}"
