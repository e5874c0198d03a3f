"""The contract of ending a session, for every type that has one to end."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.base import EndsSession
from tests.providers.case import Case, open_case
from tests.providers.contract_ending import *  # noqa: F403 - the tests
from tests.providers.kinds import kinds_that


@pytest.fixture(params=kinds_that(EndsSession))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Open a case of each type that can."""
    async with open_case(request.param) as opened:
        yield opened
