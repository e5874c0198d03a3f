"""The house as architecture.md draws it: which way imports go (broker/README.md, "Layers")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"model", "oauth", "clock"}),
    frozenset({"protocol"}),
    frozenset(
        {
            *(
                "store",
                "keys",
                "seal",
                "outbound",
                "audit",
                "audit_fields",
                "web",
                "config",
                "secret_source",
                "settings",
            ),
            *("pages", "metrics", "background", "signer"),
        }
    ),
    frozenset(
        {
            "grants",
            "token_issuer",
            "clients",
            "client_auth",
            "client_gate",
            "own_tokens",
            "policy",
            "reload",
            "upstream",
            "login",
            "resource_server",
            "doctor",
        }
    ),
    frozenset({"endpoints"}),
    frozenset(
        {"app", "core", "cli", "demo", "server", "connections", "exchange", "wire", "edge", "answers", "dispatch"}
    ),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
COMPOSITION = {"app", "cli", "demo"}


def modules(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py") if "versions" not in p.parts)


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_module_of_the_broker_has_a_layer():
    unplaced = {room(dotted(p)) for p in modules("broker")} - set(RANK) - {""}
    assert not unplaced, f"give these a layer in this test and in broker/README.md: {sorted(unplaced)}"


@pytest.mark.parametrize("path", modules("broker"), ids=dotted)
def test_no_import_goes_up(path: Path):
    own = room(dotted(path))
    if not own:
        return
    up = [i for i in imports(path) if i.startswith("broker.") and RANK[room(i)] > RANK[own]]
    assert not up, f"{dotted(path)} imports from above: {up}"


@pytest.mark.parametrize(
    "path", [p for p in modules("broker") if room(dotted(p)) in ("endpoints", "grants")], ids=dotted
)
def test_no_import_goes_sideways_between_endpoints_or_grants(path: Path):
    own = dotted(path)
    room_prefix = f"broker.{room(own)}."
    sideways = [
        i
        for i in imports(path)
        if i.startswith(room_prefix) and not i.startswith(own) and not i.startswith(room_prefix + "base")
    ]
    assert not sideways


@pytest.mark.parametrize("path", modules("broker"), ids=dotted)
def test_below_composition_only_providers_base_is_imported(path: Path):
    if room(dotted(path)) in COMPOSITION:
        return
    assert not [i for i in imports(path) if i.startswith("providers") and not i.startswith("providers.base")]


@pytest.mark.parametrize("path", modules("providers"), ids=dotted)
def test_providers_import_nothing_of_the_broker(path: Path):
    assert not [i for i in imports(path) if i.split(".")[0] in ("broker", "starlette", "mcp")]


@pytest.mark.parametrize("path", [p for p in modules("broker") if room(dotted(p)) == "protocol"], ids=dotted)
def test_protocol_is_pure(path: Path):
    """No I/O, no clock, no framework: time and randomness are arguments."""
    impure = {
        "asyncio",
        "time",
        "secrets",
        "random",
        "os",
        "socket",
        "starlette",
        "httpx2",
        "sqlite3",
        "pathlib",
        "anyio",
    }
    assert not [i for i in imports(path) if i.split(".")[0] in impure]
    assert not any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(ast.parse(path.read_text())))


def test_what_mcp_servers_import_drags_nothing_of_the_server_in():
    """`broker.resource_server` imports only protocol and below."""
    for path in modules("broker"):
        if room(dotted(path)) == "resource_server":
            foreign = [
                i
                for i in imports(path)
                if i.startswith("broker.")
                and not i.startswith("broker.resource_server")
                and RANK[room(i)] > RANK["protocol"]
            ]
            assert not foreign, f"{dotted(path)}: {foreign}"


def is_broad(node: ast.ExceptHandler) -> bool:
    return node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))


def test_broad_excepts_stand_only_in_app():
    broad = [
        f"{dotted(path)}:{node.lineno}"
        for path in [*modules("broker"), *modules("providers")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    assert [b for b in broad if not b.startswith("broker.app:")] == []
