"""Periodic work beside the requests: keys, purge, clock. An outage of the database is waited out, never fatal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from broker.audit import Audit
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
    tasks = [asyncio.create_task(_repeat(chore, audit), name=chore.name) for chore in chores]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(chore: Chore, audit: Audit) -> None:
    while True:
        await asyncio.sleep(chore.interval)
        try:
            await chore.work()
        except StoreUnavailable:
            audit.log("chore.postponed", "warning", chore=chore.name)
