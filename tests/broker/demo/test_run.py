"""The demo as a person sees it: every step ticked from the wire, ports, signals, a real identity provider in place of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from broker.config import SettingsError
from broker.demo import run
from broker.demo.idp import NotLoopback, create_idp
from broker.demo.idp_memory import RelyingParty
from broker.demo.person import ScriptedPerson
from broker.demo.run import FAILED, demo
from broker.demo.serving import reserve, serving
from broker.demo.steps import Addresses, steps
from broker.demo.trace import Exchange, Step, Trace

pytestmark = pytest.mark.xdist_group("demo")  # its ports are fixed: one process runs these tests

ROOT = Path(__file__).parents[3]
STEPS = 17


class Terminal(io.StringIO):
    """A terminal whose encoding is known."""

    encoding = "utf-8"


class OldTerminal(io.StringIO):
    """A terminal that knows ASCII only."""

    encoding = "ascii"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_the_demo_shows_the_whole_login_and_leaves_nothing_behind(folder: Path) -> None:
    """The product's main job, on the wire: discovery, registration, consent, sign-in, token, step-up, refresh."""
    out = Terminal()

    assert await demo({}, out, once=True) == 0

    shown = out.getvalue()
    assert shown.count(" \N{CHECK MARK} ") == STEPS
    assert "\N{BALLOT X}" not in shown
    assert max(len(line) for line in shown.splitlines() if not line.startswith("  log ")) <= 79
    assert "claude mcp add --transport http notes http://127.0.0.1:" in shown
    for client in ("VS Code", "Cursor", "npx @modelcontextprotocol/inspector"):
        assert client in shown
    assert left_in(folder) == []


async def test_busy_ports_are_told_and_avoided(folder: Path) -> None:
    """A second demo beside the first, or a stranger on the port: other ports, and a sentence that says so."""
    out = Terminal()
    with contextlib.ExitStack() as taken:
        for port in run.PORTS.values():
            taken.callback(reserve(port).socket.close)
        assert await demo({}, out, once=True) == 0

    shown = out.getvalue()
    assert "Not on its usual port, which is taken:\n    broker, identity provider, MCP server, client\n" in shown
    assert "http://127.0.0.1:9400" not in shown


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com"])  # noqa: S104 - refused, never bound
async def test_no_server_of_the_demo_binds_beyond_this_machine(host: str) -> None:
    """The development identity provider signs anybody in."""
    with pytest.raises(NotLoopback):
        reserve(0, host)


async def test_a_socket_that_others_can_reach_is_not_served() -> None:
    place = reserve(0)
    with socket.socket() as beyond:
        beyond.bind(("0.0.0.0", 0))  # noqa: S104 - refused before it listens
        with pytest.raises(NotLoopback):
            async with serving((create_idp("http://127.0.0.1:1", clients=[]), type(place)(beyond, 1, moved=False))):
                pass
    place.socket.close()


async def test_an_incomplete_real_provider_is_a_sentence_and_not_the_embedded_one(folder: Path) -> None:
    """Architecture, section 7: an incomplete short form is an error."""
    out = Terminal()

    with pytest.raises(SettingsError, match="OIDC_CLIENT_ID"):
        await demo({"OIDC_ISSUER": "http://127.0.0.1:1"}, out, once=True)

    assert out.getvalue() == ""
    assert left_in(folder) == []


async def test_what_the_demo_says_about_another_programs_variables_works(folder: Path) -> None:
    """The mend that it prints, BROKER_PROVIDER_ALIASES=false: the variables are left alone, the embedded provider is there."""
    environ = {"OIDC_ISSUER": "http://127.0.0.1:1"}
    with pytest.raises(SettingsError, match="BROKER_PROVIDER_ALIASES=false"):
        await demo(environ, Terminal(), once=True)
    out = Terminal()

    assert await demo({**environ, "BROKER_PROVIDER_ALIASES": "false"}, out, once=True) == 0
    assert "(embedded)" in out.getvalue()


async def test_three_variables_swap_the_identity_provider_and_a_person_signs_in(folder: Path) -> None:
    """The embedded provider is not started; whoever sits there opens the URL that is printed."""
    place = reserve(0)
    environ = {"OIDC_ISSUER": place.origin, "OIDC_CLIENT_ID": "c", "OIDC_CLIENT_SECRET": "s" * 32}
    out = Terminal()
    running = asyncio.create_task(demo(environ, out, once=True))
    while not (told := re.search(r"^  broker +(\S+)$", out.getvalue(), re.MULTILINE)):
        assert not running.done(), out.getvalue()
        await asyncio.sleep(0.02)
    broker = told[1]
    client = RelyingParty(client_id="c", client_secret="s" * 32, redirect_uris=(f"{broker}/callback/oidc",))
    async with serving((create_idp(place.origin, clients=[client]), place)):
        opened: list[str] = []
        while not running.done():
            urls = [line.strip() for line in out.getvalue().splitlines() if "/authorize?" in line]
            for url in urls[len(opened) :]:
                opened.append(url)
                await open_in_browser(url)
            await asyncio.sleep(0.02)
        status = await running

    shown = out.getvalue()
    assert status == 0, shown
    assert len(opened) == 2
    assert f"{broker}/callback/oidc" in shown
    assert "(embedded)" not in shown
    assert shown.count("You, in your browser") == 2


