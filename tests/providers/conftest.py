"""The example package of providers/README.md, installed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.providers import example


@pytest.fixture(scope="session")
def example_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the example package of providers/README.md; return the directory that holds it."""
    return example.install(tmp_path_factory.mktemp("example"))
