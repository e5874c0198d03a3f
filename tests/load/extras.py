"""What is not side by side with peers: start, memory, the verifier's cache, a slow disk, PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
import http.client
import shutil
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from broker.resource_server import BrokerTokenVerifier
from tests.e2e.processes import free_port
from tests.load import dialects
from tests.load.drive import Cell, Operation, repeat
from tests.load.figures import Target, grown, rate_ratio, summarise
from tests.load.machine import Server, cpu_seconds, resident
from tests.load.plan import GROUPED, IN_PLACE, raw_operation
from tests.load.report import Figure
from tests.load.systems import System
from tests.load.wire import Connection
from tests.load.workload import CONNECTIONS, RESOURCE
from tests.postgres import INSTALL, SETTINGS, PostgresServer, binaries

MEGABYTE = 1e6
HUNDRED_THOUSAND = 100_000
GIVE_UP = 60  # seconds
CACHED = "what they added, and what the second half of them added in proportion"
SLOW_AT_MOST = 500  # commits a second when each takes 2 ms: more, and the simulation did not work


@asynccontextmanager
async def running_broker(folder: Path, upstream: Server, *, name: str, **more: str) -> AsyncIterator[System]:
    """Start a broker with a database of its own and connect to it, for the length of a block."""
    server = await asyncio.to_thread(dialects.start_broker, folder, upstream, name=name, **more)
    try:
        system = await System.connected(server, dialects.OurDialect(server.origin))
        try:
            yield system
        finally:
            system.close()
    finally:
        server.process.stop()


def start(folder: Path, upstream: Server, times: int) -> list[Figure]:
    """Measure from the process's start to its first 200: with a new database (keys are made) and with that database again."""
    new: list[tuple[float, float]] = []
    again: list[tuple[float, float]] = []
    for number in range(times):
        environment = dialects.broker_environment(folder, free_port(), upstream)
        new.append(_until_first_answer(folder, environment, f"new-{number}"))
        again.append(_until_first_answer(folder, environment, f"again-{number}"))
    return [
        _start_figure("start to first 200, new database", new),
        _start_figure("start to first 200, again", again),
    ]


def _start_figure(name: str, measured: list[tuple[float, float]]) -> Figure:
    elapsed, cpu = (statistics.median(column) for column in zip(*measured, strict=True))
    note = f"median of {len(measured)}; {cpu:.2f} s of CPU"
    return Figure(name=name, value=elapsed, unit="s", target=Target(2, at_most=True), note=note)


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


async def memory(folder: Path, upstream: Server, *, registrations: int, refreshes: int) -> list[Figure]:
    """Measure resident memory idle, and what many registrations and refreshes add once caches are warm."""
    server = await asyncio.to_thread(dialects.start_broker, folder, upstream, name="memory")
    try:
        await asyncio.sleep(1)
        idle = resident(server.pid)
        system = await System.connected(server, dialects.OurDialect(server.origin))
        by_clients = await _growth(system, system.register(), registrations)
        await system.begin_chains(RESOURCE, 8)
        by_refreshes = await _growth(system, system.refresh(RESOURCE), refreshes)
        system.close()
    finally:
        server.process.stop()
    return [
        Figure(name="resident memory, idle", value=idle / MEGABYTE, unit="MB", target=Target(120, 100, at_most=True)),
        Figure(
            name="memory per 100,000 registered clients",
            value=by_clients / MEGABYTE,
            unit="MB",
            target=Target(30, at_most=True),
            note=f"from {registrations:,}: {CACHED}",
        ),
        Figure(
            name="memory per 100,000 refreshes",
            value=by_refreshes / MEGABYTE,
            unit="MB",
            target=Target(5, at_most=True),
            note=f"from {refreshes:,}, after those: {CACHED}",
        ),
    ]


