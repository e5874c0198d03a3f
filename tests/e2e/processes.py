"""Real processes for the length of a test: started in a group of their own, awaited, ended with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx2

POLL = 0.05  # seconds


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(ready: Callable[[], bool], *, within: float, describe: Callable[[], str]) -> None:
    """Wait for `ready`, at most `within` seconds; fails with the description when the time is over."""
    deadline = time.monotonic() + within
    while not ready():
        assert time.monotonic() < deadline, f"not ready in {within} s: {describe()}"
        time.sleep(POLL)


class Process:
    """A program whose standard output and error go to one file."""

    def __init__(self, command: Sequence[str | Path], log: Path, *, environment: Mapping[str, str]) -> None:
        """Start it."""
        self._log = log
        self._command = [str(part) for part in command]
        with log.open("wb") as out:
            self._popen = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    def written(self) -> str:
        """Everything that it has written so far."""
        return self._log.read_text(errors="replace")

    @property
    def exit_status(self) -> int | None:
        """How it ended; None while it runs."""
        return self._popen.poll()

    def wait_until(self, ready: Callable[[], bool], *, within: float) -> None:
        """Wait for `ready`, at most `within` seconds; fails with the log when the program ends or the time does."""

        def ready_or_ended() -> bool:
            assert self.exit_status is None, f"ended with {self.exit_status}: {self._describe()}"
            return ready()

        wait_until(ready_or_ended, within=within, describe=self._describe)

    def _describe(self) -> str:
        return f"{self._command}\n{self.written()[-4000:]}"

    def wait(self, *, within: float) -> int:
        """Wait for its end, at most `within` seconds; returns its status."""
        return self._popen.wait(within)

    def stop(self, *, within: float = 15) -> int:
        """Ask it to end, and end its group after `within` seconds; returns its status."""
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(within)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            self.kill()

    def kill(self) -> int:
        """End its group at once; returns its status."""
        with contextlib.suppress(ProcessLookupError):  # the whole group may have ended
            os.killpg(self._popen.pid, signal.SIGKILL)
        return self._popen.wait()


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        return httpx2.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False
