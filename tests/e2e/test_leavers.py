"""Whoever leaves the company, or signs out there, is out here: at the next re-check, or within a second where the provider tells us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.company import Company
from tests.e2e.glewlwyd import company as glewlwyd_company
from tests.e2e.house import AT_ONCE, OUT, RECHECK, House, running_house
from tests.e2e.identity_providers import KEYCLOAK_START, IdentityProvider
from tests.e2e.keycloak_company import company as keycloak_company
from tests.e2e.oidc_company import OidcCompany, register
from tests.e2e.private_key import KeyPair, by_key
from tests.e2e.processes import free_port, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(KEYCLOAK_START + 120)]

BOTH = "notes:read notes:write"
GROUPS = {
    "keycloak": "/eng/*",
    "keycloak that rotates": "platform",
    "oidc-provider": "eng",
    "oidc-provider by key": "eng",
    "lemonldap": "eng",
    "glewlwyd": "eng",
}

TELLING = tuple(name for name in GROUPS if name != "glewlwyd")  # those whose logout tokens are by the specification
told = pytest.mark.parametrize("employed", TELLING, indirect=True)


def founded(name: str, request: pytest.FixtureRequest, broker: str) -> Company:
    """Register the broker at that issuer with a company."""
    if name == "oidc-provider":
        provider: IdentityProvider = request.getfixturevalue("oidc_provider")
        return OidcCompany(register(provider, broker, id="oidc"))
    if name == "oidc-provider by key":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("key")
        return OidcCompany(by_key(request.getfixturevalue("oidc_provider"), broker, KeyPair.new(), folder, id="keyed"))
    if name == "lemonldap":
        started: Company = request.getfixturevalue("lemonldap")(broker)
        return started
    if name == "glewlwyd":
        return glewlwyd_company(request.getfixturevalue("glewlwyd"), broker)
    return keycloak_company(request.getfixturevalue("keycloak"), broker, rotating=name.endswith("rotates"))


@dataclass(frozen=True)
class Employed:
    """A company with a broker before it."""

    company: Company
    house: House


@pytest.fixture(scope="module", params=GROUPS)
def employed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Employed]:
    port = free_port()
    company = founded(request.param, request, f"http://127.0.0.1:{port}")
    provider = company.idp.provider
    settings = {
        **{f"BROKER_PROVIDERS__{provider.upper()}__{name}": value for name, value in RECHECK.items()},
        "BROKER_POLICY": json.dumps([{"name": "members", "provider": [provider], "group": [GROUPS[request.param]]}]),
    }
    with running_house(company.idp, tmp_path_factory.mktemp("broker"), settings, port=port) as house:
        yield Employed(company, house)


@pytest.fixture
def house(employed: Employed) -> House:
    return employed.house


@pytest.fixture
def company(employed: Employed) -> Company:
    return employed.company


@pytest.fixture
def person(company: Company) -> str:
    """Somebody new, for this test alone."""
    return company.hire()


def test_a_member_signs_in_with_what_the_group_gives(house: House, person: str, browser: Browserless, app: App):
    """Architecture sections 4 and 7."""
    landed = house.idp.sign_in(browser, house.approve(browser, app, scope=BOTH), person)
    assert landed.left, landed.text
    tokens = app.redeem(landed.params)
    assert set(tokens["scope"].split()) == set(BOTH.split())
    assert house.is_active(tokens["access_token"])


def test_a_refresh_after_a_recheck_goes_on_as_the_same_person(
    house: House, person: str, browser: Browserless, app: App
):
    """Rules B14, B16: twice, so that what a rotating provider gave the first time is what the second asks with."""
    first = signed_in(house, person, browser, app)
    second = house.refreshed_by_a_recheck(app, first, operation="refresh")
    third = house.refreshed_by_a_recheck(app, second, operation="refresh")
    assert app.claims(third["access_token"])["sub"] == app.claims(first["access_token"])["sub"]
    assert third["scope"] == first["scope"]


def test_grants_of_one_session_share_one_question(house: House, person: str, browser: Browserless, app: App):
    """Rule B14: two apps refresh at the same moment; a provider that rotates would end the session at the second question."""
    first = signed_in(house, person, browser, app)
    second = app.redeem(house.asked_for_another(browser, app).params)
    tokens = [first["refresh_token"], second["refresh_token"]]
    for _ in range(2):
        asked = house.broker.upstream_calls(house.idp.provider, "refresh")
        house.wait_until_due()
        with ThreadPoolExecutor(len(tokens)) as pool:
            answers = list(pool.map(app.refresh, tokens))
        assert [status for status, _ in answers] == [200, 200], answers
        assert house.broker.upstream_calls(house.idp.provider, "refresh") == asked + 1
        tokens = [body["refresh_token"] for _, body in answers]


def test_whoever_is_disabled_is_out_at_the_next_recheck(
    house: House, company: Company, person: str, browser: Browserless, app: App
):
    """Rule B16: nobody tells the broker (Keycloak sends no logout token for it), the re-check finds it."""
    tokens = signed_in(house, person, browser, app)
    company.disable(person)
    house.out_at_the_next_recheck(app, tokens)


def test_a_live_session_of_somebody_disabled_issues_nothing(
    house: House, company: Company, person: str, browser: Browserless, app: App
):
    """Rule B16: before anything is issued from a live browser session the same re-check is made as on refresh."""
    signed_in(house, person, browser, app)
    assert "code" in house.asked_for_another(browser, app).params
    company.disable(person)
    wait_until(lambda: not house.asked_for_another(browser, app).left, within=OUT, describe=lambda: "still issued")


@told
def test_signing_out_at_the_provider_ends_it_here_within_a_second(
    house: House, company: Company, person: str, browser: Browserless, app: App
):
    """Rule B15; Back-Channel Logout section 2.8: sessions and grants, told by introspection, refresh and the consent page."""
    tokens = signed_in(house, person, browser, app)
    assert house.is_active(tokens["access_token"])
    company.sign_out(browser, person)
    house.out_within_a_second(app, tokens)
    consent = browser.open(app.authorization_url())
    assert not consent.form.offers("decision", "allow")


def test_whoever_is_revoked_here_is_out_within_a_second(house: House, person: str, browser: Browserless, app: App):
    """Rule B15's second, whatever the provider tells; the only way where no logout token is to be believed (Glewlwyd)."""
    house.out_when_revoked(app, browser, signed_in(house, person, browser, app))


