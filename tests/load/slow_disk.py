"""Refreshes where an fsync takes 2 ms: the process sleeps in it, without computing, as it would on such a disk (slow_fsync.c)."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

from tests.load import dialects, goals
from tests.load.drive import Cell
from tests.load.figures import rate_ratio, summarise
from tests.load.length import Length
from tests.load.machine import Server
from tests.load.plan import GROUPED, IN_PLACE, raw_operation
from tests.load.report import Figure
from tests.load.running import running_broker
from tests.load.wire import Connection
from tests.load.workload import CONNECTIONS, RESOURCE

NAME = "refresh with fsync of 2 ms, against a commit for each request"
SLOW_AT_MOST = 500  # commits a second when each takes 2 ms: more, and the simulation did not work


async def slow_disk(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure by rates: waiting is what is compared, and CPU time does not know of it."""
    compiler = shutil.which("cc")
    if compiler is None:
        return [_not_measured("needs a C compiler (cc)")]
    shim = folder / "slow_fsync.so"
    source = Path(__file__).with_name("slow_fsync.c")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(shim), str(source), "-ldl"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    raw = dialects.start_limit(folder, preload=shim)
    try:
        connections = [Connection(raw.port) for _ in range(CONNECTIONS)]
        each = Cell(raw_operation(connections, IN_PLACE), pids=[raw.pid], workers=CONNECTIONS)
        grouped = Cell(raw_operation(connections, GROUPED), pids=[raw.pid], workers=CONNECTIONS)
        async with running_broker(folder, upstream, name="slow-disk", LD_PRELOAD=str(shim)) as system:
            await system.begin_chains(RESOURCE, 4)
            ours = Cell(system.refresh(RESOURCE), pids=[system.server.pid], workers=CONNECTIONS)
            for cell in (each, grouped, ours):
                await cell.warm_up(length.seconds / 2, stock=0)
            for _ in range(length.rounds):
                for cell in (each, grouped, ours):
                    await cell.round(length.seconds)
    finally:
        raw.process.stop()
    told = [summarise(cell.samples) for cell in (each, grouped, ours)]
    rates = [summary.rate for summary in told]
    if rates[0] > SLOW_AT_MOST:
        return [_not_measured(f"no effect: {rates[0]:.0f} commits/s")]
    note = (
        f"a commit each {rates[0]:,.0f}/s, raw grouped {rates[1]:,.0f}/s, ours {rates[2]:,.0f}/s, "
        f"busy for {told[2].server_busy:.0%} with {told[2].cost * 1e6:,.0f} us of CPU each"
    )
    ratio = rate_ratio(ours.samples, each.samples)
    return [Figure(name=NAME, value=ratio, unit="ratio", goal=goals.SLOW_DISK, note=note)]


def _not_measured(why: str) -> Figure:
    return Figure(name=NAME, value=None, unit="ratio", goal=goals.SLOW_DISK, note=why)
