"""The broker's own part: database, schema, keys, clock, issuer, TLS (rules F3, F4, G11)."""

from __future__ import annotations

import base64
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from broker.doctor import database
from broker.store.migrate import migrate
from tests.broker.doctor.authority import Authority
from tests.broker.doctor.servers import serving
from tests.broker.doctor.world import World
from tests.e2e.processes import Process, answers, free_port
from tests.flows.test_process import BIN, START
from tests.postgres import PostgresServer

MASTER_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
ANOTHER = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()


def test_looking_makes_nothing(world: World) -> None:
    """Before the first start there is no database, and afterwards neither."""
    found = world.finding("database")

    assert found["status"] == "WARN"
    assert "broker.db" in found["detail"]
    assert "mcp-broker serve" in found["fix"]
    assert list(Path().iterdir()) == []


def test_a_database_that_is_down_is_found(world: World) -> None:
    world.env |= {
        "BROKER_DATABASE_URL": f"postgresql://broker@127.0.0.1:{free_port()}/broker",
        "BROKER_MASTER_KEY": MASTER_KEY,
    }

    found = world.finding("database")

    assert found["status"] == "FAIL"
    assert "BROKER_DATABASE_URL" in found["fix"]


def test_a_driver_s_lines_become_one_without_a_mark_where_they_broke() -> None:
    """Psycopg breaks and indents its sentences; a terminal gets neither (rule G7)."""
    said = "the database refused: port 1 failed: Connection refused\n\tIs the server running on that host?\n"
    found = database.unavailable(said, "postgresql://h/d")
    assert found.detail == "refused: port 1 failed: Connection refused Is the server running on that host?"


def test_a_folder_in_place_of_the_file_is_found_and_left_as_it_is(world: World) -> None:
    folder = world.folder / "data"
    folder.mkdir(mode=0o755)
    world.env["BROKER_DATABASE_URL"] = f"sqlite:///{folder}"

    found = world.finding("database")

    assert (found["status"], "names a file" in found["fix"]) == ("FAIL", True)
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_database_that_nobody_migrated_is_found(world: World, postgres: PostgresServer) -> None:
    world.env |= {"BROKER_DATABASE_URL": postgres.empty_database(), "BROKER_MASTER_KEY": MASTER_KEY}

    found = world.finding("schema")

    assert found["status"] == "FAIL"
    assert "mcp-broker migrate" in found["fix"]


def test_an_old_schema_is_found_and_stays_old(world: World) -> None:
    """SQLite is migrated by `serve`; the doctor only looks."""
    migrate("sqlite:///broker.db")
    with closing(sqlite3.connect("broker.db")) as connection:
        connection.execute("update alembic_version set version_num = '0000'")
        connection.commit()

    for _ in range(2):
        found = world.finding("schema")
        assert found["status"] == "FAIL"
        assert "mcp-broker migrate" in found["fix"]


def test_a_migrated_postgresql_is_good(world: World, postgres: PostgresServer) -> None:
    world.env |= {"BROKER_DATABASE_URL": postgres.database(), "BROKER_MASTER_KEY": MASTER_KEY}
    world.terminal.ok("keys", "rotate", "--now")

    findings = {f["name"]: f["status"] for f in world.examine()}

    good = ("schema", "database", "database clock", "master key", "signing keys RS256")
    assert {name: findings[name] for name in good} == dict.fromkeys(good, "OK")


def test_a_database_of_another_time_is_found(world: World, postgres: PostgresServer) -> None:
    """Rule F4: tokens are dated by the database. Here its clock_timestamp() is an hour late."""
    url = postgres.database()
    with psycopg.connect(url, autocommit=True) as connection:
        name = url.rpartition("/")[2]
        late = "select pg_catalog.clock_timestamp() - interval '1 hour'"
        connection.execute("create schema late")
        connection.execute(
            f"create function late.clock_timestamp() returns timestamptz language sql as '{late.replace(chr(39), chr(39) * 2)}'".encode()
        )
        connection.execute(f"alter database {name} set search_path = late, pg_catalog, public".encode())
    world.env |= {"BROKER_DATABASE_URL": url, "BROKER_MASTER_KEY": MASTER_KEY}

    found = world.finding("database clock")

    assert found["status"] == "FAIL"
    assert "behind" in found["detail"]
    assert "NTP" in found["fix"]


@pytest.mark.parametrize(
    ("offset", "status"), [(0.4, "OK"), (-4.4, "OK"), (5.0, "WARN"), (-59.0, "WARN"), (60.0, "FAIL"), (-3600.0, "FAIL")]
)
def test_a_difference_of_clocks_is_judged_by_its_size(offset: float, status: str) -> None:
    """Verifiers tolerate a minute (rule F4)."""
    assert database.clock(offset).status == status


