"""A github.com with an OAuth App whose tokens do not expire, unless a test asks for another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.providers.github.case import GitHubCase, open_github


@pytest.fixture
async def github() -> AsyncIterator[GitHubCase]:
    """Open a case."""
    async with open_github() as opened:
        yield opened
