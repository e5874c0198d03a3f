"""The contract of giving tokens back, for every type that takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.base import RevokesTokens
from tests.providers.case import Case, open_case
from tests.providers.contract_revocation import *  # noqa: F403 - the tests
from tests.providers.kinds import kinds_that


@pytest.fixture(params=kinds_that(RevokesTokens))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Open a case of each type that can."""
    async with open_case(request.param) as opened:
        yield opened
