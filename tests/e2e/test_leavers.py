"""Whoever leaves the company, or signs out there, is out here: at the next re-check, or within a second where the provider tells us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.company import Company
from tests.e2e.glewlwyd import company as glewlwyd_company
from tests.e2e.house import RECHECK, House, running_house
from tests.e2e.identity_providers import KEYCLOAK_START, IdentityProvider
from tests.e2e.keycloak_company import company as keycloak_company
from tests.e2e.oidc_company import OidcCompany, register
from tests.e2e.processes import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(KEYCLOAK_START + 120)]

BOTH = "notes:read notes:write"
GROUPS = {"keycloak": "/eng/*", "keycloak that rotates": "platform", "oidc-provider": "eng", "glewlwyd": "eng"}


def founded(name: str, request: pytest.FixtureRequest, broker: str) -> Company:
    """Register the broker at that issuer with a company."""
    if name == "oidc-provider":
        provider: IdentityProvider = request.getfixturevalue("oidc_provider")
        return OidcCompany(register(provider, broker, id="oidc"))
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
