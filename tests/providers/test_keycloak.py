"""Keycloak as it really answers (facts, sections 1.1 and 4.3): the exact shapes, and what follows from them."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.base import Fault, Groups, LogoutEvent, VerifiesLogout
from tests.providers import scripted_faults as faulty
from tests.providers.case import START, Case, open_case, upstream_request
from tests.providers.scripted_faults import ABSENT, Answer
from tests.providers.scripted_idp import Person

ENCRYPTION_KEY = {
    "kid": "enc-1",
    "kty": "RSA",
    "alg": "RSA-OAEP",
    "use": "enc",
    "n": "u1SU1LfVLPHCozMxH2Mo",
    "e": "AQAB",
}
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def says(status: int, error: str, text: str) -> Answer:
    """Return an error answer with Keycloak's own words."""
    return faulty.error(status, error, text=text)


async def asked(case: Case, **changes: Any) -> dict[str, str]:
    """Return the parameters of an authorization request."""
    url = await case.provider.authorization_url(upstream_request(**changes))
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def test_offline_access_is_asked_where_the_realm_offers_it() -> None:
    """An SSO session that idles out after half an hour would end every grant."""
    async with open_case("keycloak") as case:
        sent = await asked(case)
        assert sent["scope"] == "openid profile email offline_access"
        assert "prompt" not in sent
        assert case.provider.scopes == ("openid", "profile", "email", "offline_access")
    async with open_case("keycloak") as case:
        case.idp.faults.discovery["scopes_supported"] = ["openid", "profile", "email", "roles"]
        assert (await asked(case))["scope"] == "openid profile email"


async def test_offline_access_can_be_left_out() -> None:
    """Setting OFFLINE_ACCESS, and SCOPES, which is asked as it is written."""
    async with open_case("keycloak", options={"offline_access": "never"}) as case:
        assert (await asked(case))["scope"] == "openid profile email"
    async with open_case("keycloak", scopes=("openid", "roles")) as case:
        assert (await asked(case))["scope"] == "openid roles"


async def test_a_refresh_token_that_expires_in_0_does_not_expire() -> None:
    """The token response of 26.7.4 with `offline_access`, member for member."""
    async with open_case("keycloak") as case:
        case.idp.faults.token |= {
            "refresh_expires_in": 0,
            "not-before-policy": 0,
            "session_state": "548cba50-fe18-4851-9c40-bbe4f9a0edb2",
            "scope": "openid profile email offline_access",
        }
        case.idp.faults.claims |= {"typ": "ID", "acr": "1", "sid": "548cba50-fe18-4851-9c40-bbe4f9a0edb2"}
        identity = await case.sign_in()
        assert (identity.sid, identity.acr) == ("548cba50-fe18-4851-9c40-bbe4f9a0edb2", "1")
        case.clock.value += 900
        assert (await case.refresh(identity)).subject == "u-alice"


@pytest.mark.parametrize(
    ("groups", "read"),
    [
        (["/eng/backend", "/eng"], ("/eng/backend", "/eng")),
        (["backend", "eng"], ("backend", "eng")),
        ([], ()),
    ],
)
async def test_groups_come_as_their_mapper_is_set(groups: list[str], read: tuple[str, ...]) -> None:
    """Full group path on or off: neither is turned into the other, since `/a/eng` and `/b/eng` are two groups."""
    async with open_case("keycloak") as case:
        case.idp.faults.claims["groups"] = groups
        assert (await case.sign_in()).groups == Groups.known(read)


async def test_without_a_groups_mapper_groups_are_unknown() -> None:
    """Architecture, section 5: an absent claim is not an empty list."""
    async with open_case("keycloak") as case:
        case.idp.faults.claims["groups"] = case.idp.faults.userinfo["groups"] = ABSENT
        assert (await case.sign_in()).groups == Groups.unknown("claim_absent")


async def test_roles_that_are_only_in_the_access_token_are_unknown() -> None:
    """The default mappers put `realm_access` there alone, and an access token is not ours to read."""
    async with open_case("keycloak") as case:
        assert "role" not in (await case.sign_in()).attributes


@pytest.mark.parametrize(
    ("claim", "read"),
    [
        (["acme", "globex"], ("acme", "globex")),
        ({"acme": {"id": "42c3e46f"}, "globex": {}}, ("acme", "globex")),
        ([], ()),
        ("acme", ("acme",)),
    ],
)
async def test_organizations_are_read_from_either_shape(claim: Any, read: tuple[str, ...]) -> None:
    """The claim `organization`: a list of aliases, or an object with one member each."""
    async with open_case("keycloak") as case:
        case.idp.faults.claims["organization"] = claim
        assert (await case.sign_in()).attributes["organization"] == read


@pytest.mark.parametrize("claim", [ABSENT, 7, [7], [""]])
async def test_organizations_that_cannot_be_read_are_unknown(claim: Any) -> None:
    """What is not there meets no condition."""
    async with open_case("keycloak") as case:
        case.idp.faults.claims["organization"] = claim
        assert "organization" not in (await case.sign_in()).attributes


