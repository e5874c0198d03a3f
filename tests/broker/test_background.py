"""Work beside the requests: it goes on whatever happens to one turn of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from broker.audit import Audit
from broker.background import Chore, running
from broker.clock import SystemClock
from broker.store.base import StoreUnavailable

SOON = 5  # seconds


class Work:
    """Fails as told, one turn after the other; `done` is set when it comes to the end of that."""

    def __init__(self, *faults: Exception) -> None:
        self._faults = list(faults)
        self.done = asyncio.Event()

    async def __call__(self) -> None:
        if self._faults:
            raise self._faults.pop(0)
        self.done.set()


async def lines_of(work: Work) -> list[dict[str, Any]]:
    written: list[str] = []
    async with (
        running((Chore("keys", 0.001, work),), Audit(SystemClock(), write=written.append)),
        asyncio.timeout(SOON),
    ):
        await work.done.wait()
    return [json.loads(line) for line in written]


async def test_an_outage_of_the_database_postpones_a_chore():
    """Architecture, section 5: an outage is waited out."""
    lines = await lines_of(Work(StoreUnavailable("gone"), StoreUnavailable("gone")))
    assert [(line["event"], line["chore"]) for line in lines] == [("chore.postponed", "keys")] * 2


async def test_a_defect_is_told_without_what_it_held_and_ends_no_chore():
    """Rule G13; keys are rotated and rows purged as long as the process runs."""
    lines = await lines_of(Work(ValueError("a secret"), KeyError("a secret")))
    assert [(line["event"], line["level"], line["kind"]) for line in lines] == [
        ("chore.failed", "error", "ValueError"),
        ("chore.failed", "error", "KeyError"),
    ]
    assert all(line["place"].startswith("test_background.py:") for line in lines)
    assert "a secret" not in json.dumps(lines)


async def test_chores_end_with_the_block():
    work = Work()
    async with running((Chore("keys", 0.001, work),), Audit(SystemClock(), write=lambda _: None)):
        await work.done.wait()
    work.done.clear()
    await asyncio.sleep(0.02)
    assert not work.done.is_set()
