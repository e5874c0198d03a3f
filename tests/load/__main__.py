"""`make bench`, or `python -m tests.load [--quick] [--only refresh,…] [--json FILE]`: what the broker can do, against limits and peers.

It ends with a table of every goal, and the exit status is 0 whatever that says, unless something did not run. Servers have one core,
this process (the generator) and the stand-in identity provider the other; sixteen connections are kept busy; rounds are interleaved.
Ratios within one run are what counts: absolute figures are the machine's. They are judged by the CPU time of the servers, so that
others on the machine do not decide; where only the clock can tell (a disk that is waited for, a start, the slowest of a hundred), the
table says so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

from tests.load import dialects, machine
from tests.load.fastmcp_peer import FASTMCP_IS_MISSING, FastMcpDialect, start_fastmcp
from tests.load.length import FULL, QUICK, Length
from tests.load.machine import ALONE, GENERATOR, Server, resident
from tests.load.parts import PARTS
from tests.load.plan import COMPARED, FASTMCP, NODE, OURS, SDK, Plan
from tests.load.report import Figure, Line, lines, text
from tests.load.scoreboard import Score, scoreboard, scores
from tests.load.systems import System
from tests.load.wire import WrongAnswer

NAMES = (*(c.name for c in COMPARED), *(part.name for part in PARTS))
WITHOUT_PEERS = {*(part.name for part in PARTS), "refresh-rs256"}
WITH_FASTMCP = {c.name for c in COMPARED if FASTMCP in c.peers}
BUSY_MACHINE = 0.7  # load average before anything was started
WORDS = (
    "by CPU: theirs / ours in CPU time of the server for one operation, the median of the rounds; that is what is judged",
    "ratio: ours / theirs in operations a second; on a machine that others use it is of what they leave, too",
    "oidc-provider's login has no upstream; the MCP SDK's takes its upstream's word unread",
    "FastMCP asks its upstream at every refresh; all three peers forget everything when they end",
    "oidc-provider introspects opaque tokens here: it refuses JWTs",
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description="Ratios against the raw limit and against others."
    )
    parser.add_argument("--quick", action="store_true", help="about a minute; coarse")
    parser.add_argument("--only", metavar="NAME,…", help=f"some of: {', '.join(NAMES)}")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured here too")
    parser.add_argument("--rounds", type=int, help="rounds of each cell")
    parser.add_argument("--seconds", type=float, help="seconds of one cell of one round")
    given = parser.parse_args()
    wanted = set((given.only or ",".join(NAMES)).split(","))
    if unknown := wanted - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(NAMES)}")
    given.wanted = wanted
    length = QUICK if given.quick else FULL
    given.length = Length(
        given.rounds or length.rounds,
        given.seconds or length.seconds,
        length.starts,
        length.registrations,
        length.refreshes,
        length.grants,
    )
    return given


class Run:
    """One run: servers, cells, figures."""

    def __init__(self, folder: Path, wanted: set[str], length: Length) -> None:
        """Start nothing yet."""
        self._folder = folder
        self._wanted = wanted
        self._length = length
        self.lines: list[Line] = []
        self.figures: list[Figure] = []
        self.missing: dict[str, str] = {}
        self.notes = _about_the_machine(folder)

    @property
    def scores(self) -> list[Score]:
        """What became of every goal."""
        return scores(self.lines, self.figures, self.missing)

    async def all(self) -> None:
        """Measure what is wanted."""
        with ExitStack() as stack:
            upstream = stack.enter_context(_running(lambda: dialects.start_upstream(self._folder)))
            for part in PARTS:
                if part.name in self._wanted:
                    _say(part.name)
                    self.figures += await part.measure(self._folder, upstream, self._length)
            await self._side_by_side(stack, upstream)

    async def _side_by_side(self, stack: ExitStack, upstream: Server) -> None:
        if not self._wanted & {c.name for c in COMPARED}:
            return
        raw = stack.enter_context(_running(lambda: dialects.start_limit(self._folder)))
        broker = stack.enter_context(_running(lambda: dialects.start_broker(self._folder, upstream)))
        systems = {OURS: await System.connected(broker, dialects.OurDialect(broker.origin))}
        if self._wanted - WITHOUT_PEERS:
            await self._start_peers(stack, upstream, systems)
        plan = Plan(self._wanted, raw=raw, systems=systems)
        _say("grants")
        await plan.prepare()
        _say("warming up")
        await plan.warm_up(min(0.3, self._length.seconds))
        for number in range(self._length.rounds):
            _say(f"round {number + 1} of {self._length.rounds}")
            await plan.round(number, self._length.seconds)
        self.lines = lines(plan)
        memory = ", ".join(f"{name} {resident(system.server.pid) / 1e6:.0f}" for name, system in systems.items())
        self.notes.append(f"resident memory after all this, MB: {memory}")

    async def _start_peers(self, stack: ExitStack, upstream: Server, systems: dict[str, System]) -> None:
        sdk = stack.enter_context(_running(lambda: dialects.start_sdk(self._folder, upstream)))
        systems[SDK] = await System.connected(sdk, dialects.SdkDialect())
        node = dialects.start_node(self._folder)
        if node is None:
            self.missing[NODE] = dialects.NODE_IS_MISSING
        else:
            stack.enter_context(_running(lambda: node))
            systems[NODE] = await System.connected(node, dialects.NodeDialect(node.origin))
        if not self._wanted & WITH_FASTMCP:
            return
        fastmcp = start_fastmcp(self._folder, upstream)
        if fastmcp is None:
            self.missing[FASTMCP] = FASTMCP_IS_MISSING
        else:
            stack.enter_context(_running(lambda: fastmcp))
            systems[FASTMCP] = await System.connected(fastmcp, FastMcpDialect())


@contextmanager
def _running(launch: Callable[[], Server]) -> Iterator[Server]:
    server = launch()
    try:
        yield server
    finally:
        server.process.stop()


def _about_the_machine(folder: Path) -> list[str]:
    facts = (
        machine.CORES_IN_WORDS,
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}, synchronous = full",
        f"fdatasync {machine.sync_time(folder) * 1e6:.0f} us",
        f"load before the run {os.getloadavg()[0]:.2f}",
    )
    notes = [", ".join(facts), *WORDS]
    if not ALONE:
        notes.append("one core only: the generator took time from the servers, look at CPU rather than at rates")
    if os.getloadavg()[0] > BUSY_MACHINE:
        notes.append("the machine was busy with other things: look at the ratio by CPU rather than at rates")
    return notes


def _say(what: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")


def main() -> int:
    """Run, and print."""
    given = _arguments()
    os.sched_setaffinity(0, GENERATOR)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcp-broker-bench-") as folder:
        run = Run(Path(folder), given.wanted, given.length)
        try:
            uvloop.run(run.all())
        except (WrongAnswer, AssertionError, RuntimeError) as error:
            sys.stderr.write(f"the benchmark did not run: {type(error).__name__}: {error}\n")
            return 1
    run.notes.append(f"the whole run took {time.monotonic() - began:.0f} s")
    run.notes += run.missing.values()
    sys.stdout.write(f"{text(run.lines, run.figures, run.notes)}\n\n{scoreboard(run.scores)}\n")
    if given.json is not None:
        document = {
            "lines": [line.as_json() for line in run.lines],
            "figures": [figure.as_json() for figure in run.figures],
            "notes": run.notes,
            "scores": [score.as_json() for score in run.scores],
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
