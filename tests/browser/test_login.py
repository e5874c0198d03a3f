"""A login as a person clicks it, in headless Chromium."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NewProfile
from tests.browser.people import BOARD, Profile, Town
from tests.e2e.app import App

pytestmark = pytest.mark.e2e


def test_a_person_allows_signs_in_and_lands_at_the_app(alice: Profile, app: App):
    """Architecture section 4; rules A1, C9, C13: no answer on the way is anything but a page or a redirect."""
    tokens = app.redeem(alice.log_in(app))
    assert tokens["scope"] == "notes:read"
    assert {answer.status for answer in alice.answers if answer.url.startswith(app.issuer)} <= {200, 303}


def test_no_page_needs_script(new_profile: NewProfile, app: App):
    """Architecture section 5, pages: the whole login, with scripts switched off."""
    person = new_profile(java_script_enabled=False)
    assert app.redeem(person.log_in(app))["scope"] == "notes:read"


def test_cookies_appear_one_by_one_and_only_when_they_are_due(alice: Profile, app: App):
    """Rules A3, G9: csrf with the page, login at approval, session after the login; out of reach of scripts, Lax."""
    tab = alice.open(app.authorization_url())
    assert set(alice.cookies()) == {"broker-csrf"}
    alice.allow_and_reach_the_provider(tab)
    assert set(alice.cookies()) == {"broker-csrf", "broker-login"}
    alice.sign_in(tab, "alice")
    alice.landed(tab)
    assert set(alice.cookies()) == {"broker-csrf", "broker-login", "broker-session"}
    for cookie in alice.context.cookies(app.issuer + "/"):
        if cookie["name"].startswith("broker-"):
            assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Lax", "/")


def test_every_login_makes_a_new_session_and_may_be_somebody_else(alice: Profile, app: App):
    """Rules G9, A13: a session cookie from before a login is worth nothing after it; `switch` leads to the provider again."""
    first = app.claims(app.redeem(alice.log_in(app))["access_token"])["sub"]
    session = alice.cookies()["broker-session"]
    tab = alice.open(app.authorization_url())
    tab.locator('button[value="switch"]').click()
    alice.allow_and_reach_the_provider(tab)
    alice.sign_in(tab, "bob")
    second = app.claims(app.redeem(alice.landed(tab))["access_token"])["sub"]
    assert second != first
    assert alice.cookies()["broker-session"] != session


def test_a_second_mcp_server_needs_no_second_sign_in_but_its_own_consent(alice: Profile, town: Town, app: App):
    """Rules A1, A4: the session skips the provider, never the page."""
    alice.log_in(app)
    upstream = len(alice.urls(town.idp.issuer))
    second = town.app(resource=BOARD)
    tab = alice.open(second.authorization_url())
    assert "Board" in tab.inner_text("main")
    tab.locator('button[value="allow"]').click()
    tokens = second.redeem(alice.landed(tab))
    assert second.claims(tokens["access_token"])["aud"] == BOARD
    assert len(alice.urls(town.idp.issuer)) == upstream
    second.close()


def test_consent_to_one_app_never_serves_another(alice: Profile, town: Town, app: App):
    """Rule A1 [GHSA-c2jp-c369-7pvx]: the second app has its own page, and nothing was issued before its answer."""
    alice.log_in(app)
    answers = len(town.landing.answers)
    other = town.app("planner")
    tab = alice.open(other.authorization_url())
    assert "Planner" in tab.inner_text("h1")
    assert len(town.landing.answers) == answers
    other.close()


def test_a_denial_reaches_the_app_and_nobody_else(alice: Profile, town: Town, app: App):
    """Rules A1, C9: nothing is forwarded upstream before approval, and a denial leaves no cookie that a callback would accept."""
    tab = alice.open(app.authorization_url())
    tab.get_by_role("button", name="Deny").click()
    answer = alice.landed(tab)
    app.check_origin(answer)
    assert answer["error"] == "access_denied"
    assert alice.urls(town.idp.issuer) == []
    assert set(alice.cookies()) == {"broker-csrf"}


def test_signing_out_brings_the_providers_buttons_back(alice: Profile, app: App):
    """Contract: POST /logout ends the browser's session; connected apps keep their grants."""
    tokens = app.redeem(alice.log_in(app))
    tab = alice.open(app.authorization_url())
    assert tab.locator('button[value="allow"]').count() == 1
    tab.evaluate(
        "url => { const f = document.createElement('form'); f.method = 'post'; f.action = url; document.body.append(f); f.submit(); }",
        app.issuer + "/logout",
    )
    tab.wait_for_url(app.issuer + "/logout")
    assert "broker-session" not in alice.cookies()
    tab.goto(app.authorization_url())
    assert tab.locator('button[name="provider"]').count() == 1
    assert tab.locator('button[value="allow"]').count() == 0
    assert app.refresh(tokens["refresh_token"])[0] == 200
