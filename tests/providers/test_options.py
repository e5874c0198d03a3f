"""The settings of the OpenID types, and the types themselves."""

from __future__ import annotations

from typing import Any

import pytest

from providers import generic, keycloak
from providers.base import Fault, Groups, ProviderSettings, ProviderSettingsError
from providers.discovery import discovery_url
from providers.options import Preset, faults, read_options
from tests.providers import scripted_faults as faulty
from tests.providers.case import open_case
from tests.providers.scripted_faults import ABSENT


def settings(options: dict[str, str] | None = None, **changes: Any) -> ProviderSettings:
    """Return settings that are good."""
    fitting: dict[str, Any] = {
        "id": "idp",
        "type": "oidc",
        "display_name": "IdP",
        "issuer": "https://idp.example.test",
        "client_id": "broker",
        "client_secret": "secret-of-the-broker",
    }
    return ProviderSettings(**{**fitting, "options": options or {}, **changes})


def test_good_settings_have_no_fault() -> None:
    """Empty options are options left out."""
    assert faults(settings()) == ()
    assert faults(settings(dict.fromkeys(generic.TYPE.options, ""))) == ()


@pytest.mark.parametrize(
    ("changes", "options", "named"),
    [
        ({"issuer": "http://idp.example.test"}, {}, "ISSUER"),
        ({"issuer": "http://127.0.0.1:1"}, {}, "ISSUER"),
        ({"issuer": "https://idp.example.test?a=b"}, {}, "ISSUER"),
        ({"issuer": ""}, {}, "ISSUER"),
        ({"client_id": ""}, {}, "CLIENT_ID"),
        ({"client_secret": ""}, {}, "CLIENT_SECRET"),
        ({"scopes": ("openid", 'a"b')}, {}, "SCOPES"),
        ({"scopes": ("open id",)}, {}, "SCOPES"),
        ({}, {"groups_claim": "a..b"}, "GROUPS_CLAIM"),
        ({}, {"roles_claim": "[1]"}, "ROLES_CLAIM"),
        ({}, {"auth_method": "private_key_jwt"}, "AUTH_METHOD"),
        ({"client_secret": None}, {"auth_method": "client_secret_post"}, "AUTH_METHOD"),
        ({}, {"userinfo": "yes"}, "USERINFO"),
        ({}, {"require_iss": "no"}, "REQUIRE_ISS"),
        ({}, {"discovery_url": "http://idp.example.test/"}, "DISCOVERY_URL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(changes: dict[str, Any], options: dict[str, str], named: str) -> None:
    """Security rule G16: unsafe or unreadable settings do not start, and say which they are."""
    (sentence,) = faults(settings(options, **changes))
    assert sentence.startswith(named)
    with pytest.raises(ProviderSettingsError, match=f"provider idp: {named}"):
        read_options(Preset(), settings(options, **changes))


def test_every_fault_is_told_at_once_and_no_value_with_it() -> None:
    """Security rule B13."""
    bad = settings({"userinfo": "v-1", "auth_method": "v-2"}, issuer="http://v-3.example", client_secret="v-4")
    with pytest.raises(ProviderSettingsError) as caught:
        read_options(Preset(), bad)
    assert all(name in str(caught.value) for name in ("USERINFO", "AUTH_METHOD", "ISSUER"))
    assert "v-" not in str(caught.value)


def test_options_stand_over_the_preset() -> None:
    """A type is data, and settings change it."""
    preset = Preset(scopes=("openid", "x"), groups=("g",), roles=lambda _: (("r",),))
    plain = read_options(preset, settings())
    assert (plain.scopes, plain.groups, plain.roles, plain.userinfo, plain.require_iss) == (
        ("openid", "x"),
        ("g",),
        (("r",),),
        "auto",
        None,
    )
    given = {"groups_claim": "a.b", "roles_claim": '["c.d"]', "userinfo": "never", "require_iss": "false"}
    changed = read_options(preset, settings(given, scopes=("profile",)))
    assert (changed.scopes, changed.groups, changed.roles) == (("openid", "profile"), ("a", "b"), (("c.d",),))
    assert (changed.userinfo, changed.require_iss) == ("never", False)


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/a/", "https://idp.example/a/.well-known/openid-configuration"),
    ],
)
def test_discovery_is_under_the_issuer(issuer: str, url: str) -> None:
    """OpenID Connect Discovery section 4.1: a terminating slash is removed first."""
    assert discovery_url(settings(issuer=issuer)) == url


async def test_an_issuer_that_ends_in_a_slash_is_compared_with_it() -> None:
    """Security rule B7: byte for byte, as Auth0 and Authentik need it."""
    async with open_case("oidc", idp={"issuer": "https://idp.example.test/app/"}) as case:
        assert (await case.sign_in()).issuer == "https://idp.example.test/app/"
        case.idp.faults.discovery["issuer"] = "https://idp.example.test/app"
        case.clock.value += 3600
        assert (await case.sign_in()).issuer == "https://idp.example.test/app/"


async def test_metadata_may_live_elsewhere_than_the_issuer() -> None:
    """Split DNS: the issuer stays what browsers see, exactly."""
    path = "/auth/realms/acme/.well-known/openid-configuration"
    async with open_case("keycloak", options={"discovery_url": f"https://kc.internal{path}"}) as case:
        assert (await case.sign_in()).issuer == "https://kc.example.test/auth/realms/acme"
        assert case.idp.calls("discovery")[0].headers["host"] == "kc.internal"


@pytest.mark.parametrize(
    ("offered", "configured", "in_header"),
    [
        (["client_secret_basic", "client_secret_post"], "", True),
        (["client_secret_post"], "", False),
        (ABSENT, "", True),
        (["client_secret_basic"], "client_secret_post", False),
        (["private_key_jwt"], "client_secret_basic", True),
    ],
)
async def test_the_secret_is_presented_as_metadata_or_settings_say(
    offered: Any,
    configured: str,
    in_header: bool,  # noqa: FBT001 - a table
) -> None:
    """RFC 6749 section 2.3.1: one way at a time, which the scripted provider insists on."""
    async with open_case("oidc", options={"auth_method": configured}) as case:
        case.idp.faults.discovery["token_endpoint_auth_methods_supported"] = offered
        await case.sign_in()
        call = case.idp.calls("token")[0]
        assert ("authorization" in call.headers, "client_secret" in call.params) == (in_header, not in_header)


async def test_an_id_with_odd_characters_survives_basic_credentials() -> None:
    """RFC 6749 section 2.3.1: form-encoded first, so that a colon in the id does not end it."""
    async with open_case("oidc", idp={"client_id": "https://broker.example:8443/%41 +"}) as case:
        assert (await case.sign_in()).subject == "u-alice"


async def test_a_provider_that_takes_no_secret_from_us_is_our_operators_matter() -> None:
    """No weaker way is tried."""
    async with open_case("oidc") as case:
        case.idp.faults.discovery["token_endpoint_auth_methods_supported"] = ["private_key_jwt", 7]
        await case.is_refused("auth_method", Fault.OPERATOR)
        assert not case.idp.calls("token")


async def test_a_public_client_presents_its_id_alone() -> None:
    """RFC 6749 section 3.2.1."""
    async with open_case("oidc", idp={"client_secret": None}) as case:
        assert (await case.sign_in()).subject == "u-alice"


async def test_userinfo_can_be_asked_always_or_never() -> None:
    """Setting USERINFO."""
    async with open_case("oidc", options={"userinfo": "never"}) as case:
        case.idp.faults.thin_id_token = True
        assert (await case.sign_in()).groups == Groups.unknown("claim_absent")
        assert not case.idp.calls("userinfo")
    async with open_case("oidc", options={"userinfo": "always"}) as case:
        await case.sign_in()
        assert len(case.idp.calls("userinfo")) == 1
        case.idp.faults.answers["userinfo"] = faulty.FORBIDDEN
        await case.is_refused("userinfo_refused", Fault.OPERATOR)
        case.idp.faults.discovery["userinfo_endpoint"] = ABSENT
        case.clock.value += 3600
        await case.is_refused("userinfo_absent", Fault.OPERATOR)


async def test_without_a_userinfo_endpoint_nothing_is_asked() -> None:
    """OpenID Connect Discovery section 3: the endpoint is recommended, not required."""
    async with open_case("oidc") as case:
        case.idp.faults.thin_id_token = True
        case.idp.faults.discovery["userinfo_endpoint"] = ABSENT
        assert (await case.sign_in()).groups == Groups.unknown("claim_absent")


async def test_the_callbacks_issuer_can_be_required_or_excused() -> None:
    """Security rule B1: Keycloak can be told to leave `iss` out; a wrong one is refused all the same."""
    async with open_case("keycloak", options={"require_iss": "false"}) as case:
        case.idp.faults.callback["iss"] = ABSENT
        assert (await case.sign_in()).subject == "u-alice"
        case.idp.faults.callback["error"] = "access_denied"
        await case.is_refused("access_denied", Fault.DENIED)
        case.idp.faults.callback["iss"] = "https://evil.example"
        await case.is_refused("callback_issuer")
    async with open_case("oidc", options={"require_iss": "true"}) as case:
        case.idp.faults.callback["iss"] = ABSENT
        case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = False
        await case.is_refused("callback_issuer_absent")


@pytest.mark.parametrize(
    ("options", "issuer"),
    [
        ({"url": "https://kc.example", "realm": "acme"}, "https://kc.example/realms/acme"),
        ({"url": "https://kc.example/auth/", "realm": "a b/c"}, "https://kc.example/auth/realms/a%20b%2Fc"),
        ({"url": "https://kc.example"}, None),
        ({"realm": "acme"}, None),
        ({"url": "", "realm": "acme"}, None),
        ({}, None),
    ],
)
def test_a_keycloak_issuer_comes_from_url_and_realm(options: dict[str, str], issuer: str | None) -> None:
    """Architecture, section 7: KEYCLOAK_URL and KEYCLOAK_REALM."""
    assert keycloak.issuer_from(options) == issuer


async def test_keycloak_roles_are_of_the_realm_and_of_this_client() -> None:
    """Once their mappers put them there; another client's roles are not ours."""
    async with open_case("keycloak", idp={"client_id": "my.broker"}) as case:
        case.idp.faults.claims |= {
            "realm_access": {"roles": ["offline_access", "engineer"]},
            "resource_access": {"my.broker": {"roles": ["deployer"]}, "account": {"roles": ["manage-account"]}},
        }
        assert (await case.sign_in()).attributes == {"role": ("offline_access", "engineer", "deployer")}
        case.idp.faults.claims.clear()
        assert (await case.sign_in()).attributes == {}


async def test_roles_of_any_provider_are_where_the_settings_say() -> None:
    """Setting ROLES_CLAIM."""
    async with open_case("oidc", options={"roles_claim": "https://acme.example/roles"}) as case:
        case.idp.faults.claims["https://acme.example/roles"] = ["a"]
        assert (await case.sign_in()).attributes == {"role": ("a",)}
    async with open_case("oidc") as case:
        case.idp.faults.claims["roles"] = ["a"]
        assert (await case.sign_in()).attributes == {}
