"""The consent page and its POST (architecture, section 4; security rules A1 to A15)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from broker.model import Resource, digest
from tests.broker.harness import FILES, IDP, ISSUER, MAIL, TRUSTED, BrokerUnderTest, Form, query_of, running

SAME_ORIGIN = {"sec-fetch-site": "same-origin"}


async def rows(broker: BrokerUnderTest) -> int:
    """Return how many audit events there are: every change of state leaves one."""
    return len(await broker.store.read_events(limit=1000))


async def register(broker: BrokerUnderTest, **changes: object) -> str:
    """Register a client as a stranger does and return its id."""
    body = {
        "client_name": "Stranger",
        "redirect_uris": ["https://stranger.example/cb"],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        **changes,
    }
    async with broker.http() as http:
        response = await http.post(f"{ISSUER}/register", json=body)
    assert response.status_code == 201, response.text
    broker.oracle.registered.update(response.json()["redirect_uris"])
    return str(response.json()["client_id"])


async def test_the_page_shows_who_asks_for_what_and_where_the_answer_goes(broker: BrokerUnderTest):
    """Contract of the consent page; security rule A12."""
    page = await broker.browser().authorize(scope="files:read files:write")
    for words in (
        "Trusted App",
        "Files",
        FILES.url,
        "Read your files",
        "Change your files",
        "trusted.example.com",
        "openid",
    ):
        assert words in page.text
    form = Form(page.text)
    assert form.action == f"{ISSUER}/consent"
    assert set(form.fields) == {"request", "csrf"}
    assert form.buttons == [("provider", "corp"), ("decision", "deny")]


async def test_rendering_the_page_writes_nothing_and_sets_only_the_csrf_cookie(broker: BrokerUnderTest):
    """Security rules A3, C15: GET and HEAD have no effect; no state or login cookie exists before approval."""
    before = await rows(broker)
    browser = broker.browser()
    page = await browser.authorize()
    head = await browser.http.head(broker.authorize_url())
    assert [c.name for c in browser.http.cookies.jar] == ["__Host-broker-csrf"]
    assert page.headers.get_list("set-cookie")[0].startswith("__Host-broker-csrf=")
    assert head.status_code == 200
    assert not head.content
    assert await rows(broker) == before
    assert broker.idp.requests == []


async def test_consent_to_one_client_never_serves_another(broker: BrokerUnderTest):
    """Security rule A1: who is signed in and approved one app is asked again for the next one."""
    browser = broker.browser()
    await browser.login()
    other = await register(broker)
    page = await browser.authorize(client_id=other, redirect_uri="https://stranger.example/cb")
    assert page.status_code == 200
    assert ("decision", "allow") in Form(page.text).buttons
    assert "unverified" in page.text


async def test_nothing_goes_upstream_before_the_post(broker: BrokerUnderTest):
    """Security rules A1, A3."""
    browser = broker.browser()
    page = await browser.authorize()
    assert broker.idp.calls("authorize") == []
    answer = await browser.answer(page, "provider", "corp")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(IDP)
    names = [h.partition("=")[0] for h in answer.headers.get_list("set-cookie")]
    assert names == ["__Host-broker-login"]


async def test_a_page_rendered_for_one_browser_cannot_be_submitted_from_another(broker: BrokerUnderTest):
    """Security rules A3, A6."""
    victim, attacker = broker.browser(), broker.browser()
    page = await attacker.authorize()
    await victim.authorize()
    answer = await victim.answer(page, "provider", "corp")
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("field", ["csrf", "request"])
async def test_a_changed_form_is_refused(broker: BrokerUnderTest, field: str):
    """Security rules A6, F6: a changed character makes either handle worthless."""
    browser = broker.browser()
    form = Form((await browser.authorize()).text)
    original = form.fields[field]
    for position in (0, len(original) // 2, len(original) - 5):
        swapped = "A" if original[position] != "A" else "B"
        form.fields[field] = original[:position] + swapped + original[position + 1 :]
        answer = await browser.submit(form, {"provider": "corp"})
        assert answer.status_code == 400
    form.fields[field] = ""
    assert (await browser.submit(form, {"provider": "corp"})).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": ISSUER},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_a_post_from_elsewhere_is_refused(broker: BrokerUnderTest, headers: dict[str, str]):
    """Security rule A6: Sec-Fetch-Site decides; Origin only where it is absent."""
    browser = broker.browser()
    form = Form((await browser.authorize()).text)
    answer = await browser.http.post(form.action, data={**form.fields, "provider": "corp"}, headers=headers)
    assert answer.status_code == 400
    assert broker.idp.requests == []


async def test_our_own_origin_counts_where_fetch_metadata_is_absent(broker: BrokerUnderTest):
    """Security rule A6; the page itself says Referrer-Policy: same-origin, so a browser's own POST has an Origin."""
    browser = broker.browser()
    page = await browser.authorize()
    assert page.headers["referrer-policy"] == "same-origin"
    form = Form(page.text)
    answer = await browser.http.post(form.action, data={**form.fields, "provider": "corp"}, headers={"origin": ISSUER})
    assert answer.status_code == 303


