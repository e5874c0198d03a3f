"""The contract of logout tokens, for every type that sends them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.base import VerifiesLogout
from tests.providers.case import Case, open_case
from tests.providers.contract_logout import *  # noqa: F403 - the tests
from tests.providers.kinds import kinds_that


@pytest.fixture(params=kinds_that(VerifiesLogout))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Open a case of each type that can."""
    async with open_case(request.param) as opened:
        yield opened
