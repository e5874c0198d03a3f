"""A real broker: `mcp-broker serve` on free ports, configured by its environment alone, its output kept for the oracles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.e2e.processes import Process, answers, free_port
from tests.e2e.witness import Witness

START = 60  # seconds; two cores may be busy with other things
SCOPES = {"notes:read": "Read your notes", "notes:write": "Change your notes"}
COMMAND = Path(sys.executable).with_name("mcp-broker")


class Broker:
    """A running broker. Its origin is on 127.0.0.1 and every identity provider's on localhost, so that they are different sites.

    `path` is the issuer's path; `port` is the one to listen on, where others had to know it before; `replica_of` is another broker, whose
    issuer this one serves on a port of its own.
    """

    def __init__(
        self,
        folder: Path,
        witness: Witness,
        environment: Mapping[str, str],
        *,
        path: str = "",
        port: int | None = None,
        replica_of: Broker | None = None,
    ) -> None:
        """Start it and wait until it is ready."""
        self.origin = f"http://127.0.0.1:{port or free_port()}"
        self.issuer: str = replica_of.issuer if replica_of else self.origin + path
        self.admin = f"http://127.0.0.1:{free_port()}"
        self._witness = witness
        self._database = folder / "broker.db"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BROKER_")},
            "BROKER_ISSUER": self.issuer,
            "BROKER_BIND": self.origin.removeprefix("http://"),
            "BROKER_ADMIN_BIND": self.admin.removeprefix("http://"),
            "BROKER_DATABASE_URL": f"sqlite:///{self._database}",
            "BROKER_DRAIN": "0s",
            **environment,
        }
        for name, value in environment.items():
            if name.endswith("_SECRET"):
                witness.keep(name, value)
        log = folder / f"broker-{self.origin.rpartition(':')[2]}.log"
        self._process = Process([COMMAND, "serve"], log, environment=self.environment)
        try:
            self._process.wait_until(lambda: answers(self.origin + "/readyz"), within=START)
        except BaseException:
            self._process.stop()
            raise

    def url(self, path: str) -> str:
        """An address under the issuer."""
        return self.issuer + path

    def events(self, name: str) -> list[dict[str, object]]:
        """The logged events of that name, oldest first."""
        lines = (json.loads(line) for line in self._process.written().splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == name]

    def upstream_calls(self, provider: str, operation: str) -> int:
        """How many requests of a kind it has made to an identity provider, by its own metrics."""
        prefix = f'mcp_broker_upstream_seconds_count{{operation="{operation}",provider="{provider}"}} '
        metrics = httpx2.get(self.admin + "/metrics", trust_env=False).text
        return sum(int(float(line.removeprefix(prefix))) for line in metrics.splitlines() if line.startswith(prefix))

    def command(self, *arguments: str) -> str:
        """Run `mcp-broker` beside it, as its administrator does; returns what that printed."""
        done = subprocess.run(
            [COMMAND, *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=START
        )
        self._witness.check(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        """End it as an operator does, and hold what it wrote and kept against the oracles."""
        metrics = httpx2.get(self.admin + "/metrics", trust_env=False).text
        status = self._process.stop()
        written = self._process.written()
        self._witness.check(written + metrics)
        for file in self._database.parent.glob("broker.db*"):
            self._witness.check_kept(file.read_bytes().decode("latin-1"))
        assert status == 0, f"serve ended with {status}:\n{written[-4000:]}"

    def kill(self) -> None:
        """End it as a machine that loses its power does."""
        self._process.kill()
        self._witness.check(self._process.written())


def resource(identifier: str, url: str, name: str) -> dict[str, str]:
    """The settings of one MCP server."""
    prefix = f"BROKER_RESOURCES__{identifier.upper()}__"
    return {
        prefix + "URL": url,
        prefix + "NAME": name,
        prefix + "SCOPES": json.dumps(SCOPES),
        prefix + "DEFAULT_SCOPES": "notes:read",
    }


def public_client(identifier: str, redirect_uri: str, name: str) -> dict[str, str]:
    """The settings of one pre-registered client without a secret."""
    prefix = f"BROKER_CLIENTS__{identifier.upper()}__"
    return {
        prefix + "NAME": name,
        prefix + "REDIRECT_URIS": redirect_uri,
        prefix + "TOKEN_ENDPOINT_AUTH_METHOD": "none",
    }


@contextmanager
def running_broker(
    folder: Path, environment: Mapping[str, str], *, path: str = "", port: int | None = None
) -> Iterator[tuple[Broker, Witness]]:
    """A broker for the length of a block; leaving it by an exception still ends it."""
    witness = Witness()
    broker = Broker(folder, witness, environment, path=path, port=port)
    try:
        yield broker, witness
    finally:
        broker.stop()