async def test_only_a_urlencoded_body_is_read(broker: BrokerUnderTest):
    """Security rules A6, G6: no multipart, no JSON, nothing from the query."""
    browser = broker.browser()
    form = Form((await browser.authorize()).text)
    fields = {**form.fields, "provider": "corp"}
    multipart = await browser.http.post(
        form.action, files={k: (None, v) for k, v in fields.items()}, headers=SAME_ORIGIN
    )
    as_json = await browser.http.post(form.action, json=fields, headers=SAME_ORIGIN)
    in_query = await browser.http.post(form.action, params=fields, headers=SAME_ORIGIN)
    assert [multipart.status_code, as_json.status_code, in_query.status_code] == [400, 400, 400]


async def test_every_page_forbids_framing_and_loads_nothing(broker: BrokerUnderTest):
    """Security rules A7, C14: errors included; no form-action, which Chromium applies to the redirect after consent."""
    browser = broker.browser()
    pages = [
        await browser.authorize(),
        await browser.authorize(client_id="nobody"),
        await browser.open(f"{ISSUER}/callback/corp?state=x", accept="text/html"),
    ]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action" not in policy
        assert page.headers["x-frame-options"] == "DENY"
        assert "<script" not in page.text
        assert "http" not in page.text.partition("</style>")[0]


async def test_two_renderings_of_one_request_both_stay_usable(broker: BrokerUnderTest):
    """Security rule A8: prefetch, reload, two tabs."""
    browser = broker.browser()
    first, second = await browser.authorize(), await browser.authorize()
    assert (await browser.answer(first, "provider", "corp")).status_code == 303
    assert (await browser.answer(second, "provider", "corp")).status_code == 303


async def test_a_second_tab_does_not_break_the_first(broker: BrokerUnderTest):
    """Security rule A8: the login cookie is one secret a browser, so many open logins never overflow its cookies."""
    browser = broker.browser()
    pages = [await browser.authorize(state=f"tab-{n}") for n in range(12)]
    at_idp = [await browser.at_idp(await browser.answer(page, "provider", "corp")) for page in pages]
    assert len(list(browser.http.cookies.jar)) == 2
    for number in (11, 0, 5):
        done = await browser.http.get(at_idp[number].headers["location"])
        assert query_of(done)["state"] == f"tab-{number}"


async def test_a_doubled_approval_ends_in_one_login(broker: BrokerUnderTest):
    """Security rule A9: the later of two approvals of one page replaces the earlier."""
    browser = broker.browser()
    page = await browser.authorize()
    first, second = await asyncio.gather(*(browser.answer(page, "provider", "corp") for _ in range(2)))
    assert {first.status_code, second.status_code} == {303}
    outcomes = []
    for answer in (first, second):
        back = await browser.at_idp(answer)
        outcomes.append((await browser.http.get(back.headers["location"])).status_code)
    assert sorted(outcomes) == [303, 400]


async def test_a_doubled_allow_gives_one_code_that_works(broker: BrokerUnderTest):
    """Security rule A9, for who is signed in: both answers redirect, the later code works, the earlier does not."""
    browser = broker.browser()
    await browser.login()
    page = await browser.authorize()
    first = await browser.answer(page, "decision", "allow")
    second = await browser.answer(page, "decision", "allow")
    assert (await broker.redeem(query_of(first)["code"])).json()["error"] == "invalid_grant"
    assert (await broker.redeem(query_of(second)["code"])).status_code == 200
    third = await browser.answer(page, "decision", "allow")
    assert third.status_code == 400
    assert "given already" in third.text


async def test_an_approval_after_the_login_was_finished_is_refused(broker: BrokerUnderTest):
    """Security rule A9: a retried POST of an old page starts no second login."""
    browser = broker.browser()
    page = await browser.authorize()
    back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
    assert (await browser.http.get(back.headers["location"])).status_code == 303
    again = await browser.answer(page, "provider", "corp")
    assert again.status_code == 400


