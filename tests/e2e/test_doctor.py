"""The doctor at real identity providers: what is right is called right, and each seeded fault is found with its mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.broker.cli.terminal import make_terminal
from tests.broker.doctor.world import Finding, World
from tests.e2e.identity_providers import KEYCLOAK_START, IdentityProvider
from tests.e2e.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(KEYCLOAK_START + 120)]


@pytest.fixture(params=["oidc_provider", "keycloak"])
def idp(request: pytest.FixtureRequest) -> IdentityProvider:
    """Each of them in turn."""
    provider: IdentityProvider = request.getfixturevalue(request.param)
    return provider


@pytest.fixture
def world(idp: IdentityProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A broker that is set up as it should be; it need not run."""
    world = World(make_terminal(tmp_path, monkeypatch), tmp_path)
    world.env |= {"BROKER_ISSUER": f"http://127.0.0.1:{free_port()}", **idp.environment()}
    return world


def findings(world: World, idp: IdentityProvider) -> dict[str, Finding]:
    """Return the provider's findings by the name of what was looked at."""
    prefix = f"{idp.type}: "
    return {f["name"].removeprefix(prefix): f for f in world.examine() if f["name"].startswith(prefix)}


def test_a_good_set_up_is_good(world: World, idp: IdentityProvider):
    """Secret and redirect URI included: nobody has to sign in to know. Keycloak sends no date to compare the clock with."""
    found = findings(world, idp)

    looked_at = ("discovery", "issuer", "keys", "algorithms", "PKCE", "client id and secret", "redirect URI")
    assert {name: found[name]["status"] for name in looked_at} == dict.fromkeys(looked_at, "OK")
    assert not [f for f in found.values() if f["status"] == "FAIL"]


def test_a_wrong_secret_is_found(world: World, idp: IdentityProvider):
    """Keycloak says 401 `unauthorized_client` to it."""
    prefix = f"BROKER_PROVIDERS__{idp.type.upper()}__"
    world.env[prefix + "CLIENT_SECRET"] = "not-the-secret-at-all-but-long-enough"

    found = findings(world, idp)["client id and secret"]

    assert found["status"] == "FAIL"
    assert prefix + "CLIENT_SECRET" in found["fix"]


def test_a_redirect_uri_that_is_not_registered_is_found(world: World, idp: IdentityProvider):
    world.env["BROKER_ISSUER"] = f"http://localhost:{free_port()}"

    found = findings(world, idp)["redirect URI"]

    assert found["status"] == "FAIL"
    assert f"{world.env['BROKER_ISSUER']}/callback/{idp.type}" in found["fix"]


def test_a_wrong_issuer_is_found(world: World, idp: IdentityProvider):
    """One slash, or a realm that is not there."""
    name = f"BROKER_PROVIDERS__{idp.type.upper()}__ISSUER"
    right = world.env[name]
    world.env[name] = right + "/"
    assert findings(world, idp)["issuer"]["status"] == "FAIL"

    world.env[name] = right + "/nowhere"
    found = findings(world, idp)["discovery"]
    assert found["status"] == "FAIL"
    assert found["fix"]
