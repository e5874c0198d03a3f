"""The process that serves: how it starts, refuses to start, stops, and what survives it (faults survived; rules G11, G16, E11)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import pytest

from tests.e2e.processes import Process, answers, free_port

BIN = Path(sys.executable).with_name("mcp-broker")
START = 60  # seconds, on busy cores
REGISTRATION = {"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"}


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a loopback broker with free ports."""
    port = free_port()
    given = {
        "BROKER_ISSUER": f"http://127.0.0.1:{port}",
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_ADMIN_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_DATABASE_URL": f"sqlite:///{folder}/broker.db",
        "BROKER_RESOURCES": "http://127.0.0.1:9/mcp",
        "BROKER_DRAIN": "1s",
        "OIDC_ISSUER": "http://127.0.0.1:9",
        "OIDC_CLIENT_ID": "broker",
        "OIDC_CLIENT_SECRET": "made-up-for-this-test",
        **changes,
    }
    return {**{k: v for k, v in os.environ.items() if not k.startswith("BROKER_")}, **given}


class Serving(Process):
    """`mcp-broker serve`, ready."""

    def __init__(self, folder: Path, settings: Mapping[str, str], log: str = "broker.log") -> None:
        """Start and wait."""
        super().__init__([BIN, "serve"], folder / log, environment=settings)
        self.url = settings["BROKER_ISSUER"]
        self.admin = "http://" + settings["BROKER_ADMIN_BIND"]
        try:
            self.wait_until(lambda: answers(self.url + "/readyz"), within=START)
        except BaseException:
            self.stop()
            raise


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    process = Serving(tmp_path, environment(tmp_path))
    yield process
    process.stop()


def refused(settings: Mapping[str, str]) -> str:
    """Start a broker that must refuse; return what it says on standard error."""
    done = subprocess.run([BIN, "serve"], env=settings, capture_output=True, text=True, timeout=START, check=False)
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_process_on_one_sqlite_file_is_refused_with_a_sentence(serving: Serving, tmp_path: Path):
    """Operations: refused, not corrupted; the first goes on."""
    said = refused(environment(tmp_path))
    assert "broker.db" in said
    assert answers(serving.url + "/readyz")


def test_a_taken_port_is_a_sentence_that_names_the_setting(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(environment(tmp_path, BROKER_BIND=f"127.0.0.1:{port}"))
    assert "BROKER_BIND" in said
    assert str(port) in said


def test_a_wrong_master_key_is_a_clean_refusal(tmp_path: Path):
    """Security rule G11."""
    settings = environment(tmp_path)
    Serving(tmp_path, settings).stop()
    (tmp_path / "broker.db.key").unlink()
    said = refused(settings)
    assert "BROKER_MASTER_KEY" in said


def test_a_file_that_is_no_database_is_one_sentence_with_the_setting_to_look_at(tmp_path: Path):
    (tmp_path / "broker.db").write_bytes(b"this is no database" * 100)
    said = refused(environment(tmp_path))
    assert said.count("does not answer") == 1
    assert "file is not a database. Look at BROKER_DATABASE_URL" in said


def test_unsafe_production_settings_do_not_start(tmp_path: Path):
    """Security rule G16: every fault at once."""
    said = refused(environment(tmp_path, BROKER_ISSUER="http://auth.example.com", BROKER_BIND="127.0.0.1:1"))
    assert "https" in said
    assert "BROKER_MASTER_KEY" in said


def test_the_files_are_for_their_owner_alone(serving: Serving, tmp_path: Path):
    """Security rule G11."""
    httpx2.post(serving.url + "/register", json=REGISTRATION, trust_env=False)
    files = [p for p in tmp_path.iterdir() if p.name.startswith("broker.db")]
    assert len(files) >= 2
    assert {p.stat().st_mode & 0o777 for p in files} == {0o600}


def test_sigterm_drops_readiness_and_fails_no_request(tmp_path: Path):
    """Faults survived: SIGTERM under load; readiness drops first, in-flight requests finish."""
    process = Serving(tmp_path, environment(tmp_path, BROKER_DRAIN="2s"))
    outcome = asyncio.run(_load_while_terminating(process))
    assert process.wait(within=20) == 0
    assert outcome["failed"] == 0, outcome
    assert outcome["answered"] > 50, outcome
    assert outcome["drained"] == 1, outcome
    assert '"server.draining"' in process.written()


def test_each_answer_during_the_drain_is_the_last_of_its_connection(tmp_path: Path):
    """Faults survived: SIGTERM under load. Whoever keeps a connection is sent to another process in time."""
    process = Serving(tmp_path, environment(tmp_path, BROKER_DRAIN="30s"))
    with httpx2.Client(trust_env=False) as http:
        assert "connection" not in http.get(process.url + "/.well-known/jwks.json").headers
        os.kill(process._popen.pid, signal.SIGTERM)
        process.wait_until(lambda: '"server.draining"' in process.written(), within=START)
        for _ in range(3):
            answer = http.get(process.url + "/.well-known/jwks.json")
            assert (answer.status_code, answer.headers.get("connection")) == (200, "close")
    os.kill(process._popen.pid, signal.SIGTERM)  # a second one skips the drain
    assert process.wait(within=20) == 0


async def _load_while_terminating(process: Serving) -> dict[str, int]:
    """Call the broker until readiness has dropped and half of the drain time is over."""
    counts = {"answered": 0, "failed": 0, "drained": 0}
    async with httpx2.AsyncClient(trust_env=False) as http:
        began = time.monotonic()
        signalled = False
        while time.monotonic() - began < 2:
            if not signalled and counts["answered"] > 20:
                os.kill(process._popen.pid, signal.SIGTERM)
                signalled = True
            answer = await http.get(process.url + "/.well-known/jwks.json")
            counts["answered" if answer.status_code == 200 else "failed"] += 1
            if signalled and not counts["drained"]:
                counts["drained"] = int((await http.get(process.url + "/readyz")).status_code == 503)
    return counts


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path):
    """Faults survived: nothing acknowledged is lost; ready again with the same keys and clients."""
    settings = environment(tmp_path)
    first = Serving(tmp_path, settings)
    made = [httpx2.post(first.url + "/register", json=REGISTRATION, trust_env=False).json() for _ in range(5)]
    keys = httpx2.get(first.url + "/.well-known/jwks.json", trust_env=False).json()
    os.kill(first._popen.pid, signal.SIGKILL)
    first.wait(within=5)
    second = Serving(tmp_path, settings, "again.log")
    try:
        assert httpx2.get(second.url + "/.well-known/jwks.json", trust_env=False).json() == keys
        for client in made:
            form = {
                "client_id": client["client_id"],
                "grant_type": "authorization_code",
                "code": "x",
                "code_verifier": "v" * 43,
            }
            answer = httpx2.post(second.url + "/token", data=form, trust_env=False)
            assert answer.json()["error"] == "invalid_grant", "the client is known"
    finally:
        second.stop()


