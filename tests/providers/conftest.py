"""The contract suite's asserts explain themselves like those of a test module; properties are judged by truth, not by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers import example

_PARTS = (
    *("discovery", "id_token", "keys", "response", "token", "userinfo"),
    *("client_auth", "diagnosis", "ending", "logout", "refresh", "revocation"),
)
pytest.register_assert_rewrite("tests.providers.case", *(f"tests.providers.contract_{part}" for part in _PARTS))


@pytest.fixture(scope="session")
def example_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the example package of providers/README.md; return the directory that holds it."""
    return example.install(tmp_path_factory.mktemp("example"))
