"""The machine: which core is whose, what a process costs, and the servers as real processes (Linux)."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import Process, answers

START = 60  # seconds for a server to come up
CORES = sorted(os.sched_getaffinity(0))
SERVER, GENERATOR = {CORES[0]}, {CORES[-1]}
ALONE = len(CORES) > 1  # otherwise servers and generator share the only core, and the table says so
CORES_IN_WORDS = f"servers on core {min(SERVER)}, generator on core {min(GENERATOR)}"
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of linux/posix-timers.h


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process with all its threads, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | _PROCESS_CLOCK)


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes (proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Start what is started in the block on these cores: children and their threads inherit them."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


class Pinned(Process):
    """A program on cores of its own."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str], cores: set[int]
    ) -> None:
        """Start it."""
        with on_cores(cores):
            super().__init__(command, log, environment={"PATH": os.environ["PATH"], **environment})

    @property
    def pid(self) -> int:
        """Its process id: the program's own, no shell is between."""
        return self._popen.pid


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers on a port of loopback."""

    name: str
    process: Pinned
    port: int

    @property
    def origin(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid


def wait_for(server: Server, path: str) -> Server:
    """Return the server once it answers a path with 200; ends it when it does not."""
    try:
        server.process.wait_until(lambda: answers(server.origin + path), within=START)
    except BaseException:
        server.process.stop()
        raise
    return server


def sync_time(folder: Path) -> float:
    """Return what this disk takes to make a write last, in seconds (fdatasync(2), the median of fifty)."""
    path = folder / "sync"
    times = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        for number in range(50):
            os.pwrite(descriptor, b"x" * 4096, 4096 * number)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times)


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that still run (proc(5))."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