def test_commands_work_beside_a_running_broker(serving: Serving, tmp_path: Path):
    """Contract, section 8: what they change holds in it within a second; a rotated key is published within 15 s."""
    settings = environment(tmp_path)
    command: list[str | Path] = [
        BIN,
        "clients",
        "add",
        "--name",
        "Added",
        "--redirect-uri",
        "https://added.example/cb",
        "--json",
    ]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=START, check=True)
    client_id = done.stdout.split('"client_id": "')[1].split('"')[0]

    def known() -> bool:
        form = {"client_id": client_id, "grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43}
        return bool(httpx2.post(serving.url + "/token", data=form, trust_env=False).json()["error"] == "invalid_grant")

    serving.wait_until(known, within=1.5)
    before = len(httpx2.get(serving.url + "/.well-known/jwks.json", trust_env=False).json()["keys"])
    subprocess.run([BIN, "keys", "rotate"], env=settings, capture_output=True, timeout=START, check=True)

    def published() -> bool:
        return len(httpx2.get(serving.url + "/.well-known/jwks.json", trust_env=False).json()["keys"]) == before + 1

    serving.wait_until(published, within=15)


def test_metrics_are_on_the_admin_listener_only(serving: Serving):
    """Security rule G12."""
    assert httpx2.get(serving.admin + "/metrics", trust_env=False).status_code == 200
    assert httpx2.get(serving.url + "/metrics", trust_env=False).status_code == 404


def raw(port: str, sent: bytes) -> bytes:
    """Send bytes and return everything that comes back."""
    with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as wire:
        wire.sendall(sent)
        return b"".join(iter(lambda: wire.recv(65536), b""))


def test_what_is_no_http_is_answered_as_ours_and_the_log_stays_lines_of_json(serving: Serving):
    """Security rules G7, G8: no bare line of the server's, nothing of what was sent, headers and id as everywhere."""
    for origin in (serving.url, serving.admin):
        head = raw(origin.rpartition(":")[2], b"EVIL BYTES\r\n\r\n").lower()
        assert head.startswith(b"http/1.1 400 ")
        for header in (
            b"x-request-id: ",
            b"x-content-type-options: nosniff",
            b"cache-control: no-store",
            b"content-security-policy: ",
        ):
            assert header in head
    upgrade = b"connection: upgrade, close\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    request = b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n" + upgrade + b"\r\n"
    assert raw(serving.url.rpartition(":")[2], request).startswith(b"HTTP/1.1 200 ")
    lines = serving.written().splitlines()
    named = [json.loads(line)["event"] for line in lines if not line.startswith("Making a master key")]
    assert "http.refused" in named
    assert "EVIL" not in serving.written()
