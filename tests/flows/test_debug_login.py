"""/debug/login: what it shows to whom, and that it gives nobody anything (rule G12; A2, A6, B1, B12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from broker.settings import AdminGroup, PolicyRule
from tests.broker.harness import IDP, ISSUER, BrokerUnderTest, Browser, Form, request_ids, running
from tests.flows.test_callback import changed
from tests.providers.scripted_faults import ABSENT, DOWN, error

PAGE = f"{ISSUER}/debug/login"
ADMINS = (AdminGroup(provider="corp", group="/eng/*"),)  # alice is in /eng/platform, carol in /sales
READERS = PolicyRule(name="readers", group=("/eng",), scopes=("files:read",))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[BrokerUnderTest]:
    """A broker whose debug page is on, and whose administrators are in /eng/…."""
    async with running(tmp_path, debug_login=True, admin_groups=ADMINS, policy=(READERS,)) as under_test:
        yield under_test


async def begun(browser: Browser, **fields: str) -> httpx2.Response:
    """Open the page and press the provider's button."""
    page = await browser.open(PAGE)
    assert page.status_code == 200, page.text
    return await browser.answer(page, "provider", "corp", **fields)


async def waiting(browser: Browser, **fields: str) -> str:
    """Walk the login and return the callback URL before it is opened."""
    back = await browser.at_idp(await begun(browser, **fields))
    return str(back.headers["location"])


async def walked(browser: Browser, **fields: str) -> httpx2.Response:
    """Walk the whole login; return the page at its end."""
    return await browser.open(await waiting(browser, **fields), accept="text/html")


async def test_an_administrator_sees_claims_groups_and_the_decision_for_each_server(broker: BrokerUnderTest):
    """Rule G12: everything that the login gave, as policy sees it."""
    page = await walked(broker.browser(), show="yes")

    assert page.status_code == 200
    for shown in ("u-alice", "alice@example.com", "/eng/platform", "Alice A", IDP, "preferred_username"):
        assert shown in page.text
    assert "Allowed: files:read (rule: readers)" in page.text
    assert "Refused (rule: no match)" not in page.text.partition("<h3>Mail</h3>")[0]
    assert "Refused" in page.text.partition("<h3>Mail</h3>")[2]
    (event,) = await broker.events("login.debugged")
    assert event["subject"].startswith("u_")
    assert event["provider"] == "corp"


async def test_values_are_masked_unless_asked_for(broker: BrokerUnderTest):
    page = await walked(broker.browser())

    assert page.status_code == 200
    for hidden in ("alice@example.com", "Alice A", "u-alice"):
        assert hidden not in page.text
    assert "a… (17 characters)" in page.text
    assert "/eng/platform" in page.text, "groups are what one came to see"
    assert IDP in page.text


@pytest.mark.parametrize("show", [{}, {"show": "yes"}], ids=["masked", "in full"])
async def test_no_token_and_no_handle_is_ever_shown(broker: BrokerUnderTest, show: dict[str, str]):
    """Rules B13, G12."""
    browser = broker.browser()
    page = await walked(browser, **show)

    asked = broker.idp.calls("authorize")[0].params
    redeemed = broker.idp.calls("token")[0].params
    secrets = [asked["nonce"], asked["state"], redeemed["code"], redeemed["code_verifier"], broker.idp.client_secret]
    secrets += [cookie.value for cookie in browser.http.cookies.jar]
    assert not [secret for secret in secrets if secret and secret in page.text]
    assert "eyJ" not in page.text
    assert "(hidden)" in page.text


async def test_it_gives_nobody_a_code_a_token_or_a_session(broker: BrokerUnderTest):
    """Rule G12: no cookie but the login's and the form's, no redirect, nothing in the store but the person."""
    browser = broker.browser()
    page = await walked(browser)

    assert "location" not in page.headers
    assert "set-cookie" not in page.headers
    assert not [c.name for c in browser.http.cookies.jar if "session" in c.name]
    for name in ("code.issued", "session.started", "token.issued"):
        assert await broker.events(name) == []
    consent = await browser.authorize()
    assert ("provider", "corp") in Form(consent.text).buttons, "the browser is signed in nowhere"


@pytest.mark.parametrize(
    ("who", "said"), [("carol", "not known as an administrator"), ("bob", "not known as an administrator")]
)
async def test_others_see_nothing(broker: BrokerUnderTest, who: str, said: str):
    """Rule G12: carol is in another group, bob in none."""
    broker.idp.sign_in_as = who
    page = await walked(broker.browser(), show="yes")

    assert page.status_code == 403
    assert said in page.text
    for hidden in (who + "@example.com", "/sales", "readers"):
        assert hidden not in page.text
    assert (await broker.events("login.refused"))[0]["reason"] == "no administrator"
    assert await broker.events("login.debugged") == []