async def test_who_is_signed_in_skips_the_provider_but_never_the_page(broker: BrokerUnderTest):
    """Security rules A4, A10: opening a link never gives a code; the second MCP server needs no second sign-in."""
    browser = broker.browser()
    await browser.login()
    upstream_logins = len(broker.idp.calls("authorize"))
    page = await browser.authorize(resource=MAIL.url)
    assert page.status_code == 200
    assert "location" not in page.headers
    assert Form(page.text).buttons == [("decision", "allow"), ("decision", "deny"), ("decision", "switch")]
    assert "Alice A" in page.text
    done = await browser.answer(page, "decision", "allow")
    assert (await broker.redeem(query_of(done)["code"])).json()["scope"] == "mail:read"
    assert len(broker.idp.calls("authorize")) == upstream_logins


async def test_another_person_at_the_post_is_asked_again(broker: BrokerUnderTest):
    """Security rule A13: the page names alice; by the time of the POST bob is signed in."""
    browser = broker.browser()
    await browser.login()
    page = await browser.authorize(resource=MAIL.url)
    broker.idp.sign_in_as = "bob"
    await browser.login(prompt="login")
    answer = await browser.answer(page, "decision", "allow")
    assert answer.status_code == 200
    assert "Bob B" in answer.text
    assert ("decision", "allow") in Form(answer.text).buttons


async def test_a_page_that_names_a_person_starts_no_login_for_another(broker: BrokerUnderTest):
    """Security rule A13: the page shows alice and offers no provider; a made-up `provider` would give the code to whoever signs in."""
    browser = broker.browser()
    await browser.login()
    page = await browser.authorize(resource=MAIL.url)
    logins = len(broker.idp.calls("authorize"))
    answer = await browser.submit(Form(page.text), {"provider": "corp"})
    assert answer.status_code == 200
    assert ("decision", "allow") in Form(answer.text).buttons
    assert "Alice A" in answer.text
    assert len(broker.idp.calls("authorize")) == logins


async def test_switching_accounts_shows_the_providers_again(broker: BrokerUnderTest):
    browser = broker.browser()
    await browser.login()
    page = await browser.answer(await browser.authorize(), "decision", "switch")
    assert ("provider", "corp") in Form(page.text).buttons
    broker.idp.sign_in_as = "bob"
    back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
    done = await browser.http.get(back.headers["location"])
    tokens = (await broker.redeem(query_of(done)["code"])).json()
    assert tokens["access_token"]
    subjects = {e["subject"] for e in await broker.events("code.issued")}
    assert len(subjects) == 2


async def test_a_loopback_client_is_warned_about_pasting_addresses(broker: BrokerUnderTest):
    """Security rules A12, A14."""
    page = await broker.browser().authorize(client_id="native", redirect_uri="http://127.0.0.1:5000/callback")
    assert "Never paste the address" in page.text
    assert "on this computer" in page.text


@pytest.mark.parametrize("uri", ["cursor://claude.ai/x", "cursor://claude.ai:443", "cursor:/claude.ai/x", "cursor:x"])
async def test_a_private_use_redirect_names_the_program_and_never_a_host(tmp_path: Path, uri: str):
    """Security rules A12, A14: whatever registered the scheme on this computer gets the answer, not claude.ai."""
    async with running(tmp_path, redirect_schemes=("cursor",)) as broker:
        client = await register(broker, redirect_uris=[uri])
        page = await broker.browser().authorize(client_id=client, redirect_uri=uri)
    assert "<dd>the program registered for cursor:</dd>" in page.text
    assert "claude.ai" not in page.text
    assert "Never paste the address" in page.text


async def test_allow_does_nothing_in_the_first_moment(broker: BrokerUnderTest):
    """Security rule A15: the stylesheet keeps pointers off Allow for 700 ms, from the page's coming and from the pointer's."""
    page = await broker.browser().authorize()
    assert "animation: arm 700ms step-end" in page.text
    assert "@media (hover: hover) { :root:hover button.allow { animation-name: rearm; } }" in page.text
    assert 'class="allow"' in page.text


async def test_names_from_strangers_are_shown_as_such(broker: BrokerUnderTest):
    """Security rules A12, D2: no markup, no control, bidi or zero-width characters, bounded length."""
    client = await register(broker, client_name="<img src=x onerror=1>\u202eevil\u200b\u0007" + "A" * 500)
    page = await broker.browser().authorize(client_id=client, redirect_uri="https://stranger.example/cb")
    assert "<img" not in page.text
    assert not {"\u202e", "\u200b", "\u0007"} & set(page.text)
    assert "A" * 200 not in page.text
    assert "unverified" in page.text


