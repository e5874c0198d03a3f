"""The process whose rules change: no restart, no lost request, and a fault in the file costs nothing but a line in the log."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx2

from tests.flows.test_process import Serving, environment

STAFF = '[[policy]]\nname = "staff"\ngroup = "staff"\n'
OPS = '[[policy]]\nname = "ops"\ngroup = "ops"\n'


async def _change_under_load(process: Serving, file: Path) -> dict[str, int]:
    """Call the broker while its rules change by signal, by file, and to something that cannot be used; count the answers."""
    counts = {"answered": 0, "failed": 0}
    steps = [
        (STAFF + OPS, True, '"cause": "signal", "rules": 2, "before": 1'),
        ("[[policy]]\ngrop = 1\n", True, "policy.reload_refused"),
        (OPS, False, '"cause": "file", "rules": 1, "before": 2'),
    ]
    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.timeout(60):
        for text, by_signal, told in steps:
            file.write_text(text)  # noqa: ASYNC240 - a test may wait
            if by_signal:
                os.kill(process._popen.pid, signal.SIGHUP)
            while told not in process.written():
                answer = await http.get(process.url + "/.well-known/jwks.json")
                counts["answered" if answer.status_code == 200 else "failed"] += 1
    return counts


def test_rules_change_without_a_restart_and_without_a_lost_request(tmp_path: Path):
    """Architecture, "Policy rules": SIGHUP or a change of the file; a rule file with a fault keeps the old rules and says so."""
    file = tmp_path / "rules.toml"
    file.write_text(STAFF)
    process = Serving(tmp_path, environment(tmp_path, BROKER_POLICY_FILE=str(file)))
    try:
        outcome = asyncio.run(_change_under_load(process, file))
        assert process.exit_status is None
    finally:
        assert process.stop() == 0
    assert outcome["failed"] == 0, outcome
    assert outcome["answered"] > 50, outcome
    assert '"setting": "BROKER_POLICY_FILE, rule 1"' in process.written()
