"""The token side of the broker for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from tests.broker.token_house import TokenHouse, open_house

Ask = Callable[[Callable[[TokenHouse], Awaitable[Any]]], Any]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[TokenHouse]:
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def opened_house(tmp_path: Path) -> Iterator[Ask]:
    """Ask a house from a synchronous test, many times: for properties."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_house(tmp_path)) as opened,
    ):
        yield lambda question: portal.call(question, opened)