async def open_in_browser(url: str) -> None:
    """Do what a person does with a URL, in a browser of their own."""
    callback = httpx2.URL(url).params["redirect_uri"]
    person = ScriptedPerson(Trace([], Terminal()), account="alice", callback=callback)
    await person.open(url)
    await person.aclose()


async def test_a_step_that_does_not_come_is_told_with_what_was_expected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ticked because it was meant to happen: here the policy gives alice nothing to write with."""
    out = Terminal()
    monkeypatch.setattr(run, "POLICY", [{"name": "all read", "group": ["engineering"], "scopes": ["notes:read"]}])

    assert await demo({}, out, once=True) == FAILED

    shown = out.getvalue()
    assert shown.count(" \N{CHECK MARK} ") == 13
    assert " \N{BALLOT X} 14  Token with both scopes" in shown
    assert "expected: scope notes:read notes:write" in shown
    assert "last answer: POST http://127.0.0.1:" in shown
    (kept,) = left_in(folder)
    assert str(kept / "demo.log") in shown


async def test_somebody_whom_policy_refuses_ends_the_run_with_where_it_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "POLICY", [{"name": "sales only", "group": ["sales"]}])
    out = Terminal()

    assert await demo({}, out, once=True) == FAILED

    assert "Broker's callback" in out.getvalue()
    assert "answered 403" in out.getvalue()


def at() -> Addresses:
    return Addresses(
        issuer="http://127.0.0.1:1/oauth",
        resource="http://127.0.0.1:2/mcp",
        callback="http://127.0.0.1:3/callback",
        idp="http://127.0.0.1:4",
    )


@pytest.mark.parametrize("number", range(STEPS))
def test_no_step_is_ticked_by_an_exchange_that_proves_nothing(number: int) -> None:
    """Every predicate looks at the answer."""
    step = steps(at())[number]
    urls = [
        f"{at().issuer}/{path}" for path in ("authorize?x=1", "consent", "callback/demo", "token", "register", "token")
    ]
    metadata = ["http://127.0.0.1:2/.well-known/oauth-protected-resource/mcp", at().resource, at().callback]
    metadata += ["http://127.0.0.1:1/.well-known/oauth-authorization-server/oauth", "http://127.0.0.1:4/pick"]

    for url in urls + metadata:
        for status in (200, 201, 302, 303, 400, 401, 403, 500):
            for body in (b"", b"{}", b"[]", b"not json", b'{"error":"invalid_grant"}', b'{"result":{}}'):
                assert step.seen(Exchange("POST", url, body, status, httpx2.Headers(), body)) is None


def test_a_terminal_without_check_marks_is_written_to_all_the_same() -> None:
    out = OldTerminal()
    trace = Trace([Step("Part", "Title", "expected", lambda _: "detail")] * 2, out)

    trace.add(Exchange("GET", "http://a", b"", 200, httpx2.Headers(), b""))
    trace.explain_failure("reason")

    assert out.getvalue() == (
        "\nPart\n ok  1  Title                         detail\n !!  2  Title                         did not happen\n"
        "       expected: expected\n       last answer: GET http://a -> 200\n       reason\n"
    )


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", "import sys; from broker.cli.demo import run; sys.exit(run())"]
    environ = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:
        yield started
        started.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_it_is_told_to_stop_and_then_stops_at_once(
    process: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C: quick, status 0, no traceback, nothing left behind."""
    assert process.stdout is not None
    shown = ""
    while "Everything stays up." not in shown:
        line = process.stdout.readline()
        assert line, shown
        shown += line

    process.send_signal(number)
    rest, _ = process.communicate(timeout=10)

    assert process.returncode == 0
    assert rest == "\nStopped.\n"
    assert left_in(tmp_path) == []


def test_an_interruption_in_the_middle_is_not_a_success(process: subprocess.Popen[str], tmp_path: Path) -> None:
    assert process.stdout is not None
    while "Signing in" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)

    assert process.returncode == run.INTERRUPTED
    assert rest.endswith("\nStopped.\n")
    assert "Traceback" not in rest
    assert left_in(tmp_path) == []
