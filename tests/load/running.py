"""A broker with a database of its own, for the length of a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.load import dialects
from tests.load.machine import Server
from tests.load.systems import System


@asynccontextmanager
async def running_broker(folder: Path, upstream: Server, *, name: str, **more: str) -> AsyncIterator[System]:
    """Start a broker and connect to it; `more` are further environment variables."""
    server = await asyncio.to_thread(dialects.start_broker, folder, upstream, name=name, **more)
    try:
        system = await System.connected(server, dialects.OurDialect(server.origin))
        try:
            yield system
        finally:
            system.close()
    finally:
        server.process.stop()
