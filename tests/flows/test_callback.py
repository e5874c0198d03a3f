"""The callback (architecture, section 4; security rules A2, A10, A11, B1 to B12)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from broker.model import digest
from broker.settings import PolicyRule
from tests.broker.harness import FILES, IDP, ISSUER, MAIL, BrokerUnderTest, Browser, Form, query_of, running
from tests.providers.github.scripted_github import ScriptedGitHub
from tests.providers.scripted_faults import ABSENT, DOWN, error


async def waiting(browser: Browser, **changes: str | None) -> str:
    """Approve, sign in at the provider, and return the callback URL before it is opened."""
    page = await browser.authorize(**changes)
    back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
    return str(back.headers["location"])


def changed(url: str, **params: Any) -> str:
    """Return the URL with query parameters changed; ABSENT removes one."""
    query = {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()} | params
    return f"{url.partition('?')[0]}?" + urlencode({k: v for k, v in query.items() if v is not ABSENT})


async def test_a_login_gives_a_code_with_state_and_issuer(broker: BrokerUnderTest):
    """RFC 6749 section 4.1.2, RFC 9207 section 2; security rule C9."""
    done = await broker.browser().login()
    assert done.status_code == 303
    query = query_of(done)
    assert set(query) == {"code", "state", "iss"}
    assert query["state"] == "client-state-0123456789"
    assert query["iss"] == ISSUER


async def test_a_link_opened_in_another_browser_burns_the_login_and_asks_nobody(broker: BrokerUnderTest):
    """Security rules A2, A10: no token request is made, and the right browser cannot use the link any more either."""
    attacker, victim = broker.browser(), broker.browser()
    url = await waiting(attacker)
    before = len(broker.idp.calls("token"))
    page = await victim.open(url, accept="text/html")
    assert page.status_code == 400
    assert "location" not in page.headers
    assert "set-cookie" not in page.headers
    assert len(broker.idp.calls("token")) == before
    assert (await attacker.open(url)).status_code == 400
    assert len(broker.idp.calls("token")) == before
    assert (await broker.events("login.failed"))[0]["reason"] == "login_cookie"


async def test_a_browser_with_a_login_of_its_own_cannot_finish_somebody_elses(broker: BrokerUnderTest):
    """Security rule A2: any login cookie is not enough; it must be that login's."""
    attacker, victim = broker.browser(), broker.browser()
    await waiting(victim)
    page = await victim.open(await waiting(attacker))
    assert page.status_code == 400
    assert broker.idp.calls("token") == []


async def test_whoever_brings_a_login_back_is_in_the_trail_from_the_moment_that_it_is_used_up(broker: BrokerUnderTest):
    """Security rule A2: the event is stored by the statement that burns the login, and named as its start was."""
    victim, attacker = broker.browser(), broker.browser()
    await victim.open(await waiting(attacker))
    [started] = await broker.events("login.started")
    [returned] = await broker.events("login.returned")
    [failed] = await broker.events("login.failed")
    assert started["login"] == returned["login"] == failed["login"]


async def test_a_login_that_is_unknown_or_used_leaves_nothing_in_the_trail(broker: BrokerUnderTest):
    """Security rule B3: a stranger fills no disk with states of their own."""
    browser = broker.browser()
    url = await waiting(browser)
    await browser.open(url)
    await browser.open(url)
    await browser.open(f"{ISSUER}/callback/corp?" + urlencode({"code": "x", "state": "A" * 43}))
    assert len(await broker.events("login.returned")) == 1


async def test_a_person_is_new_once(broker: BrokerUnderTest):
    """Security rule B10: the trail says when somebody became known here, by whom, and never again."""
    await broker.browser().login()
    await broker.browser().login()
    [created] = await broker.events("user.created")
    sessions = await broker.events("session.started")
    assert {created["subject"]} == {session["subject"] for session in sessions}
    assert created["provider"] == "corp"


async def test_a_callback_works_once(broker: BrokerUnderTest):
    """Security rule B3."""
    browser = broker.browser()
    url = await waiting(browser)
    assert (await browser.open(url)).status_code == 303
    calls = len(broker.idp.calls("token"))
    assert (await browser.open(url)).status_code == 400
    assert len(broker.idp.calls("token")) == calls


