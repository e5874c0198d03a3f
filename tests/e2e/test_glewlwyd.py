"""What Glewlwyd does otherwise than the specifications, and what the broker makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.glewlwyd import GlewlwydCompany
from tests.e2e.glewlwyd import company as founded
from tests.e2e.house import House, running_house
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.processes import free_port, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def company(glewlwyd: IdentityProvider, port: int) -> GlewlwydCompany:
    return founded(glewlwyd, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def house(company: GlewlwydCompany, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(company.idp, tmp_path_factory.mktemp("broker"), port=port) as house:
        yield house


def test_a_logout_token_without_an_end_ends_nothing(
    house: House, company: GlewlwydCompany, browser: Browserless, app: App
):
    """Rule B15; Back-Channel Logout section 2.4: `exp` is required. Glewlwyd follows a draft without it, so that its word cannot count."""
    person = company.hire()
    tokens = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), person).params)
    company.sign_out(browser, person)
    wait_until(
        lambda: bool(house.broker.events("upstream.logout_refused")), within=5, describe=lambda: "no logout token came"
    )
    [refused] = house.broker.events("upstream.logout_refused")
    assert refused["reason"] == "logout_token_expired"
    assert house.is_active(tokens["access_token"])


def test_a_wrong_password_is_between_the_person_and_the_provider(
    house: House, company: GlewlwydCompany, browser: Browserless, app: App
):
    """The broker has no passwords: nothing comes back until the provider is satisfied."""
    person = company.hire()
    page = house.approve(browser, app)
    assert not house.idp.sign_in(browser, page, person, "not-the-password").left
    assert house.idp.sign_in(browser, page, person).left
