"""How the findings are printed, and adapters that say nothing, break, or never end (architecture, section 8; rule G7)."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from broker.doctor import findings
from broker.doctor.provider import Patient, examine
from broker.settings import ProviderConfig
from providers.base import Check, Fault, ProviderSettings, UpstreamError, Verdict
from tests.broker.doctor.world import World
from tests.broker.harness import FakeClock

REDIRECT_URI = "https://auth.example.com/callback/corp"


def test_the_text_numbers_the_findings_and_counts_them(world: World) -> None:
    """Words carry the meaning: there is no colour where nobody sees it."""
    world.idp().faults.key["use"] = "enc"

    text = world.terminal.run("doctor").stdout
    lines = text.splitlines()

    assert lines[0].split()[:3] == ["1", "OK", "settings"]
    failed = next(i for i, line in enumerate(lines) if "FAIL" in line)
    assert "corp: keys" in lines[failed]
    assert lines[failed + 1].strip().startswith("Fix: publish a signing key")
    numbered = [line for line in lines if line[:3].strip().isdigit() and line[3:5] == "  "]
    assert lines[-1].startswith(f"{len(numbered)} checks: ")
    assert lines[-1].endswith("1 FAIL.")
    assert "\x1b" not in text


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_sees_colour_unless_it_wants_none(world: World, settings: dict[str, str], coloured: bool) -> None:  # noqa: FBT001 - a table
    """https://no-color.org; the words are the same."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, **world.env, **settings, "TERM": "xterm"}
    command = [sys.executable, "-m", "broker.cli", "doctor"]
    repository = Path(__file__).parents[3]
    done = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(repository)}, stdout=theirs, timeout=60, check=False
    )
    os.close(theirs)
    written = os.read(ours, 65536).decode()
    os.close(ours)

    assert done.returncode == 0
    assert ("\x1b[" in written) is coloured
    assert "WARN" in written


def test_what_a_server_says_cannot_steer_the_terminal(world: World) -> None:
    """Rule G7."""
    world.idp().faults.discovery["issuer"] = "https://evil\x1b[2J.example\r\nOK"

    text = world.terminal.run("doctor").stdout

    assert "\x1b" not in text
    assert "\r" not in text


def test_nothing_failing_is_status_0(world: World) -> None:
    assert world.examine(status=0)


class Silent:
    """An adapter that cannot be examined."""


class Adapter:
    """An adapter whose examination a test decides."""

    def __init__(self, result: Any) -> None:
        self.result = result

    async def check(self, _redirect_uri: str) -> tuple[Check, ...]:
        if isinstance(self.result, BaseException):
            raise self.result
        if self.result is None:
            await asyncio.sleep(30)
        return (self.result,)


def patient(adapter: object, **changes: Any) -> Patient:
    """Return a provider as it is examined."""
    settings = ProviderSettings(
        id="corp", type="acme", display_name="Corp", issuer="https://idp.example.com", client_id="broker", timeout=0.02
    )
    given = {"config": ProviderConfig(adapter=settings), "redirect_uri": REDIRECT_URI, "restricted": True, **changes}
    return Patient(adapter=adapter, names=frozenset({"client_id"}), **given)


async def test_an_adapter_that_cannot_be_examined_is_said_so() -> None:
    found = {c.name: c for c in await examine(patient(Silent()), FakeClock())}

    assert found["corp: examination"].status is Verdict.WARN
    assert "acme" in found["corp: examination"].detail
    assert "/debug/login" in found["corp: examination"].fix
    assert REDIRECT_URI in found["corp: redirect URI"].detail


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("a-secret-in-a-message"), "KeyError"),
        (ValueError("a-secret-in-a-message"), "ValueError"),
        (UpstreamError(Fault.TRANSIENT, "unreachable"), "unreachable"),
    ],
    ids=repr,
)
async def test_an_adapter_that_breaks_is_a_finding_without_its_text(error: Exception, said: str) -> None:
    """An exception of somebody else's may quote anything."""
    found = {c.name: c for c in await examine(patient(Adapter(error)), FakeClock())}

    assert found["corp: examination"].status is Verdict.FAIL
    assert said in found["corp: examination"].detail
    assert "a-secret-in-a-message" not in str(found)


async def test_an_adapter_that_never_ends_is_ended() -> None:
    began = time.monotonic()
    found = {c.name: c for c in await examine(patient(Adapter(None)), FakeClock())}

    assert time.monotonic() - began < 5
    assert found["corp: examination"].status is Verdict.FAIL
    assert "did not end" in found["corp: examination"].detail


async def test_settings_in_a_mend_are_spelled_as_variables() -> None:
    """Only this provider's own settings; a word such as TYPE may be anything."""
    check = Check(name="client", status=Verdict.FAIL, detail="refused", fix="set CLIENT_ID, not TYPE, HTTPS or NONCE")
    found = {c.name: c for c in await examine(patient(Adapter(check)), FakeClock())}

    assert found["corp: client"].fix == "set BROKER_PROVIDERS__CORP__CLIENT_ID, not TYPE, HTTPS or NONCE"


@pytest.mark.parametrize(
    ("apart", "status"), [(0, "OK"), (15, "OK"), (-16, "WARN"), (60, "WARN"), (61, "FAIL"), (-3600, "FAIL")]
)
async def test_the_clock_is_compared_where_the_adapter_does_not(apart: int, status: str) -> None:
    """Rule F4: ID tokens may be a minute off."""
    clock = FakeClock(1_800_000_000 - apart)

    async def date() -> str | None:
        return "Fri, 15 Jan 2027 08:00:00 GMT"

    found = {c.name: c for c in await examine(patient(Silent(), date=date), clock)}

    assert found["corp: clock"].status == status


@pytest.mark.parametrize("header", [None, "", "yesterday", "Fri, 99 Jan 2027 08:00:00 GMT"])
async def test_a_provider_without_a_date_is_a_warning(header: str | None) -> None:
    async def date() -> str | None:
        return header

    found = {c.name: c for c in await examine(patient(Silent(), date=date), FakeClock())}

    assert found["corp: clock"].status is Verdict.WARN


async def test_a_provider_that_cannot_be_asked_the_time_is_told_once() -> None:
    async def date() -> str | None:
        raise UpstreamError(Fault.TRANSIENT, "unreachable")

    assert "corp: clock" not in {c.name for c in await examine(patient(Silent(), date=date), FakeClock())}


@pytest.mark.parametrize(
    ("kind", "named"), [("google", "HOSTED_DOMAINS"), ("github", "ALLOWED_ORGS"), ("entra", "ALLOWED_TENANTS")]
)
async def test_a_provider_open_to_anyone_is_warned_about(kind: str, named: str) -> None:
    """Rule G16."""
    settings = ProviderSettings(id="corp", type=kind, display_name="C", issuer="https://x.example", client_id="b")
    config = ProviderConfig(adapter=settings)
    found = {c.name: c for c in await examine(patient(Silent(), restricted=False, config=config), FakeClock())}

    assert found["corp: who may sign in"].status is Verdict.WARN
    assert named in found["corp: who may sign in"].fix


async def test_one_examination_that_breaks_spoils_no_other() -> None:
    async def breaks() -> list[Check]:
        raise RuntimeError

    async def works() -> list[Check]:
        return [findings.ok("works", "yes")]

    found = await findings.side_by_side({"one": breaks(), "two": works()})

    assert [(c.name, c.status) for c in found] == [("one", Verdict.FAIL), ("works", Verdict.OK)]
