"""Refreshes with a million grants stored, against an empty store: the slowest of a hundred.

The grants are written straight into the file, in one transaction: each is a copy of a grant that came through HTTP, with ids of its own
and an upstream session and a person of its own, so whatever the schema has is there. The live grants that are refreshed
are spread evenly among them, so that neighbours in the measurement are no neighbours in the file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tests.load import dialects, goals
from tests.load.drive import Operation, measure
from tests.load.figures import Sample, percentile, summarise
from tests.load.length import Length
from tests.load.machine import Server, resident
from tests.load.report import Figure
from tests.load.running import running_broker
from tests.load.systems import System
from tests.load.wire import Connection
from tests.load.workload import CONNECTIONS, RESOURCE

MILLION = 1_000_000
CHAINS = 32  # live grants for each connection
AT_LEAST = 1.5  # seconds of a round: a percentile needs many
RANDOM = "lower(hex(randomblob(16)))"
FILLED: Mapping[str, Mapping[str, str]] = {  # table -> what differs between its copies; :n counts them
    "person": {"subject": "'stored-' || n.n", "upstream_subject": "'stored-' || n.n"},
    "upstream_session": {
        "upstream_session_id": "'stored-' || n.n",
        "subject": "'stored-' || n.n",
        "shared_key": "null",
        "subject_key": "randomblob(32)",
        "session_key": "randomblob(32)",
    },
    "oauth_grant": {
        "grant_id": RANDOM,
        "handle": RANDOM,
        "subject": "'stored-' || n.n",
        "session_hash": "randomblob(32)",
        "upstream_session_id": "'stored-' || n.n",
    },
}
NUMBERS = "with recursive n(n) as (select 1 union all select n + 1 from n where n < :count)"


async def million(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure both stores in turn; each round's p99 is compared with that of its neighbour."""
    path = folder / "full.db"
    url = f"sqlite:///{path}"
    server = await asyncio.to_thread(dialects.start_broker, folder, upstream, name="filling", BROKER_DATABASE_URL=url)
    try:
        system = await System.connected(server, dialects.OurDialect(server.origin))
        await system.begin_chains(RESOURCE, CHAINS)
        system.close()
    finally:
        server.process.stop()
    began = time.perf_counter()
    await asyncio.to_thread(fill, path, length.grants)
    filled = time.perf_counter() - began
    same = {"BROKER_DATABASE_URL": url, "BROKER_ISSUER": server.origin}
    async with running_broker(folder, upstream, name="empty") as empty:
        full_server = await asyncio.to_thread(dialects.start_broker, folder, upstream, name="full", **same)
        try:
            full = system.moved_to(full_server, [Connection(full_server.port) for _ in range(CONNECTIONS)])
            await empty.begin_chains(RESOURCE, CHAINS)
            timed = (Timed(full), Timed(empty))
            for number in range(length.rounds + 1):
                for one in timed:
                    await one.round(max(AT_LEAST, length.seconds), counts=number > 0)  # the first round fills caches
            memory = resident(full_server.pid) / 1e6
            full.close()
        finally:
            full_server.process.stop()
    return [
        _figure(*timed, length, f"stored in {filled:.0f} s, {path.stat().st_size / 1e9:.1f} GB", f"{memory:.0f} MB")
    ]


class Timed:
    """Refreshes of one system, each with its time."""

    def __init__(self, system: System) -> None:
        """Measure nothing yet."""
        self._refresh = system.refresh(RESOURCE)
        self._pid = system.server.pid
        self._times: list[float] = []
        self.samples: list[Sample] = []
        self.p50: list[float] = []
        self.p99: list[float] = []

    async def round(self, seconds: float, *, counts: bool) -> None:
        """Measure one round."""
        self._times.clear()
        sample = await measure(Operation(self._step), pids=[self._pid], workers=CONNECTIONS, seconds=seconds)
        if counts:
            self.samples.append(sample)
            self.p50.append(percentile(self._times, 50))
            self.p99.append(percentile(self._times, 99))

    async def _step(self, worker: int) -> bool:
        began = time.perf_counter()
        went_on = await self._refresh.step(worker)
        self._times.append(time.perf_counter() - began)
        return went_on


def _figure(full: Timed, empty: Timed, length: Length, stored: str, memory: str) -> Figure:
    """Compare each round with its neighbour."""
    p50, p99 = ((statistics.median(a), statistics.median(b)) for a, b in ((full.p50, empty.p50), (full.p99, empty.p99)))
    costs = summarise(full.samples).cost, summarise(empty.samples).cost
    return Figure(
        name=f"refresh p99 with {length.grants:,} grants stored, against the empty store",
        value=statistics.median(a / b for a, b in zip(full.p99, empty.p99, strict=True)),
        unit="ratio",
        goal=goals.MILLION if length.grants >= MILLION else None,
        note=f"p99 {p99[0] * 1e3:.1f} ms of {p99[1] * 1e3:.1f} ms, median {p50[0] * 1e3:.1f} of {p50[1] * 1e3:.1f}, "
        f"CPU {costs[0] * 1e6:,.0f} us of {costs[1] * 1e6:,.0f} us; {stored}; the broker that has them: {memory}",
    )


def fill(path: Path, count: int) -> None:
    """Copy one grant, session and person of a broker's file `count` times, between those that live; one transaction."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        live = connection.execute("select count(*) from oauth_grant").fetchone()[0]
        stride = count // live + 1
        connection.execute("pragma synchronous = off")
        connection.execute(
            "pragma cache_size = -600000"
        )  # kilobytes: indexes of random ids are written once, not page by page
        connection.execute("begin immediate")
        connection.execute("update oauth_grant set rowid = -rowid")
        connection.execute(f"update oauth_grant set rowid = -rowid * {stride}")  # noqa: S608 - a number of ours
        for table, differing in FILLED.items():
            columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            values = [differing.get(column, f"t.{column}") for column in columns]
            # A live grant has every stride-th place; the copies have those between.
            place, number = ("rowid, ", f"n.n + (n.n - 1) / ({stride} - 1), ") if table == "oauth_grant" else ("", "")
            connection.execute(
                f"insert into {table} ({place}{', '.join(columns)}) {NUMBERS} select {number}{', '.join(values)} "  # noqa: S608
                f"from n, (select * from {table} limit 1) t",
                {"count": count},
            )
        connection.execute("commit")
        connection.execute(
            "pragma synchronous = full"
        )  # else the system writes gigabytes back while the refreshes are measured
        connection.execute("pragma wal_checkpoint(truncate)")
