"""A world for the doctor: a scripted identity provider on a real socket, a terminal, and the shortest way to ask for one finding."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.broker.cli.terminal import Terminal
from tests.broker.doctor.authority import Authority
from tests.broker.doctor.servers import serving
from tests.e2e.processes import free_port
from tests.providers.scripted_idp import ScriptedIdp

SECRET = "a-client-secret-that-nobody-may-see"
CORP = "BROKER_PROVIDERS__CORP__"
Finding = dict[str, str]


@dataclass
class World:
    """Everything around one run of the command. What a test changes comes before `examine`."""

    terminal: Terminal
    folder: Path
    stack: ExitStack = field(default_factory=ExitStack)
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.env = self.terminal.env
        self.env["BROKER_ISSUER"] = f"http://localhost:{free_port()}"

    def idp(self, *, authority: Authority | None = None, clock_ahead: int = 0, path: str = "") -> ScriptedIdp:
        """Start an identity provider and make it the broker's `corp`."""
        made: list[ScriptedIdp] = []

        def make(url: str) -> Any:
            made.append(ScriptedIdp(url, client_secret=SECRET))
            return made[0].app

        certificate = authority.certificate() if authority else None
        url = self.stack.enter_context(serving(make, certificate=certificate, clock_ahead=clock_ahead, path=path))
        self.env |= {
            CORP + "TYPE": "oidc",
            CORP + "ISSUER": url,
            CORP + "CLIENT_ID": "broker",
            CORP + "CLIENT_SECRET": SECRET,
            CORP + "TIMEOUT": "3s",
        }
        return made[0]

    def examine(self, *words: str, status: int | None = None) -> list[Finding]:
        """Return every finding, after the exit status and the shape were checked, and that no secret stands in one."""
        result = self.terminal.run("doctor", "--json", *self.words, *words)
        document = json.loads(result.stdout)
        assert set(document) == {"checks"}
        findings: list[Finding] = document["checks"]
        for finding in findings:
            assert set(finding) == {"name", "status", "detail", "fix"}
            assert finding["status"] in ("OK", "WARN", "FAIL")
            assert finding["detail"], finding
            assert finding["fix"] or finding["status"] == "OK", finding
        if status is None:
            status = 1 if any(f["status"] == "FAIL" for f in findings) else 0
        assert result.exit_code == status, result.output
        assert SECRET not in result.output
        return findings

    def finding(self, name: str, *words: str, status: int | None = None) -> Finding:
        """Return the one finding of a name."""
        findings = self.examine(*words, status=status)
        found = [f for f in findings if f["name"] == name]
        assert len(found) == 1, findings
        return found[0]