async def test_unknown_groups_make_nobody_an_administrator_and_the_person_is_told_why(broker: BrokerUnderTest):
    """Unknown fails closed; the word is ours and about the person's own login."""
    broker.idp.faults.claims["groups"] = broker.idp.faults.userinfo["groups"] = ABSENT
    page = await walked(broker.browser(), show="yes")

    assert page.status_code == 403
    assert "claim_absent" in page.text
    assert "alice@example.com" not in page.text


async def test_who_is_signed_in_as_administrator_may_look_at_anybodys_login(broker: BrokerUnderTest):
    """So that an administrator can find out why somebody else's groups are unknown."""
    browser = broker.browser()
    await browser.login()
    broker.idp.sign_in_as = "carol"
    broker.idp.faults.claims["groups"] = broker.idp.faults.userinfo["groups"] = ABSENT
    page = await walked(browser, show="yes")

    assert page.status_code == 200
    assert "Unknown: <code>claim_absent</code>" in page.text
    assert "carol@example.com" in page.text
    assert "set-cookie" not in page.headers, "the administrator's own session stays"


async def test_a_session_of_somebody_else_opens_nothing(broker: BrokerUnderTest):
    broker.idp.sign_in_as = "carol"
    browser = broker.browser()
    assert (await browser.login()).status_code == 403
    assert await broker.events("session.started")
    page = await walked(browser)

    assert page.status_code == 403


async def test_a_person_who_may_not_sign_in_is_no_administrator(tmp_path: Path):
    """The provider's own restriction comes first."""
    restricted = {"allowed_groups": ("/other",)}
    async with running(tmp_path, provider=restricted, debug_login=True, admin_groups=ADMINS) as broker:
        assert (await walked(broker.browser())).status_code == 403


async def test_without_its_switch_there_is_no_such_page(tmp_path: Path):
    """Rule G12."""
    async with running(tmp_path, admin_groups=ADMINS) as broker:
        http = broker.http()
        assert (await http.get(PAGE)).status_code == 404
        assert (await http.post(PAGE, data={"provider": "corp"})).status_code == 404


async def test_a_login_begun_before_the_switch_went_off_ends_in_a_page(tmp_path: Path):
    """Nothing that finishes the logins of apps finishes this one."""
    async with running(tmp_path, debug_login=True, admin_groups=ADMINS) as broker:
        browser = broker.browser()
        url = await waiting(browser)
        cookies = {c.name: c.value or "" for c in browser.http.cookies.jar}
        idp = broker.idp
    async with running(tmp_path, idp=idp) as broker:
        browser = broker.browser()
        for name, value in cookies.items():
            browser.http.cookies.set(name, value, domain="broker.example.com")
        before = len(broker.idp.calls("token"))
        page = await browser.open(url, accept="text/html")
        assert page.status_code == 400
        assert "location" not in page.headers
        assert len(broker.idp.calls("token")) == before
        assert await broker.events("code.issued") == []


async def test_another_browser_cannot_see_the_result(broker: BrokerUnderTest):
    """Rule A2: the link burns the login and asks nobody."""
    browser, stranger = broker.browser(), broker.browser()
    url = await waiting(browser)
    page = await stranger.open(url, accept="text/html")

    assert page.status_code == 400
    assert broker.idp.calls("token") == []
    assert (await browser.open(url)).status_code == 400


async def test_a_result_is_shown_once(broker: BrokerUnderTest):
    """Rule B3."""
    browser = broker.browser()
    url = await waiting(browser)

    assert (await browser.open(url)).status_code == 200
    assert (await browser.open(url)).status_code == 400


async def test_a_debug_login_and_an_apps_login_never_stand_in_for_each_other(broker: BrokerUnderTest):
    """Rule B2: what is stored with the state decides, whatever the browser does."""
    browser = broker.browser()
    consent = await browser.authorize()
    back = await browser.at_idp(await browser.answer(consent, "provider", "corp"))
    app_url, debug_url = str(back.headers["location"]), await waiting(browser)

    shown = await browser.open(debug_url)
    done = await browser.open(app_url)

    assert shown.status_code == 200
    assert "location" not in shown.headers
    assert done.status_code == 303
    assert done.headers["location"].startswith("https://trusted.example.com/cb?code=")


@pytest.mark.parametrize("iss", ["https://evil.example", ABSENT], ids=["foreign", "absent"])
async def test_a_mixed_up_answer_is_refused_and_nobody_asked(broker: BrokerUnderTest, iss: object):
    """Rule B1."""
    browser = broker.browser()
    page = await browser.open(changed(await waiting(browser), iss=iss), accept="text/html")

    assert page.status_code == 400
    assert broker.idp.calls("token") == []


