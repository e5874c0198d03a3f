"""What we depend on: pinned, each with its reason, nothing by accident."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib

import pytest

from tests.house.test_layers import ROOT, imports, modules

PROJECT = ROOT / "pyproject.toml"
TABLE = tomllib.loads(PROJECT.read_text())["project"]
GROUPS = {"runtime": TABLE["dependencies"], **TABLE["optional-dependencies"]}
PIN = re.compile(r"([a-z0-9-]+)(?:\[[a-z,]+\])?==([0-9][0-9a-z.]*)(?:; .+)?")
MODULES = {
    "prometheus_client": "prometheus-client",
    "psycopg_pool": "psycopg",
    "mcp_types": "mcp",
    "pydantic_core": "pydantic",
}


def pins() -> dict[str, str]:
    """Return name -> version of every direct dependency."""
    found = {}
    for requirement in [r for group in GROUPS.values() for r in group]:
        match = PIN.fullmatch(requirement)
        assert match, f"{requirement} is not pinned"
        found[match[1]] = match[2]
    return found


def test_every_direct_dependency_is_pinned_to_one_version():
    """Security rule G15."""
    assert len(pins()) > 20


def test_every_direct_dependency_says_why_it_is_here():
    for line in PROJECT.read_text().splitlines():
        if re.match(r'\s+"[a-z0-9-]+(\[[a-z,]+\])?==', line):
            assert re.search(r"#\s+\S+", line), f"no reason beside {line.strip()}"


def test_what_is_installed_is_what_is_pinned():
    """Security rule G15: the tests ran against these very versions."""
    wrong = {
        name: importlib.metadata.version(name)
        for name, pin in pins().items()
        if importlib.metadata.version(name) != pin
    }
    assert not wrong, f"run make setup again: {wrong}"


@pytest.mark.parametrize("package", ["broker", "providers"])
def test_nothing_is_imported_that_is_not_a_direct_dependency(package: str):
    """Security rule G15: a transitive dependency may vanish or change under us."""
    declared = set(pins()) | {"broker", "providers"}
    for path in modules(package):
        for imported in imports(path):
            top = imported.split(".")[0]
            if top not in sys.stdlib_module_names and top != "__future__":
                assert MODULES.get(top, top.replace("_", "-")) in declared, f"{path.relative_to(ROOT)} imports {top}"


def test_the_http_client_that_dials_the_network_past_our_mocks_is_never_imported():
    """`httpx` is here for respx alone; everything of ours speaks httpx2."""
    for package in ("broker", "providers"):
        for path in modules(package):
            assert not [i for i in imports(path) if i.split(".")[0] in ("httpx", "jwt", "requests")], path
