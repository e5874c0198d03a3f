"""A stranger's server and a fetcher that may reach it, because the broker itself is on loopback here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.outbound import GuardedFetcher
from broker.settings import Settings
from tests.broker.outbound.stranger import NAME, Names, Stranger, answer, stranger
from tests.broker.resource_issuer import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Stranger]:
    async with stranger(tmp_path) as running:
        running.says = answer({"client_id": "x"})
        yield running


@pytest.fixture
def near(server: Stranger) -> Settings:
    return Settings(
        issuer="http://localhost:8080",
        cimd_ca_file=server.ca_file,
        cimd_allowed_hosts=(f"{NAME}:{server.port}", "localhost", "127.0.0.1"),
    )


@pytest.fixture
def names() -> Names:
    return Names(["127.0.0.1"])


@pytest.fixture
async def fetcher(near: Settings, names: Names, clock: ManualClock) -> AsyncIterator[GuardedFetcher]:
    fetcher = GuardedFetcher(near, clock=clock, resolve=names, total=1.0)
    yield fetcher
    await fetcher.aclose()
