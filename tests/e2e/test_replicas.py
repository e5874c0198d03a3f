"""Two brokers on one PostgreSQL: whichever of them a request meets, each single-use thing is used once."""

from __future__ import annotations

import base64
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.app import REDIRECT_URI, App
from tests.e2e.broker_process import COMMAND, Broker, public_client, resource
from tests.e2e.browserless import Browserless
from tests.e2e.house import NOTES
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.witness import Witness
from tests.postgres import PostgresServer, binaries, postgres

__all__ = ["postgres"]  # the fixture

pytestmark = pytest.mark.e2e

RACERS = 16


@dataclass(frozen=True)
class Pair:
    """Two replicas; the first has the issuer's port."""

    idp: IdentityProvider
    first: Broker
    second: Broker
    witness: Witness
    apps: list[App] = field(default_factory=list)

    def app(self, replica: Broker) -> App:
        """An app whose token requests meet one replica."""
        app = App(self.witness, self.first.issuer, client_id="notebook", resource=NOTES)
        app.metadata = {**app.metadata, "token_endpoint": replica.origin + "/token"}
        self.apps.append(app)
        return app

    def answer(self, app: App) -> dict[str, str]:
        """Approve at the first replica and come back to the second; returns the app's answer."""
        with Browserless(self.witness, leave_at=self.first.url("/callback/")) as browser:
            consent = browser.open(app.authorization_url())
            sign_in = browser.submit(consent, consent.form, ("provider", self.idp.type))
            callback = self.idp.sign_in(browser, sign_in, "alice")
            landed = browser.open(callback.url.replace(self.first.origin, self.second.origin), follow=False)
        location = httpx2.URL(landed.headers["location"])
        assert str(location).startswith(REDIRECT_URI), landed
        self.witness.see_url(str(location))
        return dict(location.params)


@pytest.fixture(scope="module")
def settings(oidc_provider: IdentityProvider, postgres: PostgresServer) -> dict[str, str]:
    return {
        **oidc_provider.environment(),
        **resource("notes", NOTES, "Notes"),
        **public_client("notebook", REDIRECT_URI, "Notebook"),
        "BROKER_DATABASE_URL": postgres.empty_database(),
        "BROKER_MASTER_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode(),
    }


@pytest.fixture(scope="module")
def pair(
    settings: dict[str, str], oidc_provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder, witness = tmp_path_factory.mktemp("replicas"), Witness()
    witness.keep("the master key", settings["BROKER_MASTER_KEY"])
    with pytest.raises(AssertionError, match="mcp-broker migrate"):
        Broker(folder, witness, settings)  # an old schema is refused with the command that mends it
    migrate = subprocess.run(
        [COMMAND, "migrate"], env=environment(folder, settings), capture_output=True, text=True, check=False, timeout=60
    )
    assert migrate.returncode == 0, migrate.stderr
    first = Broker(folder, witness, settings)
    second = Broker(folder, witness, settings, replica_of=first)
    pair = Pair(oidc_provider, first, second, witness)
    yield pair
    for app in pair.apps:
        app.close()
    second.stop()
    first.stop()
    programs = binaries()
    assert programs is not None
    dump = subprocess.run(
        [programs / "pg_dump", "--inserts", settings["BROKER_DATABASE_URL"]],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    witness.check_kept(dump.stdout)


def environment(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """The environment of a command beside a broker."""
    issuer = "http://127.0.0.1:8080"
    return {"PATH": str(COMMAND.parent), "HOME": str(folder), "BROKER_ISSUER": issuer, **settings}


def at_once(app: App, other: App, **form: str) -> list[tuple[int, dict[str, Any]]]:
    """The same token request from many sides at both replicas."""
    with ThreadPoolExecutor(RACERS) as pool:
        asked = [pool.submit((app, other)[n % 2].token, **form) for n in range(RACERS)]
        return [answer.result() for answer in asked]


def test_a_login_begun_at_one_replica_ends_at_the_other(pair: Pair):
    """Architecture section 9: the pending login lives in the store, the browser holds only handles."""
    app = pair.app(pair.second)
    tokens = app.redeem(pair.answer(app))
    assert app.claims(tokens["access_token"])["aud"] == NOTES
    published = [
        httpx2.get(b.origin + "/.well-known/jwks.json", trust_env=False).json() for b in (pair.first, pair.second)
    ]
    assert published[0] == published[1]


def test_a_code_redeemed_at_both_replicas_at_once_is_redeemed_once(pair: Pair):
    """Rule E3 [CVE-2026-47386]."""
    app, other = pair.app(pair.first), pair.app(pair.second)
    code = pair.answer(app)["code"]
    answers = at_once(
        app, other, grant_type="authorization_code", code=code, redirect_uri=REDIRECT_URI, code_verifier=app.verifier
    )
    assert sorted(status for status, _ in answers) == [200] + [400] * (RACERS - 1)
    assert {body["error"] for status, body in answers if status == 400} == {"invalid_grant"}


def test_a_refresh_at_both_replicas_at_once_gives_everybody_the_same_successor(pair: Pair):
    """Rules E6, E7: one rotation; the others are answered within the grace with what it made."""
    app, other = pair.app(pair.first), pair.app(pair.second)
    first = app.redeem(pair.answer(app))
    answers = at_once(app, other, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert {status for status, _ in answers} == {200}
    [successor] = {body["refresh_token"] for _, body in answers}
    assert successor != first["refresh_token"]
    assert other.refresh(successor)[0] == 200


def test_what_one_replica_gave_lives_on_when_it_is_killed(pair: Pair, settings: dict[str, str], tmp_path: Path):
    """Faults survived: kill -9; tokens verify and refresh at the other, and nothing acknowledged is lost."""
    third = Broker(tmp_path, pair.witness, settings, replica_of=pair.first)
    app = pair.app(third)
    tokens = app.redeem(pair.answer(app))
    third.kill()
    survivor = pair.app(pair.second)
    assert survivor.claims(tokens["access_token"])["aud"] == NOTES
    assert survivor.refresh(tokens["refresh_token"])[0] == 200
