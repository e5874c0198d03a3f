"""The architecture page tells the truth: its layers are those that the tests hold the code to, its tables those of the schema."""

from __future__ import annotations

import re

from tests.house.test_layers import LAYERS, ROOT

PAGE = (ROOT / "broker" / "README.md").read_text()
SCHEMA = "".join(p.read_text() for p in sorted((ROOT / "broker/store/migrations/versions").glob("*.py")))
NAMES = ("words", "decisions", "tools", "services", "endpoints", "composition")
PLUMBING = {"counter", "alembic_version"}


def rooms(layer: str) -> set[str]:
    """Return the rooms that the page names in a layer."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {layer} |"))
    return {name.rstrip("/") for name in re.findall(r"`([a-z_]+/?)`", row.split("|")[2])}


def test_the_layers_of_the_page_are_the_layers_of_the_code():
    present = {p.stem for p in (ROOT / "broker").iterdir()}
    for name, layer in zip(NAMES, LAYERS, strict=True):
        assert rooms(name) == set(layer) & present, name


def test_every_table_of_the_schema_stands_on_the_page():
    tables = set(re.findall(r"create table (?:if not exists )?([a-z_]+)", SCHEMA)) - PLUMBING
    missing = {table for table in tables if f"`{table}`" not in PAGE}
    assert not missing, f"broker/README.md, State: {sorted(missing)}"
