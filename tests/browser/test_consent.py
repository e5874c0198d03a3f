"""What other people's browsers and other people's pages cannot do to a login: rules A1 to A10, in headless Chromium."""

from __future__ import annotations

import html

import pytest
from playwright.sync_api import Locator, Page

from tests.browser.conftest import NewProfile
from tests.browser.people import Profile, Town
from tests.e2e.app import App

pytestmark = pytest.mark.e2e

AT_650_MS = """button => {
    button.style.animation = 'none';
    button.getBoundingClientRect();
    button.style.animation = '';
    const [armed] = button.getAnimations();
    armed.pause();
    armed.currentTime = 650;
}"""
ARMED = "button => button.getAnimations().forEach(guard => guard.finish())"


def hidden(tab: Page) -> dict[str, str]:
    """The hidden fields of a consent page."""
    return {name: tab.locator(f'input[name="{name}"]').input_value() for name in ("request", "csrf")}


def put(tab: Page, fields: dict[str, str]) -> None:
    """Replace the hidden fields of a consent page by those of another."""
    for name, value in fields.items():
        tab.locator(f'input[name="{name}"]').evaluate("(field, value) => { field.value = value; }", value)


def form(action: str, fields: dict[str, str]) -> str:
    """A page that sends a form by itself."""
    inputs = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">' for name, value in fields.items()
    )
    return f'<form method="post" action="{action}">{inputs}</form><script>document.forms[0].submit()</script>'


def test_a_link_prepared_by_one_person_and_opened_by_another_ends_in_a_page(
    alice: Profile, bob: Profile, town: Town, app: App
):
    """Rules A2, A10 [CVE-2026-27124]: the provider's token endpoint is never asked, and nobody is logged in as somebody else."""
    redeemed, answers = town.idp.requests("POST", "/token"), len(town.landing.answers)
    prepared = alice.allow_and_reach_the_provider(alice.open(app.authorization_url()))
    victim = bob.open(prepared)
    bob.sign_in(victim, "bob")
    victim.wait_for_url(app.issuer + "/callback/oidc?**")
    assert bob.statuses("/callback/oidc") == [400]
    assert "another browser" in victim.inner_text("main")
    assert town.idp.requests("POST", "/token") == redeemed
    assert len(town.landing.answers) == answers
    assert "broker-session" not in bob.cookies()


def test_a_login_that_came_back_in_the_wrong_browser_is_burnt_for_the_right_one_too(
    alice: Profile, bob: Profile, town: Town, app: App
):
    """Rule A2: the state is single use, whoever brings it."""
    tab = alice.open(app.authorization_url())
    prepared = alice.allow_and_reach_the_provider(tab)
    victim = bob.open(prepared)
    bob.sign_in(victim, "bob")
    victim.wait_for_url(app.issuer + "/callback/oidc?**")
    alice.sign_in(tab, "alice")
    tab.wait_for_url(app.issuer + "/callback/oidc?**")
    assert alice.statuses("/callback/oidc") == [400]


def test_a_consent_page_cannot_be_submitted_from_another_browser(alice: Profile, bob: Profile, town: Town, app: App):
    """Rule A3: even from a page of ours, with the fields of somebody else's page."""
    asked = town.idp.requests("GET", "/auth")
    taken = hidden(alice.open(app.authorization_url()))
    tab = bob.open(app.authorization_url())
    put(tab, taken)
    tab.locator('button[name="provider"]').click()
    tab.wait_for_url(app.issuer + "/consent")
    assert bob.statuses("/consent") == [400]
    assert "broker-login" not in bob.cookies()
    assert town.idp.requests("GET", "/auth") == asked


def test_a_strangers_page_cannot_answer_for_a_person_who_is_signed_in(alice: Profile, town: Town, app: App):
    """Rule A6: with the very fields of the person's own page, but from another site."""
    alice.log_in(app)
    fields = hidden(alice.open(app.authorization_url()))
    answers = len(town.landing.answers)
    attack = town.stranger.page("/consent-attack", form(app.issuer + "/consent", {**fields, "decision": "allow"}))
    tab = alice.open(attack)
    tab.wait_for_url(app.issuer + "/consent")
    assert alice.statuses("/consent")[-1] == 400
    assert len(town.landing.answers) == answers


def test_a_strangers_page_cannot_sign_a_person_out(alice: Profile, town: Town, app: App):
    """Rule A6, for the other form of ours."""
    alice.log_in(app)
    tab = alice.open(town.stranger.page("/logout-attack", form(app.issuer + "/logout", {})))
    tab.wait_for_url(app.issuer + "/logout")
    assert alice.statuses("/logout") == [400]
    assert alice.open(app.authorization_url()).locator('button[value="allow"]').count() == 1


