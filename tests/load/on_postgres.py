"""PostgreSQL: refreshes against our own on SQLite, and two workers on one database against one.

The database's server runs on the generator's core, so a rate here is that of a machine that has too few. The goals are judged by the
CPU time of the workers; what the database computes for one refresh stands beside it. For two workers that means: what two cores of
their own would carry, as long as the database keeps up. A lock that both wait for shows in the rate and not in this figure.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.load import dialects, goals
from tests.load.drive import Cell
from tests.load.figures import cost_ratio, rate_ratio, summarise
from tests.load.length import Length
from tests.load.machine import Server, children, cpu_seconds
from tests.load.report import Figure
from tests.load.running import running_broker
from tests.load.systems import System
from tests.load.wire import Connection
from tests.load.workload import CONNECTIONS, RESOURCE
from tests.postgres import INSTALL, SETTINGS, PostgresServer, binaries

CHAINS = 16  # for each connection
AGAINST_SQLITE = "refresh on PostgreSQL, against our own on SQLite"
AGAINST_ONE = "two workers on PostgreSQL, against one"


class Shared:
    """A cell of refreshes, and what the database computed for it."""

    def __init__(self, system: System, database: PostgresServer | None, *, pids: Sequence[int]) -> None:
        """Measure nothing yet; `database` is None where there is none."""
        self.cell = Cell(system.refresh(RESOURCE), pids=pids, workers=CONNECTIONS)
        self._database = database
        self._computed = 0.0

    async def round(self, seconds: float) -> None:
        """Measure one round."""
        before = self._database_seconds()
        await self.cell.round(seconds)
        self._computed += self._database_seconds() - before

    @property
    def cost(self) -> float:
        """CPU seconds of one operation, the database's included."""
        summary = summarise(self.cell.samples)
        return summary.cost + self._computed / summary.operations

    @property
    def words(self) -> str:
        """What it costs, in words."""
        summary = summarise(self.cell.samples)
        beside = f" and the database's {(self.cost - summary.cost) * 1e6:,.0f} us" if self._database else ""
        return f"{summary.rate:,.0f}/s, CPU {summary.cost * 1e6:,.0f} us{beside}"

    def _database_seconds(self) -> float:
        if self._database is None:
            return 0.0
        return sum(map(cpu_seconds, [self._database.pid, *children(self._database.pid)]))


@asynccontextmanager
async def _database() -> AsyncIterator[tuple[PostgresServer, dict[str, str]] | None]:
    """Run a durable PostgreSQL, and say what a broker must be told of it; None where it is not installed."""
    programs = binaries()
    if programs is None:
        yield None
        return
    SETTINGS["fsync"] = "on"  # the tests do without; here durability is what is measured
    server = PostgresServer(programs)
    try:
        key = base64.urlsafe_b64encode(bytes(range(32))).decode()
        yield server, {"BROKER_DATABASE_URL": server.database(), "BROKER_MASTER_KEY": key}
    finally:
        server.remove()


async def postgres(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure refreshes on PostgreSQL against our own on SQLite."""
    async with _database() as there:
        if there is None:
            return [_not_measured(AGAINST_SQLITE, goals.POSTGRES)]
        database, elsewhere = there
        async with (
            running_broker(folder, upstream, name="on-postgres", **elsewhere) as theirs,
            running_broker(folder, upstream, name="on-sqlite") as ours,
        ):
            for system in (theirs, ours):
                await system.begin_chains(RESOURCE, CHAINS)
            cells = [
                Shared(theirs, database, pids=[theirs.server.pid]),
                Shared(ours, None, pids=[ours.server.pid]),
            ]
            await _measure(cells, length)
    everything = cells[1].cost / cells[0].cost
    note = f"PostgreSQL {cells[0].words}; SQLite {cells[1].words}; with the database's the ratio by CPU is {everything:.2f}"
    return [_figure(AGAINST_SQLITE, goals.POSTGRES, *cells, note=note)]


async def workers(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure refreshes on two workers of one database, eight connections to each, against one with all sixteen."""
    async with _database() as there:
        if there is None:
            return [_not_measured(AGAINST_ONE, goals.TWO_WORKERS)]
        database, elsewhere = there
        async with running_broker(folder, upstream, name="worker-1", **elsewhere) as one:
            beside = dialects.start_broker(
                folder, upstream, name="worker-2", **elsewhere, BROKER_ISSUER=one.server.origin
            )
            try:
                ports = (one.server.port, beside.port)
                connections = [Connection(ports[worker % 2]) for worker in range(CONNECTIONS)]
                two = System(one.server, one.dialect, connections)
                for system in (one, two):
                    await system.begin_chains(RESOURCE, CHAINS)
                cells = [
                    Shared(two, database, pids=[one.server.pid, beside.pid]),
                    Shared(one, database, pids=[one.server.pid]),
                ]
                await _measure(cells, length)
                two.close()
            finally:
                beside.process.stop()
    note = f"two {cells[0].words}; one {cells[1].words}"
    return [_figure(AGAINST_ONE, goals.TWO_WORKERS, *cells, note=note, workers=2)]


async def _measure(cells: Sequence[Shared], length: Length) -> None:
    for shared in cells:
        await shared.cell.warm_up(length.seconds, stock=0)
    for _ in range(length.rounds):
        for shared in cells:
            await shared.round(length.seconds)


def _figure(name: str, goal: goals.Goal, ours: Shared, theirs: Shared, *, note: str, workers: int = 1) -> Figure:
    """Compare what a core of each carries, times the workers."""
    return Figure(
        name=name,
        value=workers * cost_ratio(ours.cell.samples, theirs.cell.samples),
        by_rate=rate_ratio(ours.cell.samples, theirs.cell.samples),
        unit="ratio",
        goal=goal,
        note=note,
    )


def _not_measured(name: str, goal: goals.Goal) -> Figure:
    return Figure(name=name, value=None, unit="ratio", goal=goal, note=f"needs PostgreSQL: {INSTALL}")
