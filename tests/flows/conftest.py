"""The broker under test, as the flow tests get it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.harness import BrokerUnderTest, running


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerUnderTest]:
    """A broker with one provider, two MCP servers and two pre-registered clients."""
    async with running(tmp_path) as under_test:
        yield under_test
