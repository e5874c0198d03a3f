"""What LemonLDAP::NG does otherwise than the specifications, or than one would think, and what the broker makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.house import OUT, RECHECK, House, running_house
from tests.e2e.identity_providers import IdentityProvider
from tests.e2e.lemonldap import LemonldapCompany
from tests.e2e.processes import free_port, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def company(lemonldap: Callable[[str], LemonldapCompany], port: int) -> LemonldapCompany:
    return lemonldap(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def hasty(company: LemonldapCompany) -> IdentityProvider:
    """LemonLDAP again, with the scopes that its metadata lists."""
    return replace(company.idp, id="hasty", more=RECHECK)


@pytest.fixture(scope="module")
def house(
    company: LemonldapCompany, hasty: IdentityProvider, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    idp = replace(company.idp, more={**company.idp.more, **RECHECK})
    with running_house(idp, tmp_path_factory.mktemp("broker"), hasty.environment(), port=port) as house:
        yield house


def test_a_session_that_its_administrator_removed_serves_nobody(
    house: House, company: LemonldapCompany, browser: Browserless, app: App
):
    """Rule B16: an unknown refresh token is `invalid_request` there (RFC 6749 section 5.2: `invalid_grant`), as a fault of ours would be.

    So nothing is issued any more and an alert says why; what was issued serves until it expires or `users revoke` ends it.
    """
    newest = signed_in(house, company.hire(), browser, app)
    company.remove_sessions()
    house.witness.expected_faults.add(503)

    def is_refused() -> bool:
        nonlocal newest
        status, body = app.refresh(newest["refresh_token"])
        newest = body if status == 200 else newest
        return status == 503

    wait_until(is_refused, within=OUT, describe=lambda: "still served after the interval")
    [alert] = house.broker.events("upstream.alert")
    assert (alert["fault"], alert["reason"]) == ("operator", "invalid_request")


def test_without_offline_access_the_portal_vouches_on_for_somebody_who_is_gone(
    house: House, company: LemonldapCompany, hasty: IdentityProvider, browser: Browserless, app: App
):
    """UserInfo there tells the session at the portal, not the account: SCOPES has to name `offline_access`, or no re-check finds them."""
    house = replace(house, idp=hasty)
    person = company.hire()
    tokens = signed_in(house, person, browser, app)
    company.disable(person)
    house.wait_until_due()
    newest = house.refreshed_by_a_recheck(app, tokens, operation="userinfo")
    assert house.is_active(newest["access_token"])


@pytest.mark.parametrize("removed", [False, True])
def test_whoever_is_gone_signs_in_again_until_their_session_at_the_portal_is_removed(
    house: House, company: LemonldapCompany, browser: Browserless, app: App, *, removed: bool
):
    """The re-check ends the grant (rule B16), but a live session at the portal asks nobody: its administrator has to remove it too."""
    person = company.hire()
    tokens = signed_in(house, person, browser, app)
    company.disable(person)
    house.out_at_the_next_recheck(app, tokens)
    if removed:
        company.remove_sessions()
    assert house.approve(browser, app).left != removed


def signed_in(house: House, person: str, browser: Browserless, app: App) -> dict[str, Any]:
    """Sign in and redeem the code."""
    landed = house.idp.sign_in(browser, house.approve(browser, app), person)
    assert landed.left, landed.text
    return app.redeem(landed.params)
