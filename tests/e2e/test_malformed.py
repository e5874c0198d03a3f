"""Bad input: whatever a stranger sends, the answer is a refusal, never a fault of ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.app import REDIRECT_URI
from tests.e2e.broker_process import Broker, public_client, resource, running_broker
from tests.e2e.malformed import Malformed, requests, send
from tests.e2e.processes import answers

pytestmark = pytest.mark.e2e

COUNT = 20_000
CONNECTIONS = 8
ENVIRONMENT = {
    **resource("notes", "http://127.0.0.1:8766/mcp", "Notes"),
    **public_client("notebook", REDIRECT_URI, "Notebook"),
    "OIDC_ISSUER": "http://127.0.0.1:9",  # nobody answers there
    "OIDC_CLIENT_ID": "broker",
    "OIDC_CLIENT_SECRET": "broker-secret-broker-secret-broker",
    "BROKER_CIMD_ALLOWED_HOSTS": "x.example",
}


async def flood(broker: Broker, seed: int) -> Counter[int]:
    """Send the whole grammar and return how often each status came."""
    place = urlsplit(broker.origin)
    lanes: list[list[Malformed]] = [[] for _ in range(CONNECTIONS)]
    for number, request in enumerate(requests(seed, COUNT, place.netloc)):
        lanes[number % CONNECTIONS].append(request)
    results = await asyncio.gather(*(send(place.hostname or "", place.port or 0, lane) for lane in lanes))
    return Counter(status for lane in results for status in lane)


@pytest.mark.timeout(300)
def test_twenty_thousand_malformed_requests_give_no_server_error(tmp_path: Path):
    """Security rules E12, G4 to G7, G13: every one is answered, none with a 5xx, and the broker is well afterwards."""
    with running_broker(tmp_path, ENVIRONMENT) as (broker, _):
        statuses = asyncio.run(flood(broker, seed=20261122))
        assert sum(statuses.values()) == COUNT
        assert not [status for status in statuses if status >= 500], statuses
        assert statuses[0] == 0, "a connection was closed without an answer"
        assert {200, 400, 401, 404, 405} <= statuses.keys(), statuses
        assert answers(broker.origin + "/readyz")
        assert broker.events("request.failed") == []