@pytest.mark.parametrize("again", [False, True])
async def test_a_name_cannot_say_that_it_is_verified(tmp_path: Path, again: bool):  # noqa: FBT001 - a table
    """Security rule A12: our verdict stands in a place of its own, and the name in quotation marks that it cannot close."""
    forged = "Claude (verified: claude.ai)\u201d, the real \u201cClaude"
    async with running(tmp_path, remember_consent=True) as broker:
        client = await register(broker, client_name=forged)
        browser = broker.browser()
        asked = {"client_id": client, "redirect_uri": "https://stranger.example/cb"}
        page = await browser.authorize(**asked)
        if again:
            back = await browser.at_idp(await browser.answer(page, "provider", "corp", remember="yes"))
            await browser.http.get(back.headers["location"])
            page = await browser.authorize(**asked)
            assert "You allowed exactly this before" in page.text
    assert "<h1>\u201cClaude (verified: claude.ai)&#39;, the real &#39;Claude\u201d asks for" in page.text
    assert "<dd><strong>unverified</strong>" in page.text
    assert "<dd>verified" not in page.text


async def test_deny_of_a_known_app_goes_back_to_it(broker: BrokerUnderTest):
    """RFC 6749 section 4.1.2.1; security rule C9."""
    browser = broker.browser()
    answer = await browser.answer(await browser.authorize(), "decision", "deny")
    assert answer.status_code == 303
    assert query_of(answer) == {
        "error": "access_denied",
        "error_description": "Access was denied.",
        "state": "client-state-0123456789",
        "iss": ISSUER,
    }
    assert broker.idp.requests == []


async def test_a_page_is_denied_once_however_often_it_is_sent(broker: BrokerUnderTest):
    """Rules A9, D13: every answer is the same, and strangers cannot fill the trail from one page."""
    browser = broker.browser()
    page = await browser.authorize()
    answers = [await browser.answer(page, "decision", "deny") for _ in range(5)]
    assert {query_of(answer)["error"] for answer in answers} == {"access_denied"}
    assert len(await broker.events("consent.denied")) == 1
    await browser.answer(await browser.authorize(), "decision", "deny")
    assert len(await broker.events("consent.denied")) == 2


async def test_deny_of_a_stranger_ends_in_a_page_with_a_link(broker: BrokerUnderTest):
    """Security rule C5: a client that named itself gets no automatic redirect."""
    client = await register(broker)
    browser = broker.browser()
    page = await browser.authorize(client_id=client, redirect_uri="https://stranger.example/cb")
    answer = await browser.answer(page, "decision", "deny")
    assert answer.status_code == 400
    assert "location" not in answer.headers
    link = Form(answer.text).links[0]
    assert link.startswith("https://stranger.example/cb?error=access_denied")


async def test_deny_of_an_app_approved_before_redirects(broker: BrokerUnderTest):
    """Security rule C5: this signed-in person approved this client and redirect before."""
    client = await register(broker)
    browser = broker.browser()
    mine = {"client_id": client, "redirect_uri": "https://stranger.example/cb"}
    assert (await browser.login(**mine)).status_code == 303
    answer = await browser.answer(await browser.authorize(**mine), "decision", "deny")
    assert answer.status_code == 303
    assert query_of(answer)["error"] == "access_denied"


async def test_a_page_older_than_ten_minutes_is_refused(broker: BrokerUnderTest):
    browser = broker.browser()
    page = await browser.authorize()
    broker.clock.forward(601)
    assert (await browser.answer(page, "provider", "corp")).status_code == 400


async def test_a_client_that_changed_since_the_page_was_shown_is_shown_again(tmp_path: Path):
    """Security rules A5, D11: the approval is for the metadata that was shown."""
    client = replace(TRUSTED, client_id="moving")
    async with running(tmp_path) as broker:
        await broker.store.save_client(replace(client, redirect_uris=TRUSTED.redirect_uris), events=[])
        browser = broker.browser()
        page = await browser.authorize(client_id="moving")
        await broker.store.remove_client("moving", now=broker.clock.now(), events=[])
        await broker.store.save_client(replace(client, name="Another Name"), events=[])
        broker.clock.forward(2)
        answer = await browser.answer(page, "provider", "corp")
        assert answer.status_code == 200
        assert "Something changed" in answer.text
        assert "Another Name" in answer.text


