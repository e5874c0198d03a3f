"""What an administrator changes at Keycloak while people are signed in, or signing in, and what the broker makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.house import RECHECK, House, running_house
from tests.e2e.identity_providers import KEYCLOAK_START, IdentityProvider
from tests.e2e.keycloak_company import KeycloakCompany
from tests.e2e.keycloak_company import company as founded
from tests.e2e.processes import free_port

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
