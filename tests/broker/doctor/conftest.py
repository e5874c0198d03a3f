"""Shared by the tests of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.cli.terminal import make_terminal
from tests.broker.doctor.world import World
from tests.postgres import postgres

__all__ = ["postgres"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world without a provider and without a resource."""
    made = World(make_terminal(tmp_path, monkeypatch), tmp_path)
    with made.stack:
        yield made
