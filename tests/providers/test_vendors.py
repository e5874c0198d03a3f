"""Okta, Auth0, GitLab, authentik, Cognito, PingFederate and Dex as they really answer (facts, section 1.5): what differs from the core."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers import auth0, cognito
from providers.base import Diagnoses, EndsSession, Fault, Groups, ProviderSettings, RevokesTokens, Verdict
from providers.discovery import Metadata
from providers.registry import provider_types
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI, Case, open_case, upstream_request
from tests.providers.kinds import KINDS
from tests.providers.scripted_faults import ABSENT

HOME = "https://broker.example.test/logged-out"


async def asked(case: Case, **changes: Any) -> dict[str, str]:
    """Return the parameters of an authorization request."""
    url = await case.provider.authorization_url(upstream_request(**changes))
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def logout(case: Case, *, signed_in: bool = True) -> tuple[str, dict[str, str]]:
    """Return where a session is ended, and with what."""
    assert isinstance(case.provider, EndsSession)
    identity = await case.sign_in()
    url = await case.provider.logout_url(identity.tokens if signed_in else None, return_to=HOME)
    assert url is not None
    place, _, query = url.partition("?")
    return place, {name: values[0] for name, values in parse_qs(query).items()}


@pytest.mark.parametrize(
    ("kind", "offered", "scopes"),
    [
        (
            "okta",
            ["openid", "profile", "email", "offline_access", "groups"],
            "openid profile email offline_access groups",
        ),
        ("okta", ["openid", "profile", "email", "offline_access"], "openid profile email offline_access"),
        (
            "dex",
            ["openid", "email", "groups", "profile", "offline_access"],
            "openid profile email offline_access groups",
        ),
        ("authentik", ["openid", "email", "profile", "offline_access"], "openid profile email offline_access"),
        ("auth0", ["openid", "profile", "offline_access", "email"], "openid profile email offline_access"),
        ("pingfederate", ["openid", "profile", "email"], "openid profile email"),
        ("gitlab", ["openid", "profile", "email", "offline_access", "groups"], "openid profile email"),
        ("cognito", ["openid", "email", "phone", "profile"], "openid profile email"),
        ("oidc", ABSENT, "openid profile email"),
        ("oidc", ["openid", "groups", 7], "openid profile email groups"),
    ],
)
async def test_scopes_are_asked_where_they_are_offered(kind: str, offered: Any, scopes: str) -> None:
    """A scope that the server does not know would end every login."""
    async with open_case(kind) as case:
        case.idp.faults.discovery["scopes_supported"] = offered
        assert (await asked(case))["scope"] == scopes


async def test_a_session_ends_with_the_id_token_as_its_name() -> None:
    """RP-Initiated Logout section 2; without it the provider asks the person."""
    async with open_case("keycloak") as case:
        _, sent = await logout(case)
        assert set(sent) == {"client_id", "post_logout_redirect_uri", "id_token_hint"}
        assert sent["post_logout_redirect_uri"] == HOME


async def test_okta_has_no_session_that_the_broker_could_end() -> None:
    """Security rule B13: Okta answers 400 without an ID token, which no answer of ours may hold. Its tokens are taken back all the same."""
    async with open_case("okta") as case:
        assert not isinstance(case.provider, EndsSession)
        assert isinstance(case.provider, RevokesTokens)
        assert not hasattr(case.provider, "logout_url")


async def test_an_oversized_id_token_names_no_session() -> None:
    """Hundreds of groups make a URL that nobody takes; the provider asks the person instead."""
    async with open_case("keycloak") as case:
        case.idp.faults.claims["groups"] = [f"/group-{n}" for n in range(500)]
        _, sent = await logout(case)
        assert set(sent) == {"client_id", "post_logout_redirect_uri"}


async def test_a_logout_endpoints_own_query_stays() -> None:
    """RFC 6749 section 3.1, by analogy."""
    async with open_case("oidc") as case:
        case.idp.faults.discovery["end_session_endpoint"] = f"{case.idp.issuer}/logout?tenant=a"
        identity = await case.sign_in()
        assert isinstance(case.provider, EndsSession)
        url = await case.provider.logout_url(identity.tokens, return_to=HOME)
        assert url is not None
        assert url.startswith(f"{case.idp.issuer}/logout?tenant=a&client_id=broker&")


@pytest.mark.parametrize("endpoint", [ABSENT, "javascript:alert(1)", "http://idp.example.test/logout"])
@pytest.mark.parametrize("kind", ["oidc", "keycloak", "authentik", "pingfederate"])
async def test_without_a_safe_place_a_session_is_not_ended(kind: str, endpoint: Any) -> None:
    """Security rule B7: no browser is sent anywhere unsafe."""
    async with open_case(kind) as case:
        case.idp.faults.discovery["end_session_endpoint"] = endpoint
        assert isinstance(case.provider, EndsSession)
        assert await case.provider.logout_url(None, return_to=HOME) is None


async def test_auth0_ends_a_session_though_its_metadata_does_not_say_where() -> None:
    """A tenant may keep the endpoint out of its discovery document."""
    async with open_case("auth0") as case:
        case.idp.faults.discovery["end_session_endpoint"] = ABSENT
        place, sent = await logout(case)
        assert place == "https://acme.eu.auth0.com/oidc/logout"
        assert sent["post_logout_redirect_uri"] == HOME


@pytest.mark.parametrize(
    ("endpoint", "authorize", "place"),
    [
        (ABSENT, "https://acme.auth.eu-west-1.amazoncognito.com/oauth2/authorize", "https://acme.auth.eu-west-1.amazoncognito.com/logout"),
        ("https://login.example.com/logout", "https://login.example.com/oauth2/authorize", "https://login.example.com/logout"),
    ],
)  # fmt: skip
async def test_cognito_ends_a_session_in_its_own_words(endpoint: Any, authorize: str, place: str) -> None:
    """`/logout` on the pool's domain with `client_id` and `logout_uri`; an ID token in the URL would help nobody."""
    async with open_case("cognito") as case:
        case.idp.faults.discovery |= {"end_session_endpoint": endpoint, "authorization_endpoint": authorize}
        assert isinstance(case.provider, EndsSession)
        url = await case.provider.logout_url(None, return_to=HOME)
        assert url is not None
        assert url.partition("?")[0] == place
        assert parse_qs(urlsplit(url).query) == {"client_id": ["broker"], "logout_uri": [HOME]}
    async with open_case("cognito") as case:
        _, sent = await logout(case)
        assert "id_token_hint" not in sent
        case.idp.faults.discovery["end_session_endpoint"] = ABSENT
        case.clock.value += 3600
        assert isinstance(case.provider, EndsSession)
        assert await case.provider.logout_url(None, return_to=HOME) is None


