"""A login asked to be stronger or younger, as each type knows it, and what comes back verified (Core sections 3.1.2.1 and 5.5)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.base import Fault
from tests.providers.case import START, open_case, upstream_request
from tests.providers.kinds import KINDS
from tests.providers.scripted_faults import ABSENT

STANDARD: dict[str, str | None] = {"prompt": "login", "max_age": "600", "acr_values": "urn:mfa urn:hwk"}
CONSENT: dict[str, str | None] = {**STANDARD, "prompt": "login consent"}
NO_ACR_NO_LOGIN: dict[str, str | None] = {"prompt": "select_account consent", "max_age": "600", "acr_values": None}


async def asked(kind: str, discovery: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    """Return what a type asks in an authorization request."""
    async with open_case(kind) as case:
        case.idp.faults.discovery |= discovery or {}
        url = await case.provider.authorization_url(upstream_request(**changes))
        return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_each_type_asks_in_its_own_words(kind: str) -> None:
    """`acr_values`, `max_age` and `prompt`, whichever the provider knows."""
    sent = await asked(kind, prompt=("login",), max_age=600, acr_values=("urn:mfa", "urn:hwk"))
    expected = {"oidc": CONSENT, "google": NO_ACR_NO_LOGIN}.get(kind, STANDARD)
    assert {name: sent.get(name) for name in expected} == expected


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"google"}))
async def test_a_context_is_demanded_where_the_provider_takes_demands(kind: str) -> None:
    """Core section 5.5.1.1: voluntary by `acr_values`, essential by `claims` where the metadata has it."""
    demand = {"id_token": {"acr": {"essential": True, "values": ["urn:mfa"]}}}
    sent = await asked(kind, {"claims_parameter_supported": True}, acr_values=("urn:mfa",))
    assert json.loads(sent["claims"]) == demand
    assert "claims" not in await asked(kind, acr_values=("urn:mfa",))
    assert "claims" not in await asked(kind, {"claims_parameter_supported": True})


async def test_google_is_never_asked_for_a_context() -> None:
    """It knows none, and refuses what it does not know."""
    sent = await asked("google", {"claims_parameter_supported": True}, acr_values=("urn:mfa",))
    assert not {"claims", "acr_values"} & set(sent)


async def test_cognito_is_asked_for_a_new_login_where_a_young_one_is_wanted() -> None:
    """`max_age` is not known there; `auth_time` decides."""
    assert (await asked("cognito", max_age=600))["prompt"] == "login"
    assert (await asked("cognito", max_age=600, prompt=("select_account",)))["prompt"] == "select_account"
    assert "prompt" not in await asked("cognito")


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_login_that_had_to_be_young_proves_it(kind: str) -> None:
    """Security rule B5; Core section 2: without `auth_time`, or with an old one, the login fails."""
    async with open_case(kind) as case:
        request = upstream_request(max_age=600)
        assert (await case.sign_in(request)).auth_time == START - 5
        for auth_time in (ABSENT, START - 661):
            case.idp.faults.claims["auth_time"] = auth_time
            error = await case.refusal(request)
            assert (error.reason, error.fault) == ("id_token_auth_time", Fault.PROTOCOL)


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_login_whose_time_the_provider_does_not_state_is_said_to_be_so(kind: str) -> None:
    """A policy on the age of a login must not take our own clock for the provider's word."""
    async with open_case(kind) as case:
        assert (await case.sign_in()).auth_time_stated
        case.idp.faults.claims["auth_time"] = ABSENT
        assert not (await case.sign_in()).auth_time_stated


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_the_context_that_came_back_is_told_and_never_the_one_asked_for(kind: str) -> None:
    """The policy judges what happened."""
    async with open_case(kind) as case:
        case.idp.faults.claims |= {"acr": "urn:pwd", "amr": ["pwd"]}
        identity = await case.sign_in(upstream_request(acr_values=("urn:mfa",)))
        assert (identity.acr, identity.amr) == ("urn:pwd", ("pwd",))


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_login_without_anybody_there_is_never_asked_to_consent(kind: str) -> None:
    """Core section 3.1.2.1: `none` goes with no other prompt."""
    assert (await asked(kind, prompt=("none",)))["prompt"] == "none"


async def test_consent_is_asked_where_refresh_tokens_may_need_it() -> None:
    """Core section 11; settings OFFLINE_ACCESS and SCOPES decide."""
    assert (await asked("oidc"))["prompt"] == "consent"
    assert "prompt" not in await asked("oidc", {"scopes_supported": ["openid"]})
    for options, scopes, prompt in (
        ({"offline_access": "silent"}, None, None),
        ({"offline_access": "never"}, None, None),
        ({}, ("openid", "offline_access"), "consent"),
        ({}, ("openid",), None),
    ):
        async with open_case("oidc", options=options, scopes=scopes) as case:
            url = await case.provider.authorization_url(upstream_request())
            assert parse_qs(urlsplit(url).query).get("prompt", [None])[0] == prompt
