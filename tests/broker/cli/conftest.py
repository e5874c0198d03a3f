"""Shared by the tests of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.cli.terminal import Terminal, make_terminal


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal in an empty directory."""
    return make_terminal(tmp_path, monkeypatch)
