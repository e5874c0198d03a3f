"""An Entra of one tenant, unless a test asks for another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.providers.entra.case import EntraCase, open_entra


@pytest.fixture
async def entra() -> AsyncIterator[EntraCase]:
    """Open a case."""
    async with open_entra() as opened:
        yield opened