async def test_consent_is_remembered_only_where_asked_and_only_shortens_the_page(tmp_path: Path):
    """Security rules A4, A5: opt-in; another scope set asks in full again; `prompt=consent` too."""
    async with running(tmp_path, remember_consent=True) as broker:
        browser = broker.browser()
        page = await browser.authorize()
        back = await browser.at_idp(await browser.answer(page, "provider", "corp", remember="yes"))
        await browser.http.get(back.headers["location"])
        short = await browser.authorize()
        assert "You allowed exactly this before" in short.text
        assert Form(short.text).buttons == [("decision", "allow"), ("decision", "deny"), ("decision", "switch")]
        assert query_of(await browser.answer(short, "decision", "allow"))["code"]
        for changed in ({"scope": "files:read files:write"}, {"resource": MAIL.url}, {"prompt": "consent"}):
            assert "You allowed exactly this before" not in (await browser.authorize(**changed)).text


async def test_the_short_page_has_the_check_mark_that_ends_it(tmp_path: Path):
    """Security rule A5: what a person asked for they can undo; the long page without its check mark undoes nothing."""
    async with running(tmp_path, remember_consent=True) as broker:
        browser = broker.browser()
        back = await browser.at_idp(await browser.answer(await browser.authorize(), "provider", "corp", remember="yes"))
        await browser.http.get(back.headers["location"])
        await browser.answer(await browser.authorize(prompt="consent"), "decision", "allow")
        short = await browser.authorize()
        assert '<input type="checkbox" name="remember" value="yes" checked>' in short.text
        await browser.answer(short, "decision", "allow", remember="yes")
        again = await browser.authorize()
        assert "You allowed exactly this before" in again.text
        assert query_of(await browser.answer(again, "decision", "allow"))["code"]
        assert "You allowed exactly this before" not in (await browser.authorize()).text


async def test_consent_is_not_remembered_by_default(broker: BrokerUnderTest):
    """Architecture: `BROKER_REMEMBER_CONSENT` is off; a forged checkbox changes nothing."""
    browser = broker.browser()
    page = await browser.authorize()
    back = await browser.at_idp(await browser.answer(page, "provider", "corp", remember="yes"))
    await browser.http.get(back.headers["location"])
    assert "You allowed exactly this before" not in (await browser.authorize()).text


async def test_an_unknown_answer_or_provider_is_refused_without_effect(broker: BrokerUnderTest):
    browser = broker.browser()
    form = Form((await browser.authorize()).text)
    for fields in ({}, {"decision": "maybe"}, {"provider": "nobody"}):
        answer = await browser.submit(form, fields)
        assert answer.status_code == 400
        assert "developer" not in answer.text  # the app did nothing wrong
    assert "This way to sign in is not offered" in answer.text
    assert (await browser.submit(form, {"provider": "corp"})).status_code == 303


async def test_a_provider_that_is_down_spends_nothing(broker: BrokerUnderTest):
    """Faults survived: a clear page with 503, recorded and counted as a failed login, and the page works once the provider is back."""
    broker.oracle.outage = True
    from tests.providers.scripted_faults import DOWN  # noqa: PLC0415 - next to its use

    broker.idp.faults.answers["discovery"] = DOWN
    browser = broker.browser()
    page = await browser.authorize()
    answer = await browser.answer(page, "provider", "corp")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    (failed,) = await broker.events("login.failed")
    assert (failed["provider"], failed["fault"]) == ("corp", "transient")
    assert 'mcp_broker_logins_total{outcome="failed",provider="corp"} 1.0' in broker.metrics()
    broker.idp.faults.answers.clear()
    broker.clock.forward(60)
    assert (await browser.answer(page, "provider", "corp")).status_code == 303