async def test_a_login_dies_after_ten_minutes(broker: BrokerUnderTest):
    """Security rule B3: in the store's time, to the second."""
    browser = broker.browser()
    on_time, late = await waiting(browser), await waiting(browser)
    broker.clock.forward(599)
    assert (await browser.open(on_time)).status_code == 303
    broker.clock.forward(1)
    assert (await browser.open(late)).status_code == 400


@pytest.mark.parametrize("state", ["", "x", "A" * 43, "\u00e9", "A" * 10000])
async def test_an_unknown_state_is_a_page(broker: BrokerUnderTest, state: str):
    browser = broker.browser()
    await waiting(browser)
    page = await browser.open(f"{ISSUER}/callback/corp?" + urlencode({"code": "x", "state": state}))
    assert page.status_code == 400
    assert broker.idp.calls("token") == []


async def test_the_path_must_agree_with_the_stored_login(broker: BrokerUnderTest):
    """Security rules B1, B2: another provider's path burns the login and asks nobody."""
    browser = broker.browser()
    url = await waiting(browser)
    page = await browser.open(url.replace("/callback/corp", "/callback/other"))
    assert page.status_code == 400
    assert broker.idp.calls("token") == []
    assert (await browser.open(url)).status_code == 400


@pytest.mark.parametrize(
    "iss", ["https://evil.example", f"{IDP}/", IDP.upper(), ABSENT], ids=["foreign", "slash", "case", "absent"]
)
async def test_a_wrong_or_missing_issuer_makes_no_token_request(broker: BrokerUnderTest, iss: object):
    """Security rule B1, RFC 9207: the scripted provider advertises `iss`, so it is required and compared exactly."""
    broker.idp.faults.discovery["authorization_response_iss_parameter_supported"] = True
    browser = broker.browser()
    page = await browser.open(changed(await waiting(browser), iss=iss))
    assert page.status_code == 400
    assert broker.idp.calls("token") == []


@pytest.mark.parametrize("name", ["code", "state", "iss"])
async def test_a_repeated_parameter_is_refused(broker: BrokerUnderTest, name: str):
    """Security rules B1, C8."""
    browser = broker.browser()
    url = await waiting(browser)
    page = await browser.open(f"{url}&{name}=again")
    assert page.status_code == 400
    assert broker.idp.calls("token") == []


async def test_a_repeated_issuer_from_github_is_refused(tmp_path: Path):
    """Security rule B1: the same for an adapter without OpenID Connect, though both say the right one."""
    github = ScriptedGitHub(IDP, f"{IDP}/api/v3")
    github.sends_iss = True
    async with running(tmp_path, idp=github) as broker:  # type: ignore[arg-type] # another script
        browser = broker.browser()
        url = await waiting(browser)
        page = await browser.open(f"{url}&{urlencode({'iss': github.issuer})}")
        assert page.status_code == 400
        assert github.calls("token") == []


async def test_head_has_no_effect(broker: BrokerUnderTest):
    """Security rule C15: a link preview does not spend the login."""
    browser = broker.browser()
    url = await waiting(browser)
    await browser.http.head(url)
    assert broker.idp.calls("token") == []
    assert (await browser.open(url)).status_code == 303


async def test_the_provider_sees_pkce_and_nonce(broker: BrokerUnderTest):
    """Security rules A11, B4: S256 and a nonce, always; the upstream state is a handle of >= 128 bits of its own."""
    await broker.browser().login()
    asked = broker.idp.calls("authorize")[0].params
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["nonce"]) >= 22
    assert len(asked["state"]) >= 22
    assert asked["redirect_uri"] == f"{ISSUER}/callback/corp"
    assert "code_verifier" in broker.idp.calls("token")[0].params


async def test_no_handle_in_an_upstream_url_fetches_a_code(broker: BrokerUnderTest):
    """Security rules A11, E10: what the provider saw in URLs is worthless at the token endpoint."""
    browser = broker.browser()
    url = await waiting(browser)
    for handle in {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}.values():
        assert (await broker.redeem(handle)).json()["error"] == "invalid_grant"
    assert (await browser.open(url)).status_code == 303


