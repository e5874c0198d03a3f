"""The MCP conformance suite against the broker: its authorization scenarios, in every version of the specification that it offers."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import parts
from tests.e2e.app import REDIRECT_URI
from tests.e2e.broker_process import Broker, public_client, resource, running_broker
from tests.e2e.browserless import Browserless
from tests.e2e.house import NOTES
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import Process, free_port
from tests.e2e.witness import Witness

pytestmark = pytest.mark.e2e

SCENARIOS = {"authorization-server-metadata-endpoint", "authorization-code-grant"}
VERSIONS = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
CIMD_SINCE = "2025-11-25"


@pytest.fixture(scope="module", params=["", "/oauth"], ids=["root issuer", "path issuer"])
def served(
    request: pytest.FixtureRequest, oidc_provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Broker, Witness]]:
    environment = {
        **oidc_provider.environment(),
        **resource("notes", NOTES, "Notes"),
        **public_client("conformance", REDIRECT_URI, "Conformance suite"),
    }
    with running_broker(tmp_path_factory.mktemp("broker"), environment, path=request.param) as both:
        yield both


def suite(*arguments: str) -> list[str | Path]:
    """The suite's command line."""
    return [parts.node(), parts.conformance(), *arguments]


def test_the_versions_below_are_all_that_the_suite_offers():
    """So that a newer suite is not run in part."""
    listed = subprocess.run(suite("list"), capture_output=True, text=True, check=True, timeout=60).stdout
    offered = dict(re.findall(r"- (\S+) \[([^\]]+)\]", listed[listed.index("Authorization server scenarios") :]))
    assert offered == {scenario: ",".join(VERSIONS) for scenario in SCENARIOS}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_broker_conforms(
    version: str, served: tuple[Broker, Witness], oidc_provider: IdentityProvider, tmp_path: Path
):
    """Both scenarios pass without a failure or a warning; a person signs in where the suite asks for one."""
    broker, witness = served
    port, results = free_port(), tmp_path / "results"
    options = {
        "--url": broker.issuer,
        "--client-id": "conformance",
        "--resource": NOTES,
        "--port": str(port),
        "--spec-version": version,
        "--output-dir": str(results),
    }
    command = suite("authorization", *(word for option in options.items() for word in option))
    process = Process(command, tmp_path / "conformance.log", environment=os.environ)
    try:
        process.wait_until(lambda: "Callback server started" in process.written(), within=60)
        [link] = re.findall(rf"{re.escape(broker.issuer)}/authorize\?\S+", process.written())
        with Browserless(witness) as browser:
            consent = browser.open(link)
            sign_in = browser.submit(consent, consent.form, ("provider", oidc_provider.type))
            landed = oidc_provider.sign_in(browser, sign_in, "alice")
        assert landed.url.startswith(f"http://127.0.0.1:{port}/callback?"), landed
        assert process.wait(within=60) == 0, process.written()
    finally:
        process.stop()
    checks = {scenario: _checks(results, scenario) for scenario in SCENARIOS}
    found = {check["id"]: check["status"] for scenario in checks.values() for check in scenario}
    expected = {"authorization-server-metadata", "authorization-code-grant"}
    if version >= CIMD_SINCE:
        expected.add("authorization-server-metadata-cimd")
    assert set(found) == expected, found
    assert set(found.values()) == {"SUCCESS"}, checks


def _checks(results: Path, scenario: str) -> list[dict[str, Any]]:
    [file] = results.glob(f"*{scenario}*/checks.json")
    checks: list[dict[str, Any]] = json.loads(file.read_text())
    return checks
