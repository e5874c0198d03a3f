"""The resource server's verifier with a token that it has seen before."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from broker.resource_server import BrokerTokenVerifier
from tests.load import goals
from tests.load.length import Length
from tests.load.machine import Server
from tests.load.report import Figure
from tests.load.running import running_broker
from tests.load.workload import RESOURCE


async def verifier(folder: Path, upstream: Server, length: Length) -> list[Figure]:
    """Measure calls for each second of this process's CPU."""
    async with running_broker(folder, upstream, name="issuer") as system:
        await system.begin_chains(RESOURCE, 1)
        token = await system.access_token(RESOURCE)
        checked = BrokerTokenVerifier(system.server.origin, RESOURCE)
        if await checked.verify_token(token) is None:
            raise RuntimeError("the verifier refused a good token")
    rates = [await _calls(checked, token, min(0.5, length.seconds)) for _ in range(3)]
    return [
        Figure(
            name="verifier, token seen before",
            value=statistics.median(rates),
            unit="calls/s",
            goal=goals.VERIFIER,
            note="calls for each second of CPU",
        )
    ]


async def _calls(checked: BrokerTokenVerifier, token: str, seconds: float) -> float:
    calls, began = 0, time.process_time()
    while (elapsed := time.process_time() - began) < seconds:
        for _ in range(200):
            if await checked.verify_token(token) is None:
                raise RuntimeError("the verifier refused a good token")
        calls += 200
    return calls / elapsed
