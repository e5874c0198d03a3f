"""Keeps every connection busy with one operation and counts what was answered rightly; nothing else is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from tests.load.figures import Sample
from tests.load.machine import cpu_seconds
from tests.load.wire import WrongAnswer

Step = Callable[[int], Awaitable[bool]]  # one operation of worker n; False when its stock is used up
Stock = Callable[[int], Awaitable[None]]  # makes so many operations possible

STARVED = 0.5  # a round that ended before this part of its time says too little


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that workers do over and over; `stock` where each operation uses something up (a code, a fresh token)."""

    step: Step
    stock: Stock | None = None


@dataclass(slots=True)
class Round:
    """A round under way: it ends with its time, or for everybody when the first worker runs out of stock."""

    deadline: float
    operations: int = 0
    over: bool = False

    async def work(self, step: Step, worker: int) -> None:
        """Be one worker. Raises what the step raises: a wrong answer ends the run."""
        clock = time.perf_counter
        while not self.over and clock() < self.deadline:
            if not await step(worker):
                self.over = True
                return
            self.operations += 1


async def everybody(work: Callable[[int], Coroutine[Any, Any, None]], workers: int) -> None:
    """Let every worker do something; the first exception of one ends all, and is raised as it is."""
    tasks = [asyncio.create_task(work(worker)) for worker in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def measure(operation: Operation, *, pids: Sequence[int], workers: int, seconds: float) -> Sample:
    """Run one operation on `workers` connections for `seconds`; raises WrongAnswer at the first answer that is none.

    `pids` are the servers' processes: what all of them computed is the cost.
    """
    began, server, client = time.perf_counter(), sum(map(cpu_seconds, pids)), time.process_time()
    current = Round(began + seconds)
    await everybody(lambda worker: current.work(operation.step, worker), workers)
    elapsed = time.perf_counter() - began
    if not current.operations:
        raise WrongAnswer("not one operation was finished")
    return Sample(
        operations=current.operations,
        elapsed=elapsed,
        server_cpu=sum(map(cpu_seconds, pids)) - server,
        client_cpu=time.process_time() - client,
    )


class Cell:
    """One operation on one system: measured once a round, stocked beforehand by what the last rounds used."""

    def __init__(self, operation: Operation, *, pids: Sequence[int], workers: int, most: int | None = None) -> None:
        """Measure nothing yet. `most` limits the stock of a system that takes long to make it: then its rounds may end early."""
        self._operation = operation
        self._pids = pids
        self._most = most
        self._workers = workers
        self._rate = 0.0
        self.samples: list[Sample] = []

    async def warm_up(self, seconds: float, *, stock: int) -> None:
        """Let caches fill and compilers compile, and learn the rate."""
        await self._stock(stock)
        self._rate = (await self._measure(seconds)).rate

    async def round(self, seconds: float) -> None:
        """Measure one round; a round whose stock was used up much too early is repeated once with more."""
        for _ in range(2):
            await self._stock(int(self._rate * seconds * 1.4) + self._workers)
            sample = await self._measure(seconds)
            self._rate = max(self._rate * 0.8, sample.rate)
            if sample.elapsed >= seconds * STARVED or self._most is not None:
                break
        self.samples.append(sample)

    async def _stock(self, wanted: int) -> None:
        if self._operation.stock is not None:
            await self._operation.stock(wanted if self._most is None else min(wanted, self._most))

    async def _measure(self, seconds: float) -> Sample:
        return await measure(self._operation, pids=self._pids, workers=self._workers, seconds=seconds)


async def repeat(operation: Operation, *, times: int, workers: int) -> None:
    """Do an operation so many times, unmeasured."""
    left = iter(range(times))

    async def work(worker: int) -> None:
        for _ in left:
            if not await operation.step(worker):
                raise WrongAnswer("the stock was used up")

    await everybody(work, workers)
