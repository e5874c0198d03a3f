"""A terminal for tests: commands run in an empty directory, with no setting but those that the test gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from broker.cli import app

ISSUER = "http://localhost:8080"


def served(rules: Sequence[object], scopes: dict[str, str]) -> dict[str, str]:
    """Return the settings of a broker with a provider, the MCP server `files`, the app `app` and rules."""
    return {
        "OIDC_ISSUER": "https://idp.example.com",
        "OIDC_CLIENT_ID": "b",
        "OIDC_CLIENT_SECRET": "s",
        "BROKER_RESOURCES__FILES__URL": "https://files.example.com/mcp",
        "BROKER_RESOURCES__FILES__SCOPES": json.dumps(scopes),
        "BROKER_CLIENTS__APP__REDIRECT_URIS": "http://127.0.0.1/cb",
        "BROKER_POLICY": json.dumps(rules),
    }


class Terminal:
    """Runs commands in-process, and in a process of their own where signals or other processes matter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env = {"BROKER_ISSUER": ISSUER}

    def run(self, *words: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, words, env=self.env, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def ok(self, *words: str, stdin: str | None = None) -> str:
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *words: str, stdin: str | None = None) -> Any:
        return json.loads(self.ok(*words, "--json", stdin=stdin))

    def refused(self, *words: str, status: int = 1, stdin: str | None = None) -> str:
        """Return standard error of a command that must end with this status, without a traceback."""
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.stderr

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "broker.cli", *words],
            cwd=self.directory,
            env={**os.environ, **self.env, "PYTHONPATH": str(Path(__file__).parents[3])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - one call, and no thread of this process holds a lock it needs
        )


def _heed_interrupts() -> None:
    """Take SIGINT as a terminal's processes do: a script's background jobs ignore it, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def make_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a terminal in an empty directory, without the settings of whoever runs the tests."""
    for name in os.environ:
        if name.startswith(("BROKER_", "KEYCLOAK_", "OIDC_", "GOOGLE_", "GITHUB_", "ENTRA_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path)