def test_a_link_from_a_strangers_page_shows_the_consent_page_and_issues_nothing(alice: Profile, town: Town, app: App):
    """Rules A4, A5 [GHSA-6x8h-498w-gv8c]: a remembered consent shortens the page, never removes it; a change brings the long one."""
    tab = alice.open(app.authorization_url())
    tab.locator('input[name="remember"]').check()
    alice.allow_and_reach_the_provider(tab)
    alice.sign_in(tab, "alice")
    alice.landed(tab)
    answers = len(town.landing.answers)
    link = html.escape(app.authorization_url())
    tab = alice.open(town.stranger.page("/link", f'<a href="{link}">Free kittens</a>'))
    tab.get_by_role("link").click()
    tab.wait_for_url(app.issuer + "/authorize?**")
    assert "You allowed exactly this before" in tab.inner_text("main")
    assert len(town.landing.answers) == answers
    tab.goto(app.authorization_url(scope="notes:read notes:write"))
    assert "You allowed exactly this before" not in tab.inner_text("main")
    tab.goto(app.authorization_url())
    tab.locator('button[value="allow"]').click()
    assert app.redeem(alice.landed(tab))["scope"] == "notes:read"


def test_the_consent_page_refuses_to_be_framed(alice: Profile, town: Town, app: App):
    """Rule A7: Chromium shows its own error in the frame, and the page is never painted."""
    frame = f'<iframe width="800" height="600" src="{html.escape(app.authorization_url())}"></iframe>'
    tab = alice.open(town.stranger.page("/frame", frame))
    [inner] = [found for found in tab.frames if found != tab.main_frame]
    inner.wait_for_load_state()
    assert inner.url.startswith("chrome-error:")
    assert alice.statuses("/authorize") == [200]


def test_an_error_page_refuses_to_be_framed_too(alice: Profile, town: Town, app: App):
    """Rule A7: errors included."""
    wrong = html.escape(app.authorization_url(client_id="nobody"))
    tab = alice.open(town.stranger.page("/frame-error", f'<iframe src="{wrong}"></iframe>'))
    [inner] = [found for found in tab.frames if found != tab.main_frame]
    inner.wait_for_load_state()
    assert inner.url.startswith("chrome-error:")
    assert alice.statuses("/authorize") == [400]


def test_two_tabs_and_a_reload_all_stay_usable(alice: Profile, app: App, town: Town):
    """Rule A8: renderings of the same request and of another app's, finished in any order."""
    other = town.app("planner")
    first, second = alice.open(app.authorization_url()), alice.open(other.authorization_url())
    first.reload()
    alice.allow_and_reach_the_provider(first)
    alice.allow_and_reach_the_provider(second)
    alice.sign_in(first, "alice")
    assert app.redeem(alice.landed(first))["scope"] == "notes:read"
    alice.sign_in(second, "alice")
    assert other.redeem(alice.landed(second))["scope"] == "notes:read"
    other.close()


def test_many_open_logins_do_not_overflow_the_browser(alice: Profile, town: Town):
    """Rule A8: ten tabs at the provider, two cookies, and the oldest still works."""
    apps = [town.app() for _ in range(10)]
    tabs = [alice.open(app.authorization_url()) for app in apps]
    for tab in tabs:
        alice.allow_and_reach_the_provider(tab)
    assert set(alice.cookies()) == {"broker-csrf", "broker-login"}
    alice.sign_in(tabs[0], "alice")
    assert apps[0].redeem(alice.landed(tabs[0]))["scope"] == "notes:read"
    for app in apps:
        app.close()


def test_a_doubled_click_on_the_providers_button_is_one_login(alice: Profile, town: Town, app: App):
    """Rule A9: the later approval replaces the earlier login, and the person notices nothing."""
    tab = alice.open(app.authorization_url())
    tab.locator('button[name="provider"]').dblclick()
    tab.wait_for_url(town.idp.issuer + "/sign-in/**")
    answers = len(town.landing.answers)
    alice.sign_in(tab, "alice")
    assert app.redeem(alice.landed(tab))["scope"] == "notes:read"
    assert len(town.landing.answers) == answers + 1


def test_a_doubled_click_on_allow_leaves_one_code_that_works(alice: Profile, town: Town, app: App):
    """Rule A9: whichever answer the browser follows, the app is connected once."""
    alice.log_in(app)
    tab = alice.open(app.authorization_url())
    tab.locator('button[value="allow"]').dblclick()
    assert app.redeem(alice.landed(tab))["scope"] == "notes:read"