@told
def test_signing_out_before_the_code_is_redeemed_makes_it_worthless(
    house: House, company: Company, person: str, browser: Browserless, app: App
):
    """Rule B17: a logout wins over a login that is on its way."""
    landed = house.idp.sign_in(browser, house.approve(browser, app), person)
    assert landed.left, landed.text
    ended = len(house.broker.events("upstream.logout"))
    company.sign_out(browser, person)
    wait_until(
        lambda: len(house.broker.events("upstream.logout")) > ended,
        within=AT_ONCE,
        describe=lambda: "no logout token came",
    )
    status, body = app.token(
        grant_type="authorization_code",
        code=landed.params["code"],
        redirect_uri=app.redirect_uri,
        code_verifier=app.verifier,
        resource=app.resource,
    )
    assert (status, body["error"]) == (400, "invalid_grant")


@told
def test_signing_out_ends_nobody_elses_session(
    house: House, company: Company, person: str, browser: Browserless, app: App
):
    """Rule B15: the logout token names a session and a person."""
    colleague = company.hire()
    with house.browser() as other:
        tokens = signed_in(house, colleague, other, app)
    gone = signed_in(house, person, browser, app)
    company.sign_out(browser, person)
    house.out_within_a_second(app, gone)
    assert house.is_active(tokens["access_token"])
    assert app.refresh(tokens["refresh_token"])[0] == 200


@told
def test_somebody_who_signed_out_signs_in_again(
    house: House, company: Company, person: str, browser: Browserless, app: App
):
    """Rule B17: a tombstone is of a session, it keeps nobody out for good."""
    gone = signed_in(house, person, browser, app)
    company.sign_out(browser, person)
    house.out_within_a_second(app, gone)
    again = signed_in(house, person, browser, app)
    assert app.claims(again["access_token"])["sub"] == app.claims(gone["access_token"])["sub"]


def signed_in(house: House, person: str, browser: Browserless, app: App) -> dict[str, str]:
    """Sign in and redeem the code."""
    landed = house.idp.sign_in(browser, house.approve(browser, app), person)
    assert landed.left, landed.text
    return app.redeem(landed.params)
