"""The provider contract, for the preset of the example package as it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers.registry import provider_types
from tests.providers.case import Case, open_case
from tests.providers.contract import *  # noqa: F403 - the tests
from tests.providers.contract_logout import *  # noqa: F403 - the tests
from tests.providers.contract_refresh import *  # noqa: F403 - the tests
from tests.providers.example import SHAPES, entries

pytestmark = pytest.mark.xdist_group("example package")  # installed once


@pytest.fixture
async def case(example_package: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    """Open a case of the installed type."""
    monkeypatch.syspath_prepend(example_package)
    types = provider_types(entries(example_package))
    async with open_case("acme", shape=SHAPES["acme"], types=types) as opened:
        yield opened