async def test_a_denied_sign_in_goes_back_to_a_trusted_app(broker: BrokerUnderTest):
    """RFC 6749 section 4.1.2.1."""
    browser = broker.browser()
    url = await waiting(browser)
    answer = await browser.open(
        changed(url, error="access_denied", error_description="<b>upstream words</b>", code=ABSENT)
    )
    assert answer.status_code == 303
    assert query_of(answer)["error"] == "access_denied"
    assert "upstream" not in answer.headers["location"]


@pytest.mark.parametrize(
    "problem",
    ["access_denied", "server_error", "temporarily_unavailable", "invalid_scope", "<script>", "login_required"],
)
async def test_upstream_error_text_never_reaches_a_page_a_client_or_the_log(broker: BrokerUnderTest, problem: str):
    """Security rule B12: codes are mapped to words of ours."""
    broker.oracle.outage = True
    browser = broker.browser()
    url = await waiting(browser, client_id="trusted")
    secret_words = "account-of-alice-is-locked-until-tuesday"
    answer = await browser.open(
        changed(url, error=problem, error_description=secret_words, code=ABSENT), accept="text/html"
    )
    assert secret_words not in answer.text + answer.headers.get("location", "")
    assert "<script>" not in answer.text
    assert secret_words not in "\n".join(broker.oracle.log)


@pytest.mark.parametrize(
    ("endpoint", "answer", "status"),
    [
        ("token", DOWN, 503),
        ("token", error(400, "invalid_grant"), 400),
        ("token", error(401, "invalid_client"), 400),
    ],
    ids=["down", "refused", "misconfigured"],
)
async def test_a_failing_provider_gives_a_page_and_no_code(
    broker: BrokerUnderTest, endpoint: str, answer: Any, status: int
):
    """Faults survived: an IdP that is down is a 503, one that refuses is not; nothing is issued either way."""
    broker.oracle.outage = status == 503
    browser = broker.browser()
    url = await waiting(browser)
    broker.idp.faults.answers[endpoint] = answer
    page = await browser.open(url, accept="text/html")
    assert page.status_code == status
    assert "upstream words" not in page.text
    assert await broker.events("code.issued") == []
    assert "__Host-broker-session" not in browser.http.cookies


@pytest.mark.parametrize(
    "claims",
    [{"nonce": "another"}, {"aud": "another-client"}, {"iss": "https://evil.example"}, {"exp": 1}, {"sub": ABSENT}],
    ids=["nonce", "aud", "iss", "exp", "sub"],
)
async def test_an_id_token_that_fails_a_check_signs_nobody_in(broker: BrokerUnderTest, claims: dict[str, object]):
    """Security rules B5, B11: end to end; the adapters' own suite goes through every check."""
    browser = broker.browser()
    url = await waiting(browser)
    broker.idp.faults.claims.update(claims)
    page = await browser.open(url, accept="text/html")
    assert page.status_code == 400
    assert "location" not in page.headers
    assert await broker.events("session.started") == []


async def test_email_is_never_identity(broker: BrokerUnderTest):
    """Security rule B10: two accounts with one e-mail address are two people, one account with a new address is one."""
    from tests.providers.scripted_idp import Person  # noqa: PLC0415 - next to its use

    claims = dict(broker.idp.people["alice"].claims)
    broker.idp.people["twin"] = Person("u-twin", claims)
    await broker.browser().login()
    broker.idp.sign_in_as = "twin"
    await broker.browser().login()
    broker.idp.sign_in_as = "alice"
    broker.idp.people["alice"] = Person("u-alice", {**claims, "email": "new@example.com"})
    await broker.browser().login()
    first, twin, again = [e["subject"] for e in await broker.events("session.started")]
    assert first == again != twin
    assert first.startswith("u_")


async def test_upstream_tokens_never_leave_and_are_not_kept(broker: BrokerUnderTest, tmp_path: Path):
    """Security rules B13, F8, G11: no upstream token or verifier stands in an answer, the log, or the database file."""
    browser = broker.browser()
    tokens = (await broker.redeem(await browser.code())).json()
    upstream = [call.params.get("code_verifier", "") for call in broker.idp.calls("token")]
    upstream += [call.headers.get("authorization", "").removeprefix("Bearer ") for call in broker.idp.calls("userinfo")]
    stored = b"".join(p.read_bytes() for p in tmp_path.glob("broker.db*"))  # noqa: ASYNC240 - a test may wait
    for value in filter(None, upstream):
        assert value not in str(tokens)
        assert value.encode() not in stored
    for ours in (tokens["access_token"], tokens["refresh_token"], *browser.http.cookies.values()):
        assert ours.encode() not in stored


