"""What is not side by side with peers, part by part: its name for `--only`, the goals that it measures, and how."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.load import goals
from tests.load.footprint import memory, start
from tests.load.goals import Goal
from tests.load.length import Length
from tests.load.machine import Server
from tests.load.million import million
from tests.load.on_postgres import postgres, workers
from tests.load.report import Figure
from tests.load.seen_before import verifier
from tests.load.slow_disk import slow_disk


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a run."""

    name: str
    goals: tuple[Goal, ...]
    measure: Callable[[Path, Server, Length], Awaitable[list[Figure]]]


PARTS = (
    Part("start", (goals.START,), start),
    Part("memory", (goals.IDLE, goals.CLIENTS, goals.REFRESHES), memory),
    Part("verifier", (goals.VERIFIER,), verifier),
    Part("slow-disk", (goals.SLOW_DISK,), slow_disk),
    Part("postgres", (goals.POSTGRES,), postgres),
    Part("workers", (goals.TWO_WORKERS,), workers),
    Part("million", (goals.MILLION,), million),
)