async def _growth(system: System, operation: Operation, times: int) -> float:
    """Return bytes for a hundred thousand."""
    sizes = [resident(system.server.pid)]
    for _ in range(2):
        await repeat(operation, times=times // 2, workers=CONNECTIONS)
        sizes.append(resident(system.server.pid))
    return grown(*sizes, done=times, to=HUNDRED_THOUSAND)


async def verifier(folder: Path, upstream: Server, seconds: float) -> list[Figure]:
    """Measure calls of the resource server's verifier with a token that it has seen before."""
    async with running_broker(folder, upstream, name="issuer") as system:
        await system.begin_chains(RESOURCE, 1)
        token = await system.access_token(RESOURCE)
        checked = BrokerTokenVerifier(system.server.origin, RESOURCE)
        if await checked.verify_token(token) is None:
            raise RuntimeError("the verifier refused a good token")
    rates = [await _calls(checked, token, seconds) for _ in range(3)]
    return [
        Figure(
            name="verifier, token seen before",
            value=statistics.median(rates),
            unit="calls/s",
            target=Target(100_000),
            note="calls for each second of CPU",
        )
    ]


async def _calls(checked: BrokerTokenVerifier, token: str, seconds: float) -> float:
    calls, began = 0, time.process_time()
    while (elapsed := time.process_time() - began) < seconds:
        for _ in range(200):
            if await checked.verify_token(token) is None:
                raise RuntimeError("the verifier refused a good token")
        calls += 200
    return calls / elapsed


async def slow_disk(folder: Path, upstream: Server, *, rounds: int, seconds: float) -> list[Figure]:
    """Measure refreshes where an fsync takes 2 ms: the process sleeps in it, without computing, as it would on such a disk."""
    name, target = "refresh with fsync of 2 ms, against a commit for each request", Target(5, 7)
    compiler = shutil.which("cc")
    if compiler is None:
        return [Figure(name=name, value=None, unit="ratio", target=target, note="needs a C compiler (cc)")]
    shim = folder / "slow_fsync.so"
    source = Path(__file__).with_name("slow_fsync.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)  # noqa: ASYNC221 - nothing else runs
    raw = dialects.start_limit(folder, preload=shim)
    try:
        connections = [Connection(raw.port) for _ in range(CONNECTIONS)]
        each = Cell(raw_operation(connections, IN_PLACE), pid=raw.pid, workers=CONNECTIONS)
        grouped = Cell(raw_operation(connections, GROUPED), pid=raw.pid, workers=CONNECTIONS)
        async with running_broker(folder, upstream, name="slow-disk", LD_PRELOAD=str(shim)) as system:
            await system.begin_chains(RESOURCE, 4)
            ours = Cell(system.refresh(RESOURCE), pid=system.server.pid, workers=CONNECTIONS)
            for cell in (each, grouped, ours):
                await cell.warm_up(seconds / 2, stock=0)
            for _ in range(rounds):
                for cell in (each, grouped, ours):
                    await cell.round(seconds)
    finally:
        raw.process.stop()
    rates = [summarise(cell.samples).rate for cell in (each, grouped, ours)]
    if rates[0] > SLOW_AT_MOST:
        return [Figure(name=name, value=None, unit="ratio", target=target, note=f"no effect: {rates[0]:.0f} commits/s")]
    note = f"a commit each {rates[0]:,.0f}/s, raw grouped {rates[1]:,.0f}/s, ours {rates[2]:,.0f}/s"
    return [Figure(name=name, value=rate_ratio(ours.samples, each.samples), unit="ratio", target=target, note=note)]


async def postgres(folder: Path, upstream: Server, *, rounds: int, seconds: float) -> list[Figure]:
    """Measure refreshes on PostgreSQL against our own on SQLite; its server runs on the generator's core."""
    name, target = "refresh on PostgreSQL, against our own on SQLite", Target(0.45, 0.6)
    programs = binaries()
    if programs is None:
        return [Figure(name=name, value=None, unit="ratio", target=target, note=f"needs PostgreSQL: {INSTALL}")]
    SETTINGS["fsync"] = "on"  # the tests do without; here durability is what is measured
    database = PostgresServer(programs)
    try:
        key = base64.urlsafe_b64encode(bytes(range(32))).decode()
        elsewhere = {"BROKER_DATABASE_URL": database.database(), "BROKER_MASTER_KEY": key}
        async with (
            running_broker(folder, upstream, name="on-postgres", **elsewhere) as theirs,
            running_broker(folder, upstream, name="on-sqlite") as ours,
        ):
            cells = []
            for system in (theirs, ours):
                await system.begin_chains(RESOURCE, 16)
                cells.append(Cell(system.refresh(RESOURCE), pid=system.server.pid, workers=CONNECTIONS))
                await cells[-1].warm_up(seconds, stock=0)
            for _ in range(rounds):
                for cell in cells:
                    await cell.round(seconds)
    finally:
        database.remove()
    there, here = (summarise(cell.samples) for cell in cells)
    note = f"{there.rate:,.0f}/s of {here.rate:,.0f}/s; CPU of the broker alone {there.cost * 1e6:,.0f} us of {here.cost * 1e6:,.0f} us"
    value = rate_ratio(cells[0].samples, cells[1].samples)
    return [Figure(name=name, value=value, unit="ratio", target=target, note=note)]
