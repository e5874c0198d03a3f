"""Periodic work beside the requests: keys, purge, clock. An outage is waited out and a defect told: neither ends a chore."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from broker.audit import Audit, place_of
from broker.store.base import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every `interval` seconds; `name` is for the log."""

    name: str
    interval: float
    work: Callable[[], Awaitable[object]]


@asynccontextmanager
async def running(chores: tuple[Chore, ...], audit: Audit) -> AsyncIterator[None]:
    """Run the chores until the block ends."""
    tasks: dict[str, asyncio.Task[None]] = {}

    def begin(chore: Chore) -> None:
        tasks[chore.name] = task = asyncio.create_task(_repeat(chore, audit), name=chore.name)
        task.add_done_callback(partial(again, chore))

    def again(chore: Chore, task: asyncio.Task[None]) -> None:
        """A defect must not end for good what the process needs for as long as it runs."""
        if task.cancelled():
            return
        fault = task.exception()
        assert fault is not None  # noqa: S101 - a chore has no end of its own
        audit.log("chore.failed", "error", chore=chore.name, kind=type(fault).__name__, place=place_of(fault))
        begin(chore)

    for chore in chores:
        begin(chore)
    try:
        yield
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _repeat(chore: Chore, audit: Audit) -> None:
    while True:
        await asyncio.sleep(chore.interval)
        try:
            await chore.work()
        except StoreUnavailable:
            audit.log("chore.postponed", "warning", chore=chore.name)
