"""Every contract test runs on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.store.base import Store
from tests.broker.store.keeper import Keeper
from tests.postgres import PostgresServer, postgres

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database of this test's own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/broker.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[Keeper]:
    """Open any number of stores on that database."""
    keeper = Keeper(url)
    yield keeper
    await keeper.close()


@pytest.fixture
async def store(stores: Keeper) -> Store:
    """Return one open store."""
    return await stores.open()