async def test_cognito_groups_and_booleans_as_text() -> None:
    """`cognito:groups` in the ID token, `email_verified` as text in UserInfo; the endpoints are on another host than the issuer."""
    async with open_case("cognito", options={}) as case:
        host = "https://acme.auth.eu-west-1.amazoncognito.com"
        case.idp.faults.discovery |= {
            name: f"{host}{urlsplit(case.idp.issuer).path}/{path}"
            for name, path in (("token_endpoint", "token"), ("userinfo_endpoint", "userinfo"))
        }
        case.idp.faults.claims |= {"cognito:groups": ["eng"], "token_use": "id", "email": ABSENT, "groups": ABSENT}
        case.idp.faults.userinfo |= {"email_verified": "true", "token_use": ABSENT}
        identity = await case.sign_in()
        assert identity.groups == Groups.known(("eng",))
        assert (identity.email, identity.email_verified) == ("alice@example.com", True)
        assert case.idp.calls("token")[0].headers["host"] == "acme.auth.eu-west-1.amazoncognito.com"


async def test_somebody_in_no_group_of_cognitos_has_unknown_groups() -> None:
    """Architecture, section 5: the claim is left out, and an absent claim is not an empty list."""
    async with open_case("cognito", options={}) as case:
        assert (await case.sign_in()).groups == Groups.unknown("claim_absent")


@pytest.mark.parametrize("token_use", ["access", 7, ""])
async def test_a_cognito_token_for_another_use_is_refused(token_use: Any) -> None:
    """Security rule B5: it says itself what it is for."""
    async with open_case("cognito") as case:
        case.idp.faults.claims["token_use"] = token_use
        await case.is_refused("token_use")


async def test_a_cognito_refresh_gives_no_refresh_token() -> None:
    """Unless rotation is on; the old one stays, and the ID token comes anew."""
    async with open_case("cognito") as case:
        before = await case.sign_in()
        case.idp.faults.rotation = False
        after = await case.refresh(before)
        assert before.tokens is not None
        assert after.tokens is not None
        assert after.tokens.refresh_token == before.tokens.refresh_token
        assert after.tokens.id_token != before.tokens.id_token


def test_cognitos_logout_needs_an_authorization_endpoint_of_the_known_shape() -> None:
    """Nothing is guessed."""
    assert cognito.logout_endpoint(metadata("https://login.example.com/authorize"), settings("cognito")) is None


