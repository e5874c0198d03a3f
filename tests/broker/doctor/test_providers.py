"""Misconfigurations at the identity provider, each on a real server: the doctor finds it and names its mend (rules B4, B5, B7, G16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.broker.doctor.authority import Authority
from tests.broker.doctor.world import CORP, World
from tests.providers import scripted_faults as faulty
from tests.providers.scripted_faults import ABSENT, Answer


@dataclass(frozen=True)
class Seeded:
    """One misconfiguration: how it is made, and the finding that tells it, its mend in words that must be there."""

    make: Callable[[World], None]
    name: str
    status: str
    detail: str
    fix: str


def wrong_secret(world: World) -> None:
    world.idp()
    world.env[CORP + "CLIENT_SECRET"] = "another-secret"


def wrong_client_id(world: World) -> None:
    world.idp()
    world.env[CORP + "CLIENT_ID"] = "somebody-else"


def issuer_with_a_slash_too_many(world: World) -> None:
    world.idp()
    world.env[CORP + "ISSUER"] += "/"


def discovery_absent(world: World) -> None:
    world.idp().faults.answers["discovery"] = faulty.NOT_FOUND


def wrong_realm(world: World) -> None:
    url = world.idp(path="/realms/corp").issuer
    del world.env[CORP + "ISSUER"]
    world.env |= {CORP + "TYPE": "keycloak", CORP + "URL": url.removesuffix("/realms/corp"), CORP + "REALM": "crop"}


def nothing_there(world: World) -> None:
    world.idp()
    world.env[CORP + "ISSUER"] = "http://localhost:9"


def unknown_authority(world: World) -> None:
    world.idp(authority=Authority(world.folder))


def another_authoritys_file(world: World) -> None:
    world.idp(authority=Authority(world.folder))
    world.env[CORP + "CA_FILE"] = str(Authority(world.folder, "Another CA").root)


def ca_file_without_certificates(world: World) -> None:
    world.idp()
    file = world.folder / "ca.pem"
    file.write_text("-----BEGIN NOTHING-----\n")
    world.env[CORP + "CA_FILE"] = str(file)


def clock_an_hour_ahead(world: World) -> None:
    world.idp(clock_ahead=3600)


def clock_an_hour_behind(world: World) -> None:
    world.idp(clock_ahead=-3600)


def no_usable_key(world: World) -> None:
    world.idp().faults.key["use"] = "enc"


def only_a_shared_secret_algorithm(world: World) -> None:
    world.idp().faults.discovery["id_token_signing_alg_values_supported"] = ["HS256"]


def no_pkce(world: World) -> None:
    world.idp().faults.discovery["code_challenge_methods_supported"] = ABSENT


def only_plain_pkce(world: World) -> None:
    world.idp().faults.discovery["code_challenge_methods_supported"] = ["plain"]


def redirect_uri_not_registered(world: World) -> None:
    world.idp().faults.answers["authorize"] = Answer(400, b"<h1>Invalid redirect_uri</h1>", "text/html")


def group_claim_missing(world: World) -> None:
    world.idp().faults.discovery["claims_supported"] = ["sub", "name", "email"]


def unencrypted_endpoint(world: World) -> None:
    world.idp().faults.discovery["token_endpoint"] = "http://idp.example.com/token"


def not_json(world: World) -> None:
    world.idp().faults.answers["discovery"] = faulty.HTML


def no_refresh_tokens(world: World) -> None:
    world.idp().faults.discovery["grant_types_supported"] = ["authorization_code"]


def scopes_without_offline_access(world: World) -> None:
    world.idp()
    world.env[CORP + "SCOPES"] = "openid,profile,email"


def entra_that_nobody_reaches(world: World) -> None:
    world.idp()
    del world.env[CORP + "ISSUER"]
    world.env |= {CORP + "TYPE": "entra", CORP + "TENANT": "common", CORP + "AUTHORITY": "http://localhost:9"}
    world.env[CORP + "GRAPH_URL"] = "http://localhost:9"
    world.env[CORP + "ALLOW_ANYONE"] = "true"


def method_without_its_key(world: World) -> None:
    world.idp()
    world.env[CORP + "AUTH_METHOD"] = "private_key_jwt"


SEEDED = {
    make.__name__: Seeded(make, name, status, detail, fix)
    for make, name, status, detail, fix in (
        (wrong_secret, "corp: client id and secret", "FAIL", "refused", CORP + "CLIENT_SECRET"),
        (wrong_client_id, "corp: client id and secret", "FAIL", "refused", CORP + "CLIENT_ID"),
        (issuer_with_a_slash_too_many, "corp: issuer", "FAIL", "the document says", CORP + "ISSUER"),
        (discovery_absent, "corp: discovery", "FAIL", "discovery_status", CORP + "ISSUER"),
        (wrong_realm, "corp: discovery", "FAIL", "/realms/crop/", CORP + "ISSUER"),
        (scopes_without_offline_access, "corp: refresh tokens", "WARN", "not asked for", CORP + "SCOPES"),
        (nothing_there, "corp: discovery", "FAIL", "unreachable", CORP + "ISSUER"),
        (unknown_authority, "corp: TLS", "FAIL", "the system's roots", CORP + "CA_FILE"),
        (another_authoritys_file, "corp: TLS", "FAIL", "Another-CA.pem", CORP + "CA_FILE"),
        (ca_file_without_certificates, "corp: settings", "FAIL", "CA_FILE", CORP + "CA_FILE"),
        (clock_an_hour_ahead, "corp: clock", "FAIL", "behind the provider's", "NTP"),
        (clock_an_hour_behind, "corp: clock", "FAIL", "ahead of the provider's", "NTP"),
        (no_usable_key, "corp: keys", "FAIL", "no key", "RSA"),
        (only_a_shared_secret_algorithm, "corp: algorithms", "FAIL", "none that we accept", "RS256"),
        (no_pkce, "corp: PKCE", "WARN", "S256", "enable PKCE"),
        (only_plain_pkce, "corp: PKCE", "WARN", "S256", "enable PKCE"),
        (redirect_uri_not_registered, "corp: redirect URI", "FAIL", "refused", "/callback/corp"),
        (group_claim_missing, "corp: groups", "WARN", "groups", "GROUPS_CLAIM"),
        (unencrypted_endpoint, "corp: endpoints", "FAIL", "unsafe", "https"),
        (no_refresh_tokens, "corp: refresh tokens", "WARN", "gives none", "the grant refresh_token"),
        (entra_that_nobody_reaches, "corp: discovery", "FAIL", "unreachable", CORP + "TENANT"),
        (method_without_its_key, "settings", "FAIL", "private_key_jwt needs a PRIVATE_KEY", CORP + "PRIVATE_KEY_FILE"),
        (not_json, "corp: discovery", "FAIL", "not_json", CORP + "ISSUER"),
    )
}


@pytest.mark.parametrize("seeded", SEEDED.values(), ids=SEEDED.keys())
def test_a_misconfiguration_is_found_and_its_mend_named(world: World, seeded: Seeded) -> None:
    """Each is the finding itself, not something that follows from it."""
    seeded.make(world)

    found = world.finding(seeded.name, status=2 if seeded.name == "settings" else None)  # 2: they do not load

    assert found["status"] == seeded.status, found
    assert seeded.detail in found["detail"], found
    assert seeded.fix in found["fix"], found


def test_there_are_at_least_twenty() -> None:
    """Each with what to set, by its whole name, or what to change in the provider's console."""
    assert len(SEEDED) >= 20
    assert all(seeded.name and seeded.detail and seeded.fix for seeded in SEEDED.values())


