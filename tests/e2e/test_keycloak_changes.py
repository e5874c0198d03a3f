"""What an administrator changes at Keycloak while people are signed in, or signing in, and what the broker makes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.house import RECHECK, House, running_house
from tests.e2e.identity_providers import KEYCLOAK_START, IdentityProvider
from tests.e2e.keycloak_company import KeycloakCompany
from tests.e2e.keycloak_company import company as founded
from tests.e2e.processes import free_port, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(KEYCLOAK_START + 120)]

RULES = [
    {"name": "the group reads", "provider": ["keycloak"], "group": ["/eng/platform"], "scopes": ["notes:read"]},
    {"name": "auditors write", "provider": ["keycloak"], "role": ["auditor"], "scopes": ["notes:write"]},
]
BOTH = "notes:read notes:write"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def company(keycloak: IdentityProvider, port: int) -> KeycloakCompany:
    return founded(keycloak, f"http://127.0.0.1:{port}", rotating=False)


@pytest.fixture(scope="module")
def house(company: KeycloakCompany, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        **{f"BROKER_PROVIDERS__KEYCLOAK__{name}": value for name, value in RECHECK.items()},
        "BROKER_POLICY": json.dumps(RULES),
    }
    with running_house(company.idp, tmp_path_factory.mktemp("broker"), settings, port=port) as house:
        yield house


@pytest.fixture
def person(company: KeycloakCompany) -> str:
    """Somebody new, for this test alone."""
    return company.hire()


def test_realm_roles_in_the_id_token_meet_a_rule(house: House, person: str, browser: Browserless, app: App):
    """Architecture section 7, policy rules: the group gives one scope, the role the other."""
    landed = house.idp.sign_in(browser, house.approve(browser, app, scope=BOTH), person)
    assert set(app.redeem(landed.params)["scope"].split()) == {"notes:read", "notes:write"}


def test_a_person_without_the_role_for_offline_access_is_told_whom_to_ask(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B12: Keycloak refuses the code with a word of its own, and the log names the role that is missing."""
    company.withdraw_default_roles(person)
    page = house.idp.sign_in(browser, house.approve(browser, app), person)
    assert not page.left
    assert "not set up correctly" in page.text
    event = house.broker.events("login.failed")[-1]
    assert (event["fault"], event["reason"]) == ("operator", "offline_access_not_allowed")


def test_a_key_that_is_rotated_in_mid_login_fails_no_login(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B8: the keys were fetched before, the sign-in page was open, and the ID token is signed by a key nobody has seen."""
    with house.browser() as earlier:
        assert house.idp.sign_in(earlier, house.approve(earlier, app), person).left
    fetched = house.broker.upstream_calls("keycloak", "jwks")
    page = house.approve(browser, app)
    old = company.signing_key()
    company.rotate_keys()
    assert company.signing_key() != old
    landed = house.idp.sign_in(browser, page, person)
    assert landed.left, landed.text
    assert app.redeem(landed.params)["scope"] == "notes:read"
    assert house.broker.upstream_calls("keycloak", "jwks") == fetched + 1


def test_whoever_leaves_the_group_loses_its_scope_at_the_next_recheck(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B16: groups are read again and the policy is decided again; what the role gives stays."""
    landed = house.idp.sign_in(browser, house.approve(browser, app, scope=BOTH), person)
    tokens = app.redeem(landed.params)
    company.leave_group(person)
    tokens = house.refreshed_by_a_recheck(app, tokens, operation="refresh")
    assert tokens["scope"] == app.claims(tokens["access_token"])["scope"] == "notes:write"


def test_whoever_is_deleted_is_out_at_the_next_recheck(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B16: Keycloak sends no logout token for it, the re-check finds it."""
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), person).params)
    company.delete(person)
    house.out_at_the_next_recheck(app, tokens)


def test_whoever_is_enabled_again_signs_in_again(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B16: Keycloak would take the old refresh token again; the grant here is over for good."""
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), person).params)
    company.disable(person)
    house.out_at_the_next_recheck(app, tokens)
    company.enable(person)
    assert app.refresh(tokens["refresh_token"])[1]["error"] == "invalid_grant"
    with house.browser() as another:
        landed = house.idp.sign_in(another, house.approve(another, app), person)
        assert landed.left, landed.text
        again = app.redeem(landed.params)
    assert app.claims(again["access_token"])["sub"] == app.claims(tokens["access_token"])["sub"]


def test_whoever_signs_out_at_keycloak_is_out_within_a_second_although_the_offline_token_lives(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B15: the person was signed in for another app before, so that there is a session to end, and Keycloak tells of its end."""
    company.sign_in_elsewhere(browser, person)
    landed = house.approve(browser, app)
    assert landed.left, landed.text  # single sign-on: nobody is asked for a password
    tokens = app.redeem(landed.params)
    company.sign_out_by_oneself(browser)
    wait_until(lambda: not house.is_active(tokens["access_token"]), within=1, describe=lambda: "the token still serves")
    assert app.refresh(tokens["refresh_token"])[1]["error"] == "invalid_grant"


def test_whoever_is_signed_out_by_an_administrator_without_a_session_is_out_at_the_next_recheck(
    house: House, company: KeycloakCompany, person: str, browser: Browserless, app: App
):
    """Rule B16: with `offline_access` and no other session Keycloak sends no logout token for it, yet refresh tokens are dead.

    Those of an earlier second, that is: it compares whole seconds, and one made in the very second of the sign-out lives on.
    """
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), person).params)
    second = int(time.time())
    wait_until(lambda: int(time.time()) > second, within=2, describe=lambda: "the clock stands still")
    company.sign_out_everywhere(person)
    house.out_at_the_next_recheck(app, tokens)