async def test_an_upstream_token_is_worthless_here(broker: BrokerUnderTest):
    """Security rule F8."""
    browser = broker.browser()
    await browser.login()
    person = broker.idp.people["alice"]
    foreign = broker.idp.id_token(person, "n", "at")
    refused = await broker.refresh(foreign)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await broker.redeem(foreign)).json()["error"] == "invalid_grant"


async def test_a_person_without_permission_is_told_whom_to_ask(tmp_path: Path):
    """Architecture, "Policy rules": a page (403) with a link that takes `access_denied` back; the log names the rule."""
    rules = (
        PolicyRule(name="sales", group=("/sales",), resource=("mail",)),
        PolicyRule(name="files", resource=("files",)),
    )
    async with running(tmp_path, policy=rules) as broker:
        browser = broker.browser()
        page = await browser.login(resource=MAIL.url)
        assert page.status_code == 403
        assert "administrator" in page.text
        assert "error=access_denied" in Form(page.text).links[0]
        refused = (await broker.events("login.refused"))[0]
        assert refused["rule"] == "no match"
        assert "mail" in refused["reason"]
        again = await browser.authorize(resource=FILES.url)
        assert ("decision", "allow") in Form(again.text).buttons
        still = await browser.answer(await browser.authorize(resource=MAIL.url), "decision", "allow")
        assert still.status_code == 403


async def test_a_program_that_is_refused_gets_our_fixed_words_and_no_name_of_an_app(tmp_path: Path):
    """Error behaviour that clients rely on: RFC 6749 section 5.2 has ASCII without quotes, and a name is a stranger's."""
    async with running(tmp_path, policy=(PolicyRule(name="sales", group=("/sales",)),)) as broker:
        browser = broker.browser()
        refused = await browser.open(await waiting(browser), accept="application/json")
        assert refused.status_code == 403
        assert refused.json() == {"error": "access_denied", "error_description": "Access was denied."}


async def test_who_may_not_sign_in_at_all_gets_no_session(tmp_path: Path):
    """Per-provider restriction: refused before anything of the person is kept in this browser."""
    async with running(tmp_path, provider={"allowed_groups": ("/finance",)}) as broker:
        browser = broker.browser()
        page = await browser.login()
        assert page.status_code == 403
        assert "__Host-broker-session" not in browser.http.cookies
        refused = (await broker.events("login.refused"))[0]
        assert "BROKER_PROVIDERS__CORP__ALLOWED_GROUPS" in refused["reason"]


async def test_groups_that_are_unknown_fail_closed(tmp_path: Path):
    """Decision "groups": an absent claim is unknown, not empty."""
    async with running(tmp_path, policy=(PolicyRule(name="eng", group=("/eng",)),)) as broker:
        assert (await broker.browser().login()).status_code == 303
        broker.idp.faults.claims["groups"] = ABSENT
        broker.idp.faults.userinfo["groups"] = ABSENT
        assert (await broker.browser().login()).status_code == 403


async def test_a_session_of_another_browser_is_not_touched(broker: BrokerUnderTest):
    """Security rule A10."""
    mine, theirs = broker.browser(), broker.browser()
    await mine.login()
    broker.idp.sign_in_as = "bob"
    await theirs.login()
    session = await broker.store.find_session(
        digest(mine.http.cookies["__Host-broker-session"]), now=broker.clock.now()
    )
    assert session is not None
    assert session.identity.name == "Alice A"


async def test_an_identity_provider_whose_keys_rotate_mid_login_signs_people_in(broker: BrokerUnderTest):
    """Security rule B8."""
    browser = broker.browser()
    await browser.login()
    url = await waiting(browser, prompt="login")
    broker.idp.rotate()
    broker.clock.forward(31)
    done: httpx2.Response = await browser.open(url)
    assert done.status_code == 303
