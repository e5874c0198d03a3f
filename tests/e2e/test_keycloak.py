"""Logins through Keycloak itself, driven without a browser window; groups decide what a person gets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.house import House, running_house
from tests.e2e.identity_providers import KEYCLOAK_START, IdentityProvider

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(KEYCLOAK_START + 120)]

RULES = [{"name": "engineers read and write", "provider": ["keycloak"], "group": ["/eng/*"]}]
BOTH = "notes:read notes:write"


@pytest.fixture(scope="module")
def house(keycloak: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    settings = {
        "BROKER_POLICY": json.dumps(RULES),
        "BROKER_PROVIDERS__KEYCLOAK__OFFLINE_ACCESS": "never",  # with it Keycloak forgets at once who signed in
    }
    with running_house(keycloak, tmp_path_factory.mktemp("broker"), settings) as house:
        yield house


def test_a_member_of_the_group_signs_in_and_gets_what_the_rule_gives(house: House, browser: Browserless, app: App):
    """Architecture sections 4 and 7: Keycloak's full group path meets the rule's glob."""
    landed = house.idp.sign_in(browser, house.approve(browser, app, scope=BOTH), "alice")
    assert landed.left
    tokens = app.redeem(landed.params)
    claims = app.claims(tokens["access_token"])
    assert set(tokens["scope"].split()) == set(claims["scope"].split()) == {"notes:read", "notes:write"}


def test_a_refresh_serves_a_keycloak_person_too(house: House, browser: Browserless, app: App):
    """Rule E6."""
    first = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    status, second = app.refresh(first["refresh_token"])
    assert status == 200
    assert app.claims(second["access_token"])["sub"] == app.claims(first["access_token"])["sub"]


def test_somebody_outside_the_group_gets_a_page_that_says_whom_to_ask(house: House, browser: Browserless, app: App):
    """Architecture section 7: refused after a login with 403, a link takes access_denied back; the log names the decision."""
    refused = len(house.broker.events("login.refused"))
    page = house.idp.sign_in(browser, house.approve(browser, app), "bob")
    assert (page.left, page.status) == (False, 403)
    assert "administrator" in page.text
    assert "error=access_denied" in page.text
    [event] = house.broker.events("login.refused")[refused:]
    assert event["provider"] == "keycloak"
    assert event["reason"]


def test_a_person_disabled_in_keycloak_never_comes_back(house: House, browser: Browserless, app: App):
    """The identity provider decides who may sign in; the broker is not even called."""
    callbacks = len(browser.visited(house.broker.url("/callback/")))
    page = house.idp.sign_in(browser, house.approve(browser, app), "carol")
    assert not page.left
    assert page.url.startswith(house.idp.issuer)
    assert "Account is disabled" in page.text
    assert len(browser.visited(house.broker.url("/callback/"))) == callbacks


def test_another_account_can_be_chosen_although_keycloak_still_knows_the_first(
    house: House, browser: Browserless, app: App
):
    """Contract: `decision=switch` is for another account, so Keycloak must ask instead of answering with the same person at once."""
    house.idp.sign_in(browser, house.approve(browser, app), "alice")
    consent = browser.open(app.authorization_url())
    buttons = browser.submit(consent, consent.form, ("decision", "switch"))
    page = browser.submit(buttons, buttons.form, ("provider", "keycloak"))
    assert not page.left
    assert page.url.startswith(house.idp.issuer)


def test_a_wrong_client_secret_is_told_as_the_operators_fault(
    keycloak: IdentityProvider, tmp_path_factory: pytest.TempPathFactory
):
    """Rule B12; Keycloak answers 401 unauthorized_client: the person did nothing wrong, the app is not blamed, the log has a word."""
    folder = tmp_path_factory.mktemp("broker-with-a-wrong-secret")
    wrong = {"BROKER_PROVIDERS__KEYCLOAK__CLIENT_SECRET": "this-is-not-the-secret-that-keycloak-knows"}
    with running_house(keycloak, folder, wrong) as house, house.browser() as browser:
        app = house.app()
        page = house.idp.sign_in(browser, house.approve(browser, app), "alice")
        app.close()
        assert not page.left
        assert page.status in (400, 403)
        assert "not set up correctly" in page.text
        assert "unauthorized_client" not in page.text
        [event] = house.broker.events("login.failed")
        assert event["fault"] == "operator"
