"""Sizes we hold ourselves to (architecture.md section 2): a file that wants more is two ideas."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

from tests.house.test_layers import dotted, modules

FILES = [*modules("broker"), *modules("providers")]
MEDIAN, FILE, FUNCTION, COLLABORATORS = 120, 400, 60, 7


def test_the_median_file_is_small():
    sizes = [len(p.read_text().splitlines()) for p in FILES]
    assert statistics.median(sizes) <= MEDIAN


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_no_file_is_two_ideas(path: Path):
    lines = len(path.read_text().splitlines())
    assert lines <= FILE, f"{dotted(path)} has {lines} lines"


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_no_function_is_long(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= FUNCTION, f"{dotted(path)}:{node.lineno} {node.name} has {size} lines"


@pytest.mark.parametrize("path", FILES, ids=dotted)
def test_no_constructor_takes_more_than_seven_collaborators(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            count = len(node.args.args) - 1 + len(node.args.kwonlyargs)
            assert count <= COLLABORATORS, f"{dotted(path)}:{node.lineno} takes {count}"