async def test_an_encryption_key_in_the_set_is_left_out() -> None:
    """Security rule B8: the key set of 26.7.4 holds RS256 `sig` and RSA-OAEP `enc`."""
    async with open_case("keycloak") as case:
        case.idp.faults.extra_keys.append(ENCRYPTION_KEY)
        assert (await case.sign_in()).subject == "u-alice"


async def test_an_impersonated_session_is_refused() -> None:
    """Security rule B5: from 26.8 on the claim `act` says who it really is."""
    async with open_case("keycloak") as case:
        case.idp.faults.claims["act"] = {"sub": "4f8b2f3e", "preferred_username": "admin"}
        await case.is_refused("id_token_act")


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        (says(400, "invalid_grant", "Session not active"), "invalid_grant", Fault.PERMANENT),
        (says(400, "invalid_grant", "Token is not active"), "invalid_grant", Fault.PERMANENT),
        (says(400, "invalid_grant", "User disabled"), "invalid_grant", Fault.PERMANENT),
        (
            says(400, "invalid_grant", "Maximum allowed refresh token reuse exceeded"),
            "invalid_grant",
            Fault.PERMANENT,
        ),
        (says(400, "invalid_grant", "Session doesn't have required client"), "invalid_grant", Fault.PERMANENT),
        (
            says(401, "unauthorized_client", "Invalid client or Invalid client credentials"),
            "unauthorized_client",
            Fault.OPERATOR,
        ),
    ],
)
async def test_what_26_7_4_says_to_a_refresh(answer: Answer, reason: str, fault: Fault) -> None:
    """Security rules B12, B16: a disabled person is out, a wrong secret of ours ends nobody's grant."""
    async with open_case("keycloak") as case:
        before = await case.sign_in()
        case.idp.faults.answers["refresh"] = answer
        error = await case.no_refresh(before)
        assert (error.reason, error.fault) == (reason, fault)


async def test_a_person_without_the_role_for_offline_access_is_the_administrators_to_mend() -> None:
    """Security rule B12: 26.7.4 refuses the code; the person did nothing wrong, and the word in the log says which role is missing."""
    async with open_case("keycloak") as case:
        case.idp.faults.answers["token"] = says(400, "not_allowed", "Offline tokens not allowed for the user or client")
        await case.is_refused("offline_access_not_allowed", Fault.OPERATOR)


async def test_a_split_hostname_keeps_the_issuer_and_the_way_in_apart() -> None:
    """Security rule B7: browsers see the public name; keys and tokens come over the inner one."""
    well_known = "/auth/realms/acme/.well-known/openid-configuration"
    async with open_case(
        "keycloak", options={"discovery_url": f"http://127.0.0.1:8080{well_known}"}, loopback=True
    ) as case:
        inner = "http://127.0.0.1:8080/auth/realms/acme"
        case.idp.faults.discovery |= {
            name: f"{inner}/{path}"
            for name, path in (("token_endpoint", "token"), ("jwks_uri", "jwks"), ("userinfo_endpoint", "userinfo"))
        }
        identity = await case.sign_in()
        assert identity.issuer == "https://kc.example.test/auth/realms/acme"
        hosts = {call.endpoint: call.headers["host"] for call in case.idp.requests}
        assert (hosts["authorize"], hosts["token"]) == ("kc.example.test", "127.0.0.1:8080")


@pytest.mark.parametrize("claims", [{}, {"sid": ABSENT}, {"sub": ABSENT}])
async def test_a_logout_token_as_26_7_4_sends_it(claims: dict[str, Any]) -> None:
    """Security rule B15: `typ` in header and claims, `exp` two minutes after `iat`; a session, a person or both."""
    made = {
        "exp": START + 120,
        "jti": "ec6a2b8c-1d1f-4b7c-9d58-37fdc5f4b1c2",
        "typ": "Logout",
        "sid": "548cba50-fe18-4851-9c40-bbe4f9a0edb2",
        "events": {EVENT: {}, "revoke_offline_access": True},
        **claims,
    }
    async with open_case("keycloak") as case:
        assert isinstance(case.provider, VerifiesLogout)
        event = await case.provider.verify_logout_token(case.idp.logout_token(made))
        assert event == LogoutEvent(
            issuer=case.idp.issuer,
            subject=None if made.get("sub") is ABSENT else "u-alice",
            sid=None if made["sid"] is ABSENT else str(made["sid"]),
            jti="ec6a2b8c-1d1f-4b7c-9d58-37fdc5f4b1c2",
            expires_at=START + 180,
        )


async def test_a_deleted_person_is_found_by_the_re_check() -> None:
    """Security rule B16: no logout token is sent when somebody is disabled or deleted."""
    async with open_case("keycloak") as case:
        case.idp.faults.token["refresh_token"] = ABSENT
        before = await case.sign_in()
        case.idp.people["alice"] = Person("somebody-else")
        case.idp.faults.answers["userinfo"] = faulty.UNAUTHORIZED
        assert (await case.no_refresh(before)).reason == "no_refresh_token"
