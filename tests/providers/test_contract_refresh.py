"""The contract of refreshing, for every OpenID type."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.base import RefreshesIdentity
from tests.providers.case import Case, open_case
from tests.providers.contract_refresh import *  # noqa: F403 - the tests
from tests.providers.kinds import kinds_that


@pytest.fixture(params=kinds_that(RefreshesIdentity))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Open a case of each type that can."""
    async with open_case(request.param) as opened:
        yield opened