def kept_keys() -> list[tuple[int, str]]:
    """Return the key ring as it is stored."""
    with closing(sqlite3.connect("broker.db")) as connection:
        return connection.execute("select version, keys from key_ring").fetchall()


def test_a_wrong_master_key_is_found(world: World) -> None:
    """Rule G11."""
    world.env["BROKER_MASTER_KEY"] = MASTER_KEY
    world.terminal.ok("keys", "rotate", "--now")
    world.env["BROKER_MASTER_KEY"] = ANOTHER

    found = world.finding("master key")

    assert found["status"] == "FAIL"
    assert "BROKER_MASTER_KEY" in found["fix"]
    assert MASTER_KEY not in str(found)


def test_a_master_key_file_that_is_gone_is_found_and_not_made_anew(world: World) -> None:
    world.terminal.ok("keys", "rotate", "--now")
    Path("broker.db.key").unlink()

    found = world.finding("master key")

    assert found["status"] == "FAIL"
    assert ".key" in found["fix"]
    assert not Path("broker.db.key").exists()


def test_keys_under_an_older_master_key_are_told(world: World) -> None:
    world.env["BROKER_MASTER_KEY"] = MASTER_KEY
    world.terminal.ok("keys", "rotate", "--now")
    world.env["BROKER_MASTER_KEY"] = f"{ANOTHER},{MASTER_KEY}"

    found = world.finding("master key")

    assert found["status"] == "WARN"
    assert "reseal" in found["fix"]


def test_a_pending_key_is_told_and_a_key_past_its_time_warned_about(world: World) -> None:
    """Rule F3: the schedule is kept by a broker that serves."""
    world.env["BROKER_MASTER_KEY"] = MASTER_KEY
    world.terminal.ok("keys", "rotate", "--now")
    with closing(sqlite3.connect("broker.db")) as connection:
        keys = json.loads(kept_keys()[0][1])
        older = [{**key, "activates_at": key["activates_at"] - 100 * 86400} for key in keys]
        connection.execute("update key_ring set keys = ?", [json.dumps(older)])
        connection.commit()

    overdue = world.finding("signing keys RS256")
    world.terminal.ok("keys", "rotate")
    pending = world.finding("signing keys RS256")

    assert overdue["status"] == "WARN"
    assert "signs for 100 days" in overdue["detail"]
    assert "mcp-broker keys rotate" in overdue["fix"]
    assert pending["status"] == "OK"
    assert "a pending one signs in" in pending["detail"]


def test_an_algorithm_without_a_key_is_told(world: World) -> None:
    migrate("sqlite:///broker.db")
    world.env["BROKER_SIGNING_ALG"] = "ES256"
    before = kept_keys()

    assert world.finding("signing keys ES256")["status"] == "WARN"
    assert world.finding("master key")["status"] == "OK"
    assert kept_keys() == before, "none was made by looking"


@pytest.fixture
def serving_broker(world: World) -> Iterator[Process]:
    """`mcp-broker serve` under an issuer with a path."""
    port = free_port()
    world.env |= {
        "BROKER_ISSUER": f"http://localhost:{port}/oauth",
        "BROKER_BIND": f"127.0.0.1:{port}",
        "BROKER_ADMIN_BIND": f"127.0.0.1:{free_port()}",
        "BROKER_DRAIN": "0s",
    }
    process = Process([BIN, "serve"], world.folder / "serve.log", environment={**os.environ, **world.env})
    process.wait_until(lambda: answers(f"http://localhost:{port}/readyz"), within=START)
    yield process
    process.stop()


def test_beside_a_running_broker_everything_is_good(world: World, serving_broker: Process) -> None:
    """All six well-known addresses of an issuer with a path, byte for byte."""
    findings = {f["name"]: f for f in world.examine()}

    good = ("issuer", "metadata", "published keys", "TLS in front", "database", "schema", "master key")
    assert {name: findings[name]["status"] for name in good} == dict.fromkeys(good, "OK")
    assert "6 well-known" in findings["metadata"]["detail"]
    assert serving_broker.exit_status is None


def test_without_a_running_broker_the_issuer_is_a_warning(world: World, serving_broker: Process) -> None:
    serving_broker.stop()

    found = world.finding("issuer")

    assert found["status"] == "WARN"
    assert "mcp-broker serve" in found["fix"]