@pytest.mark.parametrize(
    ("endpoint", "answer", "word"),
    [("token", error(400, "invalid_grant"), "invalid_grant"), ("token", DOWN, "token_unavailable")],
    ids=["refused", "down"],
)
async def test_a_failure_at_the_provider_is_told_to_administrators_in_our_words(
    broker: BrokerUnderTest, endpoint: str, answer: Any, word: str
):
    """Rule B12: our word for it, never the provider's; others read the reference."""
    stranger, admin = broker.browser(), broker.browser()
    await admin.login()
    broker.idp.faults.answers[endpoint] = answer

    page = await walked(stranger)
    assert page.status_code == 400
    assert word not in page.text
    page = await walked(admin)
    assert page.status_code == 400
    assert word in page.text
    assert "upstream words" not in page.text
    assert {e["reason"] for e in await broker.events("login.failed")} == {word}


async def test_who_says_no_at_the_provider_stays_here(broker: BrokerUnderTest):
    """No redirect to anybody, whatever the provider answers."""
    broker.idp.faults.callback["error"] = "access_denied"
    page = await walked(broker.browser())

    assert page.status_code == 400
    assert "location" not in page.headers
    assert "href" not in page.text.partition("<main>")[2].replace(f'href="{PAGE}"', "")


async def test_a_provider_that_is_down_is_a_page(broker: BrokerUnderTest):
    broker.oracle.outage = True
    broker.idp.faults.answers["discovery"] = DOWN
    page = await begun(broker.browser())

    assert page.status_code == 503
    assert page.headers["retry-after"]


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"sec-fetch-site": "cross-site"}, {}),
        ({"origin": "https://evil.example"}, {}),
        ({"sec-fetch-site": "same-origin"}, {"csrf": "0" * 64}),
        ({"sec-fetch-site": "same-origin"}, {"csrf": ""}),
    ],
    ids=["another site", "another origin", "another token", "no token"],
)
async def test_a_post_that_is_not_the_pages_own_begins_nothing(
    broker: BrokerUnderTest, headers: dict[str, str], fields: dict[str, str]
):
    """Rule A6."""
    browser = broker.browser()
    form = Form((await browser.open(PAGE)).text)
    answer = await browser.http.post(
        PAGE, data={**form.fields, "provider": "corp", **fields}, headers={"accept": "text/html", **headers}
    )

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert await broker.events("login.started") == []


@pytest.mark.parametrize("provider", ["nobody", "", "corp/../x"])
async def test_an_unknown_provider_begins_nothing(broker: BrokerUnderTest, provider: str):
    browser = broker.browser()
    form = Form((await browser.open(PAGE)).text)
    answer = await browser.submit(form, {"provider": provider})

    assert answer.status_code == 400
    assert "location" not in answer.headers


async def test_opening_the_page_writes_nothing_and_head_begins_nothing(broker: BrokerUnderTest):
    """Rule C15."""
    browser = broker.browser()
    await browser.open(PAGE)
    url = await waiting(browser)
    before = len(await broker.store.read_events(limit=100))
    await browser.open(PAGE)
    assert (await browser.http.head(url)).status_code in (400, 405)

    assert len(await broker.store.read_events(limit=100)) == before
    assert (await browser.open(url)).status_code == 200


@pytest.mark.parametrize("anew", [True, False])
async def test_a_new_sign_in_is_asked_for_where_it_is_wanted(broker: BrokerUnderTest, anew: bool):  # noqa: FBT001 - a table
    await walked(broker.browser(), **({"anew": "yes"} if anew else {}))

    assert ("login" in broker.idp.calls("authorize")[0].params.get("prompt", "").split()) is anew


async def test_what_a_provider_writes_is_text_on_the_page(broker: BrokerUnderTest):
    """Rule D2's kind: no markup, no control characters, nothing endless."""
    evil = "<script>alert(1)</script>\u202e" + "x" * 5000
    broker.idp.faults.claims |= {"name": evil, evil: {"deep": [evil, 1, None, True, {"x": False}]}}
    page = await walked(broker.browser(), show="yes")

    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "\u202e" not in page.text
    assert "x" * 600 not in page.text


async def test_a_database_that_is_away_is_a_page_that_says_so(broker: BrokerUnderTest):
    """Outage: 503 with `Retry-After`, in words for the person who sits there, with the reference that the log has."""
    browser = broker.browser()
    page = await browser.open(PAGE)
    broker.oracle.outage = True
    await broker.store.close()
    answer = await browser.answer(page, "provider", "corp")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["content-type"].startswith("text/html")
    assert request_ids(answer.text)
