"""How long everything of a run takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Length:
    """Rounds of a cell and their seconds; how often something is started, registered, refreshed; how many grants a full store has."""

    rounds: int
    seconds: float
    starts: int
    registrations: int
    refreshes: int
    grants: int


FULL = Length(rounds=5, seconds=0.7, starts=3, registrations=24_000, refreshes=12_000, grants=1_000_000)
QUICK = Length(rounds=3, seconds=0.25, starts=1, registrations=3_000, refreshes=3_000, grants=50_000)
