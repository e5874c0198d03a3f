"""The token side of the broker for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.broker.token_house import TokenHouse, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TokenHouse]:
    async with open_house(tmp_path) as opened:
        yield opened
