"""Findings from the settings alone, no connection needed (rules G2, G16)."""

from __future__ import annotations

import json

import pytest

from tests.broker.doctor.world import SECRET, World
from tests.e2e.processes import free_port

GITHUB = {"GITHUB_CLIENT_ID": "x", "GITHUB_CLIENT_SECRET": SECRET}


@pytest.mark.parametrize(
    ("settings", "named", "fix"),
    [
        ({"BROKER_ISSUER": "http://auth.example.com"}, "BROKER_ISSUER", "https://auth.example.com"),
        ({"BROKER_ISSUER": "https://auth.example.com/"}, "BROKER_ISSUER", "https://auth.example.com"),
        ({"BROKER_ISSUER": "https://auth.example.com"}, "BROKER_MASTER_KEY", "os.urandom"),
        ({"BROKER_ISUER": "x"}, "BROKER_ISUER", "BROKER_ISSUER"),
        (
            {"OIDC_ISSUER": "http://idp.example.com", "OIDC_CLIENT_ID": "x", "OIDC_CLIENT_SECRET": SECRET},
            "OIDC",
            "https",
        ),
    ],
    ids=["http issuer", "issuer with a slash", "no master key", "misspelled", "http provider"],
)
def test_settings_that_do_not_load_are_findings_with_status_2(
    world: World, settings: dict[str, str], named: str, fix: str
) -> None:
    world.env |= settings

    found = [f for f in world.examine(status=2) if named in f["detail"]]

    assert found, named
    assert {(f["name"], f["status"]) for f in found} == {("settings", "FAIL")}
    assert any(fix in f["fix"] for f in found)
    told = world.terminal.refused("doctor", status=2)
    assert named in told
    assert SECRET not in told


def test_what_is_allowed_and_perhaps_not_meant_is_a_warning_with_its_mend(world: World) -> None:
    world.env |= {"BROKER_ADMIN_BIND": "0.0.0.0:8081", "BROKER_TRUSTED_PROXIES": "0.0.0.0/0"}

    warnings = {f["detail"]: f["fix"] for f in world.examine() if (f["name"], f["status"]) == ("settings", "WARN")}

    fixes = {detail.split()[0]: fix for detail, fix in warnings.items()}
    assert "loopback" in fixes["BROKER_ADMIN_BIND"]
    assert "proxy's own address" in fixes["BROKER_TRUSTED_PROXIES"]
    assert any("deploy/examples" in fix for fix in warnings.values()), "there is no provider"
    assert any("BROKER_RESOURCES" in fix for fix in warnings.values()), "there is no resource"


def unreachable(prefix: str) -> dict[str, str]:
    """Let nothing leave this machine: a proxy that is not there."""
    return {f"{prefix}PROXY": f"http://127.0.0.1:{free_port()}", f"{prefix}TIMEOUT": "2s"}


def test_google_without_hosted_domains_lets_everybody_in(world: World) -> None:
    world.env |= {"GOOGLE_CLIENT_ID": "x", "GOOGLE_CLIENT_SECRET": SECRET, **unreachable("BROKER_PROVIDERS__GOOGLE__")}

    found = world.finding("google: who may sign in")

    assert found["status"] == "WARN"
    assert "BROKER_PROVIDERS__GOOGLE__HOSTED_DOMAINS" in found["fix"]
    world.env["BROKER_PROVIDERS__GOOGLE__HOSTED_DOMAINS"] = "example.com"
    assert not [f for f in world.examine() if f["name"] == "google: who may sign in" and f["status"] != "OK"]


def test_github_without_organisations_lets_everybody_in(world: World) -> None:
    world.env |= {**GITHUB, **unreachable("BROKER_PROVIDERS__GITHUB__")}

    found = world.finding("github: who may sign in")

    assert found["status"] == "WARN"
    assert "BROKER_PROVIDERS__GITHUB__ALLOWED_ORGS" in found["fix"]


@pytest.mark.parametrize("tenant", ["common", "organizations"])
def test_entra_for_everybody_without_a_list_of_tenants_is_found(world: World, tenant: str) -> None:
    world.env |= {
        "ENTRA_TENANT": tenant,
        "ENTRA_CLIENT_ID": "x",
        "ENTRA_CLIENT_SECRET": SECRET,
        **unreachable("BROKER_PROVIDERS__ENTRA__"),
    }

    found = world.finding("entra: who may sign in")

    assert found["status"] == "WARN"
    assert "BROKER_PROVIDERS__ENTRA__ALLOWED_TENANTS" in found["fix"]
    world.env["BROKER_PROVIDERS__ENTRA__ALLOWED_TENANTS"] = "00000000-1111-2222-3333-444444444444"
    assert not [f for f in world.examine() if f["name"] == "entra: who may sign in" and f["status"] != "OK"]


def test_a_rule_over_what_the_provider_never_gives_is_found(world: World) -> None:
    """GitHub has no authentication context: such a rule never holds."""
    rule = {"name": "strong", "provider": "github", "acr": "mfa"}
    world.env |= {**GITHUB, **unreachable("BROKER_PROVIDERS__GITHUB__"), "BROKER_POLICY": json.dumps([rule])}

    found = world.finding("policy rules")

    assert found["status"] == "WARN"
    assert "'strong'" in found["detail"].replace('"', "'")
    assert "Remove the condition" in found["fix"]


def test_every_secret_is_kept_out_of_the_findings(world: World) -> None:
    """Even one that a sentence would repeat: the passwords in URLs, and the client's secret."""
    world.idp()
    world.env |= {
        "BROKER_DATABASE_URL": f"postgresql://broker:{SECRET}@127.0.0.1:{free_port()}/{SECRET}",
        "BROKER_MASTER_KEY": "A" * 43,
        "BROKER_PROVIDERS__CORP__PROXY": f"http://user:{SECRET}@127.0.0.1:{free_port()}",
    }

    assert world.finding("database")["status"] == "FAIL"
    assert SECRET not in world.terminal.run("doctor").output
