"""`make bench`, or `python -m tests.load [--quick] [--only refresh,…] [--json FILE]`: what the broker can do, against limits and peers.

It measures and does not judge: the exit status is 0 unless something did not run. Servers have one core, this process (the
generator) and the stand-in identity provider the other; sixteen connections are kept busy; rounds are interleaved. Ratios within one
run are what counts: absolute figures are the machine's.
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
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.load import dialects, extras, machine
from tests.load.machine import ALONE, GENERATOR, Server, resident
from tests.load.plan import COMPARED, NODE, OURS, SDK, Plan
from tests.load.report import Figure, Line, lines, text
from tests.load.systems import System
from tests.load.wire import WrongAnswer

FIGURES = ("start", "memory", "verifier", "slow-disk", "postgres")
NAMES = (*(c.name for c in COMPARED), *FIGURES)
BUSY_MACHINE = 0.7  # load average before anything was started
WORDS = (
    "ratio: ours / theirs in operations a second, the median of the rounds' ratios; by CPU: theirs / ours in CPU time of the server",
    "oidc-provider's login has no upstream; the MCP SDK's takes its upstream's word unread; both forget everything when they end",
    "oidc-provider introspects opaque tokens here: it refuses JWTs",
    "not run: FastMCP, which some targets name (no dependency of ours), and a million stored grants (they take too long to make)",
)


@dataclass(frozen=True, slots=True)
class Length:
    """How long everything takes."""

    rounds: int
    seconds: float  # of one cell of one round
    starts: int
    registrations: int
    refreshes: int


FULL = Length(rounds=5, seconds=0.7, starts=3, registrations=24_000, refreshes=12_000)
QUICK = Length(rounds=3, seconds=0.25, starts=1, registrations=3_000, refreshes=3_000)


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
        self.notes = _about_the_machine(folder)

    async def all(self) -> None:
        """Measure what is wanted."""
        with ExitStack() as stack:
            upstream = stack.enter_context(_running(lambda: dialects.start_upstream(self._folder)))
            if "start" in self._wanted:
                _say("start")
                self.figures += extras.start(self._folder, upstream, self._length.starts)
            if "memory" in self._wanted:
                _say("memory")
                self.figures += await extras.memory(
                    self._folder,
                    upstream,
                    registrations=self._length.registrations,
                    refreshes=self._length.refreshes,
                )
            if "verifier" in self._wanted:
                _say("verifier")
                self.figures += await extras.verifier(self._folder, upstream, min(0.5, self._length.seconds))
            await self._side_by_side(stack, upstream)
            if "slow-disk" in self._wanted:
                _say("slow disk")
                self.figures += await extras.slow_disk(
                    self._folder, upstream, rounds=self._length.rounds, seconds=self._length.seconds
                )

            if "postgres" in self._wanted:
                _say("PostgreSQL")
                self.figures += await extras.postgres(
                    self._folder, upstream, rounds=self._length.rounds, seconds=self._length.seconds
                )

    async def _side_by_side(self, stack: ExitStack, upstream: Server) -> None:
        if not self._wanted & {c.name for c in COMPARED}:
            return
        raw = stack.enter_context(_running(lambda: dialects.start_limit(self._folder)))
        broker = stack.enter_context(_running(lambda: dialects.start_broker(self._folder, upstream)))
        systems = {OURS: await System.connected(broker, dialects.OurDialect(broker.origin))}
        if self._wanted - {*FIGURES, "refresh-rs256"}:
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
            self.notes.append(dialects.NODE_IS_MISSING)
            return
        stack.enter_context(_running(lambda: node))
        systems[NODE] = await System.connected(node, dialects.NodeDialect(node.origin))


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
    sys.stdout.write(text(run.lines, run.figures, run.notes) + "\n")
    if given.json is not None:
        document = {
            "lines": [line.as_json() for line in run.lines],
            "figures": [figure.as_json() for figure in run.figures],
            "notes": run.notes,
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