def test_a_broker_on_another_database_is_found(world: World, serving_broker: Process) -> None:
    world.env["BROKER_DATABASE_URL"] = "sqlite:///other.db"
    world.terminal.ok("keys", "rotate", "--now")

    found = world.finding("published keys")

    assert found["status"] == "FAIL"
    assert "BROKER_DATABASE_URL" in found["fix"]


def at_issuer(world: World, answer: Callable[[str, str], Response], *, path: str = "", **options: Any) -> None:
    """Let something else answer at the issuer: `answer` gets the issuer and the path asked for."""

    def make(url: str) -> Starlette:
        return Starlette(routes=[Route("/{p:path}", lambda request: answer(url, request.url.path))])

    world.env["BROKER_ISSUER"] = world.stack.enter_context(serving(make, path=path, **options))


@pytest.mark.parametrize(
    ("answer", "status", "detail", "fix"),
    [
        (lambda issuer, _: JSONResponse({"issuer": issuer + "/"}), "FAIL", "/'", "same BROKER_ISSUER"),
        (lambda _issuer, _path: JSONResponse({}), "FAIL", "no issuer", "same BROKER_ISSUER"),
        (lambda _issuer, _path: Response(status_code=404), "FAIL", "404", "/.well-known/*"),
        (lambda issuer, _: RedirectResponse(issuer + "/login"), "FAIL", "307", "without a redirect"),
        (lambda _issuer, _path: Response(status_code=421), "FAIL", "host name", "proxy_set_header Host"),
        (lambda _issuer, _path: Response(status_code=502), "WARN", "behind it does not", "BROKER_BIND"),
    ],
    ids=["slash", "no issuer", "not routed", "redirect", "foreign host", "bad gateway"],
)
def test_what_else_answers_at_the_issuer_is_told_apart(
    world: World, answer: Callable[[str, str], Response], status: str, detail: str, fix: str
) -> None:
    at_issuer(world, answer)

    found = world.finding("issuer")

    assert found["status"] == status
    assert detail in found["detail"]
    assert fix in found["fix"]


def test_a_well_known_address_that_is_not_routed_is_found(world: World) -> None:
    """An issuer with a path behind a proxy that forwards that path alone."""
    at_issuer(
        world,
        lambda issuer, path: (
            JSONResponse({"issuer": issuer})
            if path.startswith("/.well-known/oauth-authorization-server")
            else Response(status_code=404)
        ),
        path="/oauth",
    )

    found = world.finding("metadata")

    assert found["status"] == "FAIL"
    assert "/.well-known/openid-configuration/oauth" in found["detail"]
    assert "/oauth/.well-known/openid-configuration" in found["detail"]
    assert "/.well-known/*" in found["fix"]


@pytest.mark.parametrize(("days", "status"), [(3, "WARN"), (200, "OK")])
def test_a_certificate_that_ends_soon_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch, days: int, status: str
) -> None:
    authority = Authority(world.folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    at_issuer(world, lambda issuer, _: JSONResponse({"issuer": issuer}), certificate=authority.certificate(days=days))

    found = world.finding("TLS in front")

    assert found["status"] == status
    assert f"{days} days" in found["detail"]


def test_a_certificate_that_is_not_trusted_is_found(world: World) -> None:
    at_issuer(world, lambda _issuer, _path: JSONResponse({}), certificate=Authority(world.folder).certificate())

    found = world.finding("TLS in front")

    assert found["status"] == "FAIL"
    assert "not trusted here" in found["detail"]
    assert "whole chain" in found["fix"]


def test_a_production_issuer_without_a_trusted_proxy_is_warned_about(world: World) -> None:
    """Rules G2, G3. The issuer's name is one that never resolves."""
    world.env |= {
        "BROKER_ISSUER": "https://auth.broker.invalid",
        "BROKER_MASTER_KEY": MASTER_KEY,
        "HTTPS_PROXY": f"http://127.0.0.1:{free_port()}",
    }

    found = world.finding("proxy in front")
    world.env["BROKER_TRUSTED_PROXIES"] = "10.0.0.0/8"

    assert (found["status"], "BROKER_TRUSTED_PROXIES" in found["fix"]) == ("WARN", True)
    assert world.finding("proxy in front")["status"] == "OK"


def test_the_doctor_ends_at_once_when_it_is_interrupted(world: World) -> None:
    idp = world.idp()
    idp.faults.delay["discovery"] = 30
    process = world.terminal.start("doctor")
    while not idp.requests:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)

    assert process.wait(10) != 0
    assert json.dumps("corp") not in process.communicate()[0]
