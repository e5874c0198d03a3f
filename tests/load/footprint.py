"""What a broker costs before it has done anything, and what it keeps of what it did: start, memory."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.processes import free_port
from tests.load import dialects, goals
from tests.load.drive import Operation, repeat
from tests.load.figures import grown
from tests.load.length import Length
from tests.load.machine import Server, cpu_seconds, resident
from tests.load.report import Figure
from tests.load.systems import System
from tests.load.workload import CONNECTIONS, RESOURCE

MEGABYTE = 1e6
HUNDRED_THOUSAND = 100_000
GIVE_UP = 60  # seconds
CACHED = "what they added, and what the second half of them added in proportion"


async def start(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure from the process's start to its first 200: with a new database (keys are made) and with that database again."""
    new: list[tuple[float, float]] = []
    again: list[tuple[float, float]] = []
    for number in range(length.starts):
        environment = dialects.broker_environment(folder, free_port(), upstream)
        new.append(_until_first_answer(folder, environment, f"new-{number}"))
        again.append(_until_first_answer(folder, environment, f"again-{number}"))
    return [
        _start_figure("start to first 200, new database", new, goals.START),
        _start_figure("start to first 200, again", again, None),
    ]


def _start_figure(name: str, measured: list[tuple[float, float]], goal: goals.Goal | None) -> Figure:
    elapsed, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
    return Figure(
        name=name,
        value=elapsed,
        unit="s",
        goal=goal,
        note=f"median of {len(measured)}; {cpu:.2f} s of CPU of the process that serves",
    )


def _until_first_answer(folder: Path, environment: Mapping[str, str], name: str) -> tuple[float, float]:
    """Return seconds until the first answer, and the CPU seconds in them."""
    began = time.perf_counter()
    server = dialects.launch_broker(folder, environment, name=name)
    try:
        while not _answers(server.port):
            if time.perf_counter() - began > GIVE_UP or server.process.exit_status is not None:
                raise RuntimeError(f"{server.name} did not start:\n{server.process.written()[-2000:]}")
            time.sleep(0.005)
        return time.perf_counter() - began, cpu_seconds(server.pid)
    finally:
        server.process.stop()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/.well-known/oauth-authorization-server")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


async def memory(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure resident memory idle, and what many registrations and refreshes add once caches are warm."""
    server = await asyncio.to_thread(dialects.start_broker, folder, upstream, name="memory")
    try:
        await asyncio.sleep(1)
        idle = resident(server.pid)
        system = await System.connected(server, dialects.OurDialect(server.origin))
        by_clients = await _growth(system, system.register(), length.registrations)
        await system.begin_chains(RESOURCE, 8)
        by_refreshes = await _growth(system, system.refresh(RESOURCE), length.refreshes)
        system.close()
    finally:
        server.process.stop()
    return [
        Figure(name="resident memory, idle", value=idle / MEGABYTE, unit="MB", goal=goals.IDLE),
        Figure(
            name="memory per 100,000 registered clients",
            value=by_clients / MEGABYTE,
            unit="MB",
            goal=goals.CLIENTS,
            note=f"from {length.registrations:,}: {CACHED}",
        ),
        Figure(
            name="memory per 100,000 refreshes",
            value=by_refreshes / MEGABYTE,
            unit="MB",
            goal=goals.REFRESHES,
            note=f"from {length.refreshes:,}, after those: {CACHED}",
        ),
    ]


async def _growth(system: System, operation: Operation, times: int) -> float:
    """Return bytes for a hundred thousand."""
    sizes = [resident(system.server.pid)]
    for _ in range(2):
        await repeat(operation, times=times // 2, workers=CONNECTIONS)
        sizes.append(resident(system.server.pid))
    return grown(*sizes, done=times, to=HUNDRED_THOUSAND)
