"""The process that serves: two listeners, one event loop, and a stop that loses nobody's request (security rules G12, G14).

What is no HTTP gets our own answer (`wire`), and no protocol but HTTP is spoken.
SIGTERM: readiness drops, requests are still answered for the drain time, each as the last of its connection, then the listeners close and
in-flight requests finish.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from broker.connections import LimitedProtocol, Limits, Shared
from broker.settings import Address
from broker.wire import Refused

BACKLOG = 2048  # connections that wait to be accepted
FINISH = 15  # seconds that in-flight requests get after the listeners closed


class Listener(uvicorn.Server):
    """A uvicorn server whose signals belong to the process, not to it."""

    def __init__(
        self, app: ASGIApp, sock: socket.socket, *, limits: Limits | None = None, refused: Refused | None = None
    ) -> None:
        """Configure for an application whose life is managed outside; `refused` answers what is no HTTP (default: uvicorn does)."""
        self._shared = Shared()
        protocol = functools.partial(LimitedProtocol, limits=limits or Limits(), shared=self._shared, refused=refused)
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", protocol),  # whatever makes one does
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=FINISH,
                backlog=BACKLOG,
            )
        )
        self._socket = sock

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def leave(self) -> None:
        """Make each answer from here on the last of its connection, and go on serving."""
        self._shared.leaving = True

    async def run_until_stopped(self) -> None:
        """Serve on the socket until `should_exit`."""
        await self.serve(sockets=[self._socket])


def bind(address: Address) -> socket.socket:
    """Return a listening socket; raises OSError when the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)  # at once: until somebody listens, a second process could bind the same port
    except OSError:
        sock.close()
        raise
    sock.set_inheritable(True)
    return sock


class Stop:
    """Turns SIGTERM and SIGINT into an event; the second signal skips the drain."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def install(self) -> None:
        """Take over both signals in the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def on_hangup(self, act: Callable[[], None]) -> None:
        """Call `act` at every SIGHUP, where there is one; it would otherwise end the process."""
        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)

    def _signalled(self) -> None:
        (self.at_once if self.asked.is_set() else self.asked).set()

    async def drained(self, seconds: float) -> None:
        """Return after the drain time, or at a second signal."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.at_once.wait()
