"""A real PostgreSQL server that the tests start themselves: from Debian's package, unprivileged, on loopback, in a temporary folder.

`from tests.postgres import postgres` gives a test file the fixture; each test makes its own database in it.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from broker.store.migrate import migrate

INSTALL = "apt-get install --no-install-recommends postgresql"
START = 30  # seconds
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "90",
    "shared_buffers": "32MB",
    "fsync": "off",  # the tests kill processes, not the machine
    "log_min_messages": "panic",
}


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL's programs, Debian's first."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: float(p.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("postgres")
    return Path(found).parent if found else None


class PostgresServer:
    """A server with a data folder of its own. It dies with the tests, however they end."""

    def __init__(self, programs: Path) -> None:
        """Make the data folder and start."""
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="broker-postgres-"))
        self._numbers = itertools.count(1)
        self._template = ""
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")  # PostgreSQL refuses to run as root
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as_user = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._run("initdb", "--username=broker", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in {**SETTINGS, "port": str(self.port)}.items()]
        self._process = subprocess.Popen(self._command("postgres", *options), cwd=self._folder)
        give_up = time.monotonic() + START
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
            else:
                return

    @property
    def pid(self) -> int:
        """The process that starts all the others."""
        return self._process.pid

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends every connection properly, SIGQUIT at once."""
        self._process.send_signal(how)
        self._process.wait(START)

    def pause(self, backends: Sequence[int]) -> None:
        """Let backends hang, as a machine does that swaps or a network that drops packets."""
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)

    def resume(self, backends: Sequence[int]) -> None:
        """Let them run again."""
        for pid in backends:
            os.kill(pid, signal.SIGCONT)

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://broker@127.0.0.1:{self.port}/{database}"

    def empty_database(self) -> str:
        """Return the URL of a new database without a schema."""
        return self._create("template0")

    def database(self) -> str:
        """Return the URL of a new database with the current schema."""
        if not self._template:
            self._template = self.empty_database().rpartition("/")[2]
            migrate(self.url(self._template))
        return self._create(self._template)

    def _create(self, template: str) -> str:
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}".encode())
        return self.url(name)

    def _run(self, program: str, *options: str) -> None:
        subprocess.run(self._command(program, *options), cwd=self._folder, check=True, capture_output=True)

    def _command(self, program: str, *options: str) -> list[str]:
        data = self._folder / "data"
        return ["setpriv", *self._as_user, "--pdeathsig=INT", str(self._programs / program), "-D", str(data), *options]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server for this worker's tests; without the programs, skip here and fail in continuous integration."""
    programs = binaries()
    if programs is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"needs PostgreSQL: {INSTALL}")
    server = PostgresServer(programs)
    yield server
    server.remove()