async def test_logout_ends_the_session_and_a_foreign_page_cannot_cause_it(broker: BrokerUnderTest):
    browser = broker.browser()
    await browser.login()
    foreign = await browser.http.post(f"{ISSUER}/logout", headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 400
    assert "You were not signed out" in foreign.text
    assert "connection" not in foreign.text
    session = browser.http.cookies["__Host-broker-session"]
    done = await browser.http.post(f"{ISSUER}/logout", headers=SAME_ORIGIN)
    assert done.status_code == 200
    assert await broker.store.find_session(digest(session), now=broker.clock.now()) is None
    browser.http.cookies.set("__Host-broker-session", session, domain=urlsplit(ISSUER).hostname or "")
    assert ("provider", "corp") in Form((await browser.authorize()).text).buttons
    assert len(await broker.events("session.ended")) == 1


@pytest.mark.parametrize(
    "asked", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}, {"max_age": "4"}], ids=str
)
async def test_prompt_and_max_age_lead_to_a_new_sign_in(broker: BrokerUnderTest, asked: dict[str, str]):
    """Security rule C17: honoured, never trusted."""
    browser = broker.browser()
    await browser.login()
    broker.clock.forward(1)
    assert ("provider", "corp") in Form((await browser.authorize(**asked)).text).buttons


async def test_malformed_cookies_count_as_absent(broker: BrokerUnderTest):
    """Security rule G9: odd, doubled or look-alike cookies are ignored, never a 5xx."""
    browser = broker.browser()
    await browser.login()
    session = browser.http.cookies["__Host-broker-session"]
    async with broker.http() as http:
        for header in (
            f"__Host-broker-session={session}; __Host-broker-session={session}",
            f"\xa0__Host-broker-session={session}".encode("latin-1"),
            f"__Host-broker-session={session}x",
            b"\xff\xfe=;;;===",
            "__Host-broker-session",
        ):
            raw = header if isinstance(header, bytes) else header.encode()
            page = await http.get(broker.authorize_url(), headers={b"cookie": raw})
            assert page.status_code == 200
            assert ("provider", "corp") in Form(page.text).buttons
        page = await http.get(broker.authorize_url(), headers={"cookie": f" \t__Host-broker-session={session}"})
        assert ("decision", "allow") in Form(page.text).buttons


async def test_every_login_makes_a_new_session_and_ends_the_old_one(broker: BrokerUnderTest):
    """Security rule G9: no session fixation."""
    browser = broker.browser()
    await browser.login()
    first = browser.http.cookies["__Host-broker-session"]
    await browser.login(prompt="login")
    assert browser.http.cookies["__Host-broker-session"] != first
    assert await broker.store.find_session(digest(first), now=broker.clock.now()) is None


async def test_cookies_carry_the_attributes_that_keep_them_here(broker: BrokerUnderTest):
    """Security rule G9."""
    browser = broker.browser()
    page = await browser.authorize()
    answer = await browser.answer(page, "provider", "corp")
    done = await browser.http.get((await browser.at_idp(answer)).headers["location"])
    for response in (page, answer, done):
        for cookie in response.headers.get_list("set-cookie"):
            lowered = cookie.lower()
            assert lowered.startswith("__host-broker-")
            for attribute in ("secure", "httponly", "samesite=lax", "path=/"):
                assert attribute in lowered
            assert "domain" not in lowered


@pytest.mark.parametrize("left", [(MAIL,), (replace(FILES, scopes={"files:write": "Change your files"}), MAIL)])
@pytest.mark.parametrize(
    "answer", [{"decision": "switch"}, {"decision": "allow"}, {"decision": "deny"}, {"provider": "corp"}], ids=str
)
async def test_a_page_that_outlives_what_it_asks_for_is_too_old(
    tmp_path: Path, left: tuple[Resource, ...], answer: dict[str, str]
):
    """Rules A3, G13: after a restart with other resources or scopes the answer is a page, starts nothing and sends nothing."""
    async with running(tmp_path) as before:
        browser = before.browser()
        await browser.login()
        page = await browser.authorize()
        cookies = browser.http.cookies
    async with running(tmp_path, resources=left) as broker:
        browser = broker.browser()
        browser.http.cookies.update(cookies)
        answered = await browser.submit(Form(page.text), answer)
        assert answered.status_code == 400
        assert "too old" in answered.text
        assert broker.idp.calls("authorize") == []


@pytest.mark.parametrize("answer", [{"decision": "deny"}, {"provider": "corp"}], ids=str)
async def test_an_app_that_was_blocked_since_its_page_was_shown_is_named_as_the_reason(
    broker: BrokerUnderTest, answer: dict[str, str]
):
    """Issue 3, bad input: the page says what happened, and does not send the person round in a circle."""
    browser = broker.browser()
    page = await browser.authorize()
    await broker.store.block_client(TRUSTED.client_id, blocked=True, events=[])
    broker.clock.forward(1)
    answered = await browser.submit(Form(page.text), answer)
    assert answered.status_code == 400
    assert "This app is not known here" in answered.text
    assert "too old" not in answered.text
    assert "location" not in answered.headers