def test_a_good_provider_has_no_failing_finding(world: World) -> None:
    """The same world without any seeded fault: nothing that is right is called wrong."""
    idp = world.idp()
    idp.faults.discovery["claims_supported"] = ["sub", "groups"]
    findings = [f for f in world.examine() if f["name"].startswith("corp: ")]

    assert not [f for f in findings if f["status"] == "FAIL"], findings
    assert {"corp: client id and secret", "corp: redirect URI", "corp: clock", "corp: keys"} <= {
        f["name"] for f in findings if f["status"] == "OK"
    } | {"corp: redirect URI"}


def test_scopes_without_openid_are_completed_and_so_no_finding(world: World) -> None:
    """OpenID Connect Core section 3.1.2.1: without it there would be no ID token, so it is asked for whatever SCOPES says."""
    idp = world.idp()
    world.env[CORP + "SCOPES"] = "profile,email,offline_access"

    findings = [f for f in world.examine() if f["name"].startswith("corp: ")]

    assert not [f for f in findings if "openid" in f["detail"] + f["fix"] and f["status"] != "OK"]
    asked = {word for call in idp.calls("authorize") for word in call.params.get("scope", "").split()}
    assert "openid" in asked


def test_the_redirect_uri_to_register_is_spelled_out(world: World) -> None:
    world.idp()

    found = world.finding("corp: redirect URI")

    assert f"{world.env['BROKER_ISSUER']}/callback/corp" in found["detail"] + found["fix"]


def test_a_provider_behind_a_ca_of_its_own_is_good_with_its_file(world: World) -> None:
    authority = Authority(world.folder)
    world.idp(authority=authority)
    world.env[CORP + "CA_FILE"] = str(authority.root)

    assert world.finding("corp: TLS")["status"] == "OK"


def test_one_that_hangs_holds_up_no_other(world: World) -> None:
    """Rule B7: each has its own time-out, side by side."""
    world.idp()
    slow = World(world.terminal, world.folder, world.stack)
    before = dict(world.env)
    hanging = slow.idp()
    hanging.faults.delay["discovery"] = 30
    named = {name.replace("__CORP__", "__SLOW__"): value for name, value in world.env.items() if "__CORP__" in name}
    world.env |= before | named | {"BROKER_PROVIDERS__SLOW__TIMEOUT": "1s"}

    findings = {f["name"]: f for f in world.examine()}

    assert findings["corp: discovery"]["status"] == "OK"
    assert findings["slow: discovery"]["status"] == "FAIL"
    assert "timeout" in findings["slow: discovery"]["detail"]


def test_only_the_provider_named_is_examined(world: World) -> None:
    world.idp()
    world.env |= {name.replace("__CORP__", "__OTHER__"): v for name, v in world.env.items() if "__CORP__" in name}

    findings = world.examine("--provider", "other")

    assert any(f["name"].startswith("other: ") for f in findings)
    assert not any(f["name"].startswith("corp: ") for f in findings)
    assert "there is corp, other" in world.terminal.refused("doctor", "--provider", "nobody", status=2)
