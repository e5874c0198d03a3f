"""The contract of diagnoses, for every OpenID type."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.providers.case import Case, open_case
from tests.providers.contract_diagnosis import *  # noqa: F403 - the tests
from tests.providers.kinds import KINDS


@pytest.fixture(params=sorted(KINDS))
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    """Open a case of each type."""
    async with open_case(request.param) as opened:
        yield opened