def settings(kind: str) -> ProviderSettings:
    """Return settings of a type that are good."""
    return ProviderSettings(id=kind, type=kind, display_name=kind, issuer=KINDS[kind].issuer, client_id="broker")


def metadata(authorization_endpoint: str) -> Metadata:
    """Return metadata with this authorization endpoint."""
    return Metadata(
        authorization_endpoint=authorization_endpoint,
        token_endpoint="https://x.example/token",
        jwks_uri="https://x.example/jwks",
        userinfo_endpoint=None,
        algorithms=frozenset({"RS256"}),
        auth_methods=(),
        iss_in_response=False,
    )


def test_an_auth0_issuer_without_its_slash_is_named() -> None:
    """Security rule B7: it would fail at the first login otherwise."""
    (sentence,) = auth0.TYPE.faults(dataclasses.replace(settings("auth0"), issuer="https://acme.eu.auth0.com"))
    assert sentence.startswith("ISSUER must end with a slash")


@pytest.mark.parametrize(
    ("wanted", "claims", "welcome"),
    [
        ("org_abc", {"org_id": "org_abc"}, True),
        ("org_abc", {"org_id": "org_xyz"}, False),
        ("org_abc", {"org_id": ABSENT}, False),
        ("org_abc", {"org_name": "org_abc"}, False),
        ("Acme", {"org_id": "org_abc", "org_name": "acme"}, True),
        ("acme", {"org_id": "org_abc", "org_name": "acme-labs"}, False),
        ("acme", {"org_id": "acme"}, False),
    ],
)
async def test_an_auth0_organization_is_asked_and_checked(wanted: str, claims: dict[str, Any], welcome: bool) -> None:  # noqa: FBT001 - a table
    """The parameter alone proves nothing: whoever edits the URL leaves it out."""
    async with open_case("auth0", options={"organization": wanted}) as case:
        assert (await asked(case))["organization"] == wanted
        case.idp.faults.claims |= claims
        if welcome:
            found = (await case.sign_in()).attributes["organization"]
            assert claims["org_id"] in found
        else:
            await case.is_refused("organization", Fault.DENIED)


async def test_without_an_organization_none_is_asked_for() -> None:
    """Setting ORGANIZATION."""
    async with open_case("auth0") as case:
        assert "organization" not in await asked(case)
        assert (await case.sign_in()).attributes == {}


async def test_namespaced_claims_of_auth0_are_named_by_their_url() -> None:
    """An Action adds them; a URL is one name, dots and all."""
    options = {"groups_claim": "https://acme.example/groups", "roles_claim": "https://acme.example/roles"}
    async with open_case("auth0", options=options) as case:
        case.idp.faults.claims |= {"https://acme.example/groups": ["eng"], "https://acme.example/roles": ["admin"]}
        identity = await case.sign_in()
        assert identity.groups == Groups.known(("eng",))
        assert identity.attributes["role"] == ("admin",)


async def test_gitlab_names_all_groups_in_userinfo_and_the_direct_ones_in_the_id_token() -> None:
    """`groups_direct` is not all: UserInfo is asked, by its whole paths."""
    async with open_case("gitlab") as case:
        case.idp.faults.claims |= {"groups_direct": ["acme/eng"], "groups": ABSENT, "sub": "4711", "acr": ABSENT}
        case.idp.faults.userinfo |= {"groups": ["acme", "acme/eng"], "sub": "4711"}
        identity = await case.sign_in()
        assert (identity.subject, identity.groups) == ("4711", Groups.known(("acme", "acme/eng")))


async def test_a_gitlab_refresh_token_serves_once() -> None:
    """Security rule B14: the second replica to use it is refused."""
    async with open_case("gitlab") as case:
        before = await case.sign_in()
        await case.refresh(before)
        assert (await case.no_refresh(before)).fault is Fault.PERMANENT


async def test_a_thin_id_token_of_oktas_is_filled_by_userinfo() -> None:
    """The code flow may leave groups and e-mail to UserInfo."""
    async with open_case("okta") as case:
        case.idp.faults.thin_id_token = True
        case.idp.faults.claims["sub"] = case.idp.faults.userinfo["sub"] = "00u1ab2cd3EF4gh5i6"
        identity = await case.sign_in()
        assert identity.groups == Groups.known(("/eng", "/eng/platform"))


