"""What the adapter finds wrong with its own set-up, without a person."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Check, Verdict
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI
from tests.providers.entra.case import EntraCase, open_entra
from tests.providers.entra.scripted_entra import CONTOSO

CLIENT = "client id and secret"


async def checks(entra: EntraCase) -> dict[str, Check]:
    """Return the checks by name, after looking that they say nothing they must not."""
    found = await entra.provider.check(REDIRECT_URI)
    assert "upstream words" not in repr(found)
    assert str(entra.idp.client_secret) not in repr(found)
    assert all(check.fix for check in found if check.status is not Verdict.OK)
    return {check.name: check for check in found}


async def test_a_good_set_up_has_no_failure(entra: EntraCase) -> None:
    """Tenant, issuer, keys, secret, Graph; what shows only at a login is no failure."""
    entra.idp.redirect_uris = {REDIRECT_URI}
    found = await checks(entra)
    assert not [check for check in found.values() if check.status is Verdict.FAIL]
    for name in ("discovery", "issuer", "keys", "PKCE", CLIENT, "redirect URI", "groups", "who may sign in"):
        assert found[name].status is Verdict.OK, found[name]


@pytest.mark.parametrize(
    ("number", "error", "status", "words"),
    [
        (7000215, "invalid_client", Verdict.FAIL, "client_secret_wrong"),
        (7000222, "invalid_client", Verdict.FAIL, "client_secret_expired"),
        (700016, "unauthorized_client", Verdict.FAIL, "client_not_in_tenant"),
        (700027, "invalid_client", Verdict.FAIL, "client_assertion_refused"),
        (9002313, "invalid_grant", Verdict.OK, "accepted"),
        (90033, "invalid_grant", Verdict.WARN, "unavailable"),
    ],
)
async def test_a_code_of_nobodys_shows_whether_the_secret_is_accepted(
    entra: EntraCase, number: int, error: str, status: Verdict, words: str
) -> None:
    """By the number: wrong, expired, or the app is of another tenant; with where to mend it."""
    entra.idp.number, entra.idp.error = number, error
    check = (await checks(entra))[CLIENT]
    assert check.status is status
    assert words in check.detail
    assert status is not Verdict.FAIL or "App registrations" in check.fix


@pytest.mark.parametrize("tenant", ["common", "organizations"])
async def test_a_shared_endpoint_without_a_list_of_tenants_is_a_warning(tenant: str) -> None:
    """Everybody with a Microsoft account of that kind."""
    async with open_entra(tenant) as entra:
        check = (await checks(entra))["who may sign in"]
        assert check.status is Verdict.WARN
        assert "ALLOWED_TENANTS" in check.fix
    async with open_entra(tenant, options={"allowed_tenants": CONTOSO}) as entra:
        assert (await checks(entra))["who may sign in"].status is Verdict.OK


async def test_a_tenant_that_does_not_exist_is_found(entra: EntraCase) -> None:
    """AADSTS90002: discovery answers 400."""
    entra.idp.faults.answers["discovery"] = entra.idp.aadsts(90002, "invalid_tenant")
    check = (await checks(entra))["discovery"]
    assert check.status is Verdict.FAIL
    assert "TENANT" in check.fix


@pytest.mark.parametrize("tenant", ["common", CONTOSO])
async def test_a_service_that_nobody_reaches_is_looked_for_in_the_settings_that_say_where_it_is(tenant: str) -> None:
    """ISSUER must be left out, so that it is no mend."""
    async with open_entra(tenant) as entra:
        entra.idp.faults.answers["discovery"] = faulty.DOWN
        check = (await checks(entra))["discovery"]
        assert "look at TENANT, AUTHORITY and PROXY" in check.fix
        assert "ISSUER" not in check.fix


async def test_an_issuer_of_another_cloud_is_found() -> None:
    """Security rule B9: the document must say the issuer that follows from TENANT and AUTHORITY."""
    async with open_entra("organizations") as entra:
        assert (await checks(entra))["issuer"].status is Verdict.OK
        entra.idp.faults.discovery["issuer"] = "https://login.microsoftonline.us/{tenantid}/v2.0"
        check = (await checks(entra))["issuer"]
        assert check.status is Verdict.FAIL
        assert "set TENANT" in check.fix
        assert "ISSUER" not in check.detail + check.fix


@pytest.mark.parametrize(
    ("changes", "answer", "status", "words"),
    [
        ({"scopes": ("openid", "profile")}, None, Verdict.WARN, "User.Read"),
        ({}, faulty.DOWN, Verdict.FAIL, "GRAPH_URL"),
        ({}, faulty.HTML, Verdict.FAIL, "GRAPH_URL"),
        ({}, faulty.OVERSIZED, Verdict.FAIL, "GRAPH_URL"),
    ],
)
async def test_a_graph_that_could_not_answer_is_found(
    changes: dict[str, Any], answer: faulty.Answer | None, status: Verdict, words: str
) -> None:
    """The permission is the person's; that it is asked for and that Graph is there shows without one."""
    async with open_entra(**changes) as entra:
        if answer is not None:
            entra.idp.faults.answers["graph_me"] = answer
        check = (await checks(entra))["groups"]
    assert check.status is status
    assert words in check.fix


async def test_without_offline_access_nothing_would_tell_that_somebody_left(entra: EntraCase) -> None:
    """Security rule B16 needs a refresh token."""
    assert "offline access" not in await checks(entra)
    async with open_entra(scopes=("openid", "profile", "User.Read")) as without:
        assert (await checks(without))["offline access"].status is Verdict.WARN


async def test_with_groups_in_a_claim_of_ones_own_graph_is_not_needed() -> None:
    """GROUPS_CLAIM."""
    async with open_entra(scopes=("openid", "profile"), options={"groups_claim": "roles"}) as entra:
        assert (await checks(entra))["groups"].status is not Verdict.FAIL
