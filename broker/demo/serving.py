"""Servers of the demo: several applications in one event loop, on loopback only, stopped together and quickly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from broker.demo.idp import NotLoopback, is_loopback
from broker.server import Listener, bind
from broker.settings import Address

HOST = "127.0.0.1"
FINISH = 1  # seconds that open streams get when the demo stops


@dataclass(frozen=True, slots=True)
class Place:
    """A port that is ours: bound before anything is told its address. `moved` where the preferred one was taken."""

    socket: socket.socket
    port: int
    moved: bool

    @property
    def origin(self) -> str:
        """The address as URLs begin."""
        return f"http://{HOST}:{self.port}"


def reserve(preferred: int, host: str = HOST) -> Place:
    """Bind a preferred port, or any free one where that is taken; raises NotLoopback for a host beyond this machine."""
    if not is_loopback(host):
        raise NotLoopback(f"{host} is not loopback: the demo signs anybody in")
    try:
        listener = _listen(host, preferred)
    except OSError:
        listener = _listen(host, 0)
    port = listener.getsockname()[1]
    return Place(listener, port, moved=port != preferred)


@asynccontextmanager
async def serving(*servers: tuple[ASGIApp, Place]) -> AsyncIterator[None]:
    """Serve every application on its place until the block ends; raises NotLoopback for a place beyond this machine."""
    for _, place in servers:
        if not is_loopback(place.socket.getsockname()[0]):
            raise NotLoopback("the demo listens on loopback only")
    listeners = [_listener(app, place) for app, place in servers]
    running = [asyncio.create_task(listener.run_until_stopped()) for listener in listeners]
    try:
        await _started(listeners, running)
        yield
    finally:
        for listener in listeners:
            listener.should_exit = True
        await asyncio.gather(*running)


def _listen(host: str, port: int) -> socket.socket:
    listener = bind(Address(host, port))
    try:
        listener.listen()  # until then, another process may bind the same port (SO_REUSEADDR)
    except OSError:
        listener.close()
        raise
    return listener


def _listener(app: ASGIApp, place: Place) -> Listener:
    listener = Listener(app, place.socket)
    listener.config.lifespan = "auto"  # the MCP SDK's session manager lives in the lifespan
    listener.config.timeout_graceful_shutdown = FINISH
    return listener


async def _started(listeners: Sequence[Listener], running: Sequence[asyncio.Task[None]]) -> None:
    while not all(listener.started for listener in listeners):
        for task in running:
            if task.done():
                task.result()
                raise RuntimeError("a server of the demo stopped before it started")
        await asyncio.sleep(0.01)
