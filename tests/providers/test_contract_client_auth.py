"""The contract of client authentication, for every OpenID type."""

from __future__ import annotations

import pytest

from tests.providers.contract_client_auth import *  # noqa: F403 - the tests
from tests.providers.kinds import KINDS


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    """Return each type; its cases differ in their settings."""
    return str(request.param)
