"""Nothing is written past the log: events are made in one place, and only a command line speaks to a terminal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.test_layers import ROOT, dotted, modules

TERMINAL = (
    "broker.cli",
    "broker.demo",
)  # what people at a terminal read; `serve` has one sentence there, why it did not start
LOG = {"broker.audit"}  # the one writer
LIBRARY = {"broker.resource_server"}  # runs in other people's servers, and logs as libraries do
MAKERS = {"broker.audit", "broker.store.rows"}  # of events: new ones, and those that come back from the database
FILES = [*modules("broker"), *modules("providers")]


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def attributes(path: Path) -> set[str]:
    return {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_events_are_made_by_the_audit_alone(path: Path):
    """Security rules B12, F8: so every field went through the one place that knows which there are."""
    assert dotted(path) in MAKERS or "AuditEvent" not in set(calls(path))


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_nothing_writes_past_the_log(path: Path):
    """Security rules B12, G7, G13: neither print nor the standard streams nor a logger of one's own."""
    name = dotted(path)
    if name in LOG or name.startswith(TERMINAL):
        return
    assert "print" not in set(calls(path))
    assert not attributes(path) & {"sys.stdout", "sys.stderr", "traceback.print_exc"}
    if not name.startswith(tuple(LIBRARY)) and name != "broker.wire":
        imported = {
            n for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for n in node.names
        }
        assert "logging" not in {alias.name for alias in imported}


def test_the_places_that_may_are_there():
    names = {dotted(path) for path in FILES}
    assert names >= {*LOG, *MAKERS, "broker.wire"}
    assert all((ROOT / Path(*place.split("."))).is_dir() for place in (*TERMINAL, *LIBRARY))


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_the_name_of_a_line_is_fixed_text(path: Path):
    """Security rule G7: what varies is a field."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("audit.log"):
            assert isinstance(node.args[0], ast.Constant), f"{dotted(path)}:{node.lineno}"