async def test_pingfederates_header_and_algorithms_are_of_no_consequence() -> None:
    """Security rule B5: `pi.atm` is ignored, `none` and HMAC are never accepted though the metadata lists them."""
    async with open_case("pingfederate") as case:
        case.idp.faults.header["pi.atm"] = "k1"
        case.idp.faults.discovery["id_token_signing_alg_values_supported"] = ["none", "HS256", "RS256"]
        assert (await case.sign_in()).subject == "u-alice"
        case.idp.faults.alg = "none"
        await case.is_refused("token_algorithm")


async def test_a_dex_subject_is_taken_as_it_is() -> None:
    """Base64 of connector and user: opaque, compared whole."""
    async with open_case("dex") as case:
        sub = "CgcyMzQyNzQ5EgZnaXRodWI"
        case.idp.faults.claims |= {"sub": sub, "federated_claims": {"connector_id": "github", "user_id": "2342749"}}
        assert (await case.sign_in()).subject == sub


async def test_a_dead_refresh_token_of_dex_is_called_an_invalid_request() -> None:
    """Where RFC 6749 section 5.2 says `invalid_grant`; taken for our own mistake, it would end nobody's grant."""
    async with open_case("dex") as case:
        before = await case.sign_in()
        case.idp.faults.answers["refresh"] = faulty.error(400, "invalid_request", text="Refresh token expired.")
        error = await case.no_refresh(before)
        assert (error.fault, error.reason) == (Fault.PERMANENT, "invalid_grant")
        case.idp.faults.answers["refresh"] = faulty.error(500, "invalid_request", text="")  # its connector is away
        assert (await case.no_refresh(before)).fault is Fault.TRANSIENT
        case.idp.faults.answers["refresh"] = faulty.error(401, "invalid_client")
        assert (await case.no_refresh(before)).fault is Fault.OPERATOR


async def test_an_authentik_issuer_keeps_its_slash() -> None:
    """Security rule B7: the application's own issuer, byte for byte."""
    async with open_case("authentik") as case:
        assert (await case.sign_in()).issuer == "https://auth.example.test/application/o/broker/"
        assert case.idp.calls("discovery")[0].endpoint == "discovery"


async def test_lemonldap_may_list_none_and_answer_without_iss() -> None:
    """Security rules B1, B5: type `oidc` with a foreign implementation."""
    async with open_case("oidc") as case:
        case.idp.faults.discovery |= {
            "id_token_signing_alg_values_supported": ["none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512"],
            "authorization_response_iss_parameter_supported": ABSENT,
        }
        case.idp.faults.callback["iss"] = ABSENT
        before = await case.sign_in()
        case.idp.faults.rotation = False
        assert (await case.refresh(before)).subject == "u-alice"


async def test_glewlwyd_sends_iss_unannounced_and_says_invalid_code() -> None:
    """Security rule B1: `token_type: bearer`, `auth_time: 0`, an empty 400 to a refresh token used twice."""
    async with open_case("oidc") as case:
        case.idp.faults.discovery["authorization_response_iss_parameter_supported"] = ABSENT
        case.idp.faults.token["token_type"] = "bearer"
        case.idp.faults.claims |= {"auth_time": 0, "c_hash": "AAAAAAAAAAAAAAAAAAAAAA"}
        before = await case.sign_in()
        assert not before.auth_time_stated
        case.idp.faults.answers["refresh"] = faulty.EMPTY_400
        assert (await case.no_refresh(before)).fault is Fault.PERMANENT
        case.idp.faults.answers["token"] = faulty.error(403, "invalid_code")
        await case.is_refused("invalid_code", Fault.PERMANENT)


async def test_cognitos_error_page_means_an_unknown_redirect_uri() -> None:
    """It redirects to its own page."""
    async with open_case("cognito") as case:
        page = "https://acme.auth.eu-west-1.amazoncognito.com/error?error=redirect_mismatch&client_id=broker"
        case.idp.faults.answers["authorize"] = faulty.Answer(302, headers={"location": page})
        assert isinstance(case.provider, Diagnoses)
        found = {check.name: check for check in await case.provider.check(REDIRECT_URI)}
        assert found["redirect URI"].status is Verdict.FAIL


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_the_consoles_of_each_vendor_are_named(kind: str) -> None:
    """A mend says where it is done; what a vendor has not, is not described."""
    async with open_case(kind) as case:
        console = case.console
        assert all((console.issuer, console.client, console.redirect, console.groups, console.key, console.refresh))
        assert bool(console.logout) == (kind in ("oidc", "keycloak", "auth0", "authentik", "pingfederate"))
        assert provider_types([])[kind].name == kind
