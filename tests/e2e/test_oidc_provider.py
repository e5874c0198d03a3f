"""Logins through npm's certified oidc-provider, driven without a browser window."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.app import App
from tests.e2e.browserless import Browserless
from tests.e2e.house import House, running_house
from tests.e2e.identity_providers import IdentityProvider

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def house(oidc_provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    # Without offline_access nothing is left to re-check with; what is asked for here is what these tests look at.
    asked = {"BROKER_PROVIDERS__OIDC__SCOPES": "openid,profile,email,groups"}
    with running_house(oidc_provider, tmp_path_factory.mktemp("broker"), asked) as house:
        yield house


def test_a_person_signs_in_upstream_and_the_app_gets_tokens_of_ours(house: House, browser: Browserless, app: App):
    """Architecture section 4; rules A1, C9, C10, F5: our issuer, our audience, nothing of the person's but the subject."""
    landed = house.idp.sign_in(browser, house.approve(browser, app), "alice")
    assert landed.left
    tokens = app.redeem(landed.params)
    claims = app.claims(tokens["access_token"])
    assert tokens["scope"] == claims["scope"] == "notes:read"
    assert tokens["token_type"] == "Bearer"
    assert claims["client_id"] == "notebook"
    assert claims["sub"].startswith("u_")
    assert not {"email", "name", "groups", "preferred_username"} & claims.keys()


def test_the_refresh_token_rotates_and_the_new_tokens_serve_the_same_person(
    house: House, browser: Browserless, app: App
):
    """Rule E6; OAuth 2.1 section 4.3.1: rotation for everybody."""
    first = app.redeem(house.idp.sign_in(browser, house.approve(browser, app), "alice").params)
    status, second = app.refresh(first["refresh_token"])
    assert status == 200
    assert second["refresh_token"] != first["refresh_token"]
    before, after = app.claims(first["access_token"]), app.claims(second["access_token"])
    assert (after["sub"], after["aud"], after["scope"]) == (before["sub"], before["aud"], before["scope"])
    assert after["jti"] != before["jti"]


def test_what_only_userinfo_tells_reaches_the_log_as_a_fact_not_the_token(house: House, browser: Browserless, app: App):
    """Rule B6: the provider gives name, e-mail and groups at UserInfo alone, and it is asked."""
    before = house.idp.requests("GET", "/me")
    house.idp.sign_in(browser, house.approve(browser, app), "bob")
    assert house.idp.requests("GET", "/me") == before + 1


def test_each_person_has_a_subject_of_their_own_and_keeps_it(house: House, app: App):
    """Architecture section 5, identity: found by upstream issuer and subject, whatever the browser."""
    subjects = []
    for person in ("alice", "bob", "alice"):
        with house.browser() as browser:
            landed = house.idp.sign_in(browser, house.approve(browser, app), person)
        subjects.append(app.claims(app.redeem(landed.params)["access_token"])["sub"])
    assert subjects[0] == subjects[2] != subjects[1]


def test_a_refusal_at_the_identity_provider_ends_as_access_denied_without_its_words(
    house: House, browser: Browserless, app: App
):
    """Rules B12, C9; RFC 6749 section 4.1.2.1: the provider's markup never travels on."""
    sign_in = house.approve(browser, app)
    redeemed = house.idp.requests("POST", "/token")
    landed = browser.submit(sign_in, sign_in.form, ("do", "refuse"))
    assert landed.left
    app.check_origin(landed.params)
    assert landed.params["error"] == "access_denied"
    assert "refused to sign in" not in landed.url
    assert "code" not in landed.params
    assert house.idp.requests("POST", "/token") == redeemed


def test_a_wrong_password_is_between_the_person_and_the_provider(house: House, browser: Browserless, app: App):
    """The broker has no passwords: nothing comes back until the provider is satisfied."""
    refused = house.idp.sign_in(browser, house.approve(browser, app), "alice", "wrong-password")
    assert refused.status == 401
    assert refused.url.startswith(house.idp.issuer)
    assert house.idp.sign_in(browser, refused, "alice").left


def test_a_denial_on_our_page_reaches_the_app_and_never_the_provider(house: House, browser: Browserless, app: App):
    """Rules A1, C5, C9: a pre-registered app is told by redirect."""
    asked = house.idp.requests("GET", "/auth")
    consent = browser.open(app.authorization_url())
    landed = browser.submit(consent, consent.form, ("decision", "deny"))
    assert landed.left
    app.check_origin(landed.params)
    assert landed.params["error"] == "access_denied"
    assert house.idp.requests("GET", "/auth") == asked


def test_a_second_app_of_a_signed_in_person_needs_no_second_sign_in(house: House, browser: Browserless, app: App):
    """Architecture section 4: a live session skips the identity provider, never the page (rule A4)."""
    house.idp.sign_in(browser, house.approve(browser, app), "alice")
    upstream = len(browser.visited(house.idp.issuer))
    consent = browser.open(app.authorization_url())
    assert consent.form.offers("decision", "allow")
    landed = browser.submit(consent, consent.form, ("decision", "allow"))
    assert app.redeem(landed.params)["scope"] == "notes:read"
    assert len(browser.visited(house.idp.issuer)) == upstream


def test_an_upstream_link_opened_in_another_browser_ends_in_a_page_and_costs_no_token_request(
    house: House, browser: Browserless, app: App
):
    """Rules A2, A10 [CVE-2026-27124]: the callback needs the cookie of the browser that approved."""
    consent = browser.open(app.authorization_url())
    upstream_link = browser.submit(consent, consent.form, ("provider", "oidc"), follow=False).headers["location"]
    redeemed = house.idp.requests("POST", "/token")
    with house.browser() as victim:
        ended = house.idp.sign_in(victim, victim.open(upstream_link), "bob")
    assert (ended.left, ended.status) == (False, 400)
    assert ended.url.startswith(house.broker.url("/callback/oidc"))
    assert house.idp.requests("POST", "/token") == redeemed
