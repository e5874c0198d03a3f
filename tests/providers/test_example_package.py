"""The example package of providers/README.md: its code is that of the page, pip installs it, and the broker then knows its types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.broker.settings_input import LONG_SECRET, PRODUCTION
from tests.providers.example import SHAPES, SOURCE, entries

pytestmark = pytest.mark.xdist_group("example package")  # installed once

ROOT = Path(__file__).parents[2]
README = (ROOT / "providers" / "README.md").read_text()


def validate(kind: str, folder: Path, package: Path | None) -> subprocess.CompletedProcess[str]:
    """Run `mcp-broker config validate` with one provider of a type, in a process that may know the package."""
    settings = {
        **PRODUCTION,
        "BROKER_RESOURCES": "https://files.example.com/mcp",
        "BROKER_PROVIDERS__X__TYPE": kind,
        "BROKER_PROVIDERS__X__ISSUER": SHAPES[kind].issuer,
        "BROKER_PROVIDERS__X__CLIENT_ID": "broker",
        "BROKER_PROVIDERS__X__CLIENT_SECRET": LONG_SECRET,
    }
    path = os.pathsep.join(str(place) for place in (package, ROOT) if place is not None)
    return subprocess.run(
        [sys.executable, "-m", "broker.cli", "config", "validate", "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ["pyproject.toml", "acme_openid.py", "acme_forge.py"])
def test_the_code_on_the_page_is_the_code_of_the_package(name: str) -> None:
    shown = re.findall(rf"`{re.escape(name)}`:\n\n```(?:python|toml)\n(.*?)```", README, re.DOTALL)
    assert shown == [(SOURCE / name).read_text()]


def test_the_forge_is_about_forty_lines() -> None:
    lines = [line for line in (SOURCE / "acme_forge.py").read_text().splitlines() if line]
    assert len(lines) <= 45


def test_pip_installs_it_with_its_entry_points(example_package: Path) -> None:
    project: Any = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    assert {e.name: e.value for e in entries(example_package)} == project["entry-points"]["mcp_broker.providers"]
    assert {e.name for e in entries(example_package)} == set(SHAPES)


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_the_broker_knows_a_type_once_its_package_is_installed(
    kind: str, example_package: Path, tmp_path: Path
) -> None:
    """Architecture, section 2: entry point group `mcp_broker.providers`."""
    found = validate(kind, tmp_path, example_package)
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout) == {"valid": True, "faults": [], "warnings": []}

    unknown = validate(kind, tmp_path, None)
    assert unknown.returncode == 2
    assert json.loads(unknown.stdout)["faults"][0]["setting"] == "BROKER_PROVIDERS__X__TYPE"