def test_a_page_that_was_answered_is_not_answered_again(alice: Profile, town: Town, app: App):
    """Rule A9: once the app has its tokens, the same page's answer is refused with a page and issues nothing."""
    alice.log_in(app)
    tab = alice.open(app.authorization_url())
    answered = hidden(tab)
    tab.locator('button[value="allow"]').click()
    app.redeem(alice.landed(tab))
    answers = len(town.landing.answers)
    tab = alice.open(app.authorization_url())
    put(tab, answered)
    tab.locator('button[value="allow"]').click()
    tab.wait_for_url(app.issuer + "/consent")
    assert alice.statuses("/consent")[-1] == 400
    assert len(town.landing.answers) == answers


def middle_of(button: Locator) -> tuple[float, float]:
    """Where a pointer would press."""
    box = button.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_button_under_a_window_that_closes_cannot_be_pressed_at_once(new_profile: NewProfile, app: App, motion: str):
    """Rule A15 [DoubleClickjacking]: the page has been there for long, and the second of two clicks on a window over it must not count."""
    alice = new_profile(reduced_motion=motion)
    tab = alice.open(app.authorization_url())
    button = tab.locator('button[name="provider"]')
    button.evaluate(ARMED)  # as it is long after the page came
    tab.mouse.click(*middle_of(button))  # the pointer was over the other window, and is over ours now
    assert alice.statuses("/consent") == []
    assert button.evaluate("button => getComputedStyle(button).pointerEvents") == "none"
    button.evaluate(ARMED)  # as it is 700 ms later
    tab.mouse.click(*middle_of(button))
    tab.wait_for_url("**/sign-in/**")
    assert alice.statuses("/consent") == [303]


def test_the_pointer_that_comes_back_waits_again(alice: Profile, app: App):
    """Rule A15: each time that a window comes between."""
    tab = alice.open(app.authorization_url())
    button = tab.locator('button[name="provider"]')
    for _ in range(2):
        tab.mouse.move(*middle_of(button))
        button.evaluate(ARMED)
        tab.mouse.move(-5, -5)
        tab.mouse.click(*middle_of(button))
        assert alice.statuses("/consent") == []
        button.evaluate(ARMED)


def test_a_person_who_moves_about_the_page_does_not_wait(alice: Profile, app: App):
    """Rule A15: the pointer was in the window, so that nothing covered it."""
    tab = alice.open(app.authorization_url())
    button = tab.locator('button[name="provider"]')
    tab.mouse.move(10, 10)
    button.evaluate(ARMED)
    tab.mouse.click(*middle_of(button))
    tab.wait_for_url("**/sign-in/**")


def test_the_keyboard_is_never_kept_waiting(alice: Profile, app: App):
    """Rule A15; WCAG 2.1.1: the guard is against pointers."""
    tab = alice.open(app.authorization_url())
    button = tab.locator('button[name="provider"]')
    tab.mouse.move(*middle_of(button))
    button.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/sign-in/**")


def test_a_finger_waits_once(new_profile: NewProfile, app: App):
    """Rule A15 where nothing can hover: the guard of the page's first 700 ms, and then the first touch counts."""
    alice = new_profile(has_touch=True, is_mobile=True)
    tab = alice.open(app.authorization_url())
    assert tab.evaluate("matchMedia('(hover: none)').matches")
    button = tab.locator('button[name="provider"]')
    button.evaluate(AT_650_MS)
    tab.touchscreen.tap(*middle_of(button))
    assert alice.statuses("/consent") == []
    button.evaluate(ARMED)
    tab.touchscreen.tap(*middle_of(button))
    tab.wait_for_url("**/sign-in/**")
    assert alice.statuses("/consent") == [303]


def test_a_button_that_moves_under_the_pointer_cannot_be_pressed_at_once(alice: Profile, app: App):
    """Rule A15: Allow does nothing in the page's first 700 ms; the test holds the page's own clock, not ours."""
    tab = alice.open(app.authorization_url())
    button = tab.locator('button[name="provider"]')
    tab.mouse.move(10, 10)
    button.evaluate(AT_650_MS)
    tab.mouse.click(*middle_of(button))
    assert alice.statuses("/consent") == []
    button.evaluate(ARMED)
    tab.mouse.click(*middle_of(button))
    tab.wait_for_url("**/sign-in/**")
    assert alice.statuses("/consent") == [303]
