"""Step-up (architecture, "Policy rules"; security rules A2, A4, A13): one second sign-in, verified, never a loop, the same person."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import Response

from broker.model import Requirement
from broker.settings import PolicyRule, ProviderConfig
from providers.base import ATTRIBUTES, Fault, UpstreamError, UpstreamRequest
from tests.broker.harness import FILES, IDP, BrokerUnderTest, Browser, Form, query_of, running
from tests.broker.token_house import decoded
from tests.providers.scripted_faults import ABSENT, DOWN
from tests.providers.scripted_idp import ScriptedIdp

READ, WRITE = "files:read", "files:write"
BOTH = f"{READ} {WRITE}"
STRONGER, OLDER = "stronger sign-in", "more recent sign-in"


class SteppingIdp(ScriptedIdp):
    """A provider with a session: it answers at once while that is good, and signs the person in again where it is asked to.

    `honours` are the acr values it can give, `at_once` whether it gives one to a session without a new sign-in; `obeys_age` whether
    it minds `max_age` and `prompt=login`; `tells_age` whether it states `auth_time` without being asked for one.
    """

    def __init__(self) -> None:
        super().__init__(issuer=IDP)
        self.honours: tuple[str, ...] = ("gold",)
        self.at_once = False
        self.obeys_age = self.tells_age = True
        self.signed_in_at: int | None = None
        self.acr = "1"

    def _authorize(self, params: Mapping[str, str], request: Request) -> Response:
        now = self.now()
        fresh = self.signed_in_at is None
        if self.obeys_age and self.signed_in_at is not None:
            old = "max_age" in params and now - self.signed_in_at > int(params["max_age"])
            fresh = old or "login" in params.get("prompt", "").split()
        if fresh:
            self.signed_in_at, self.acr = now, "1"
        asked = [acr for acr in params.get("acr_values", "").split() if acr in self.honours]
        if asked and (fresh or self.at_once):
            self.acr = asked[0]
        stated = self.tells_age or "max_age" in params
        self.faults.claims.update(acr=self.acr, auth_time=self.signed_in_at if stated else ABSENT)
        return super()._authorize(params, request)

    def asked(self, parameter: str) -> list[str | None]:
        """Return what each authorization request said."""
        return [call.params.get(parameter) for call in self.calls("authorize")]

    @property
    def anew(self) -> list[bool]:
        """Return which authorization requests asked for a new sign-in."""
        return ["login" in (prompt or "").split() for prompt in self.asked("prompt")]


@asynccontextmanager
async def demanding(
    folder: Path, *acr: str, max_login_age: int | None = None, **changes: Any
) -> AsyncIterator[tuple[BrokerUnderTest, SteppingIdp]]:
    """Run a broker whose MCP server demands this of a sign-in."""
    idp = SteppingIdp()
    resource = replace(FILES, require=Requirement(acr=acr, max_login_age=max_login_age))
    async with running(folder, idp=idp, **{"resources": (resource,), **changes}) as broker:
        yield broker, idp


async def through(browser: Browser, answer: httpx2.Response) -> httpx2.Response:
    """Follow redirects between broker and provider until something else comes."""
    for _ in range(6):
        location = answer.headers.get("location", "")
        if not location.startswith((IDP, "https://broker.example.com/callback")):
            return answer
        answer = await browser.open(location, accept="text/html")
    raise AssertionError("a loop")


async def sign_in(browser: Browser, **changes: str | None) -> httpx2.Response:
    """Go from the app's link to what comes in the end."""
    page = await browser.authorize(**changes)
    return await through(browser, await browser.answer(page, "provider", "corp"))


def buttons(page: httpx2.Response) -> list[tuple[str, str]]:
    return Form(page.text).buttons


async def test_the_first_sign_in_is_asked_for_what_the_resource_requires(tmp_path: Path):
    """Whoever has no session at the provider signs in once."""
    async with demanding(tmp_path, "gold", max_login_age=300) as (broker, idp):
        done = await sign_in(broker.browser())
        assert query_of(done)["code"]
        assert idp.asked("acr_values") == ["gold"]
        assert (idp.anew, idp.asked("max_age")) == ([False], [None])


async def test_a_session_at_the_provider_that_is_too_weak_is_stepped_up_once(tmp_path: Path):
    """The callback sends the browser back with prompt=login, and what comes back is verified."""
    async with demanding(tmp_path, "gold") as (broker, idp):
        idp.signed_in_at = broker.clock.now()
        browser = broker.browser()
        done = await sign_in(browser)
        tokens = (await broker.redeem(query_of(done)["code"])).json()
        assert decoded(tokens["access_token"])[1]["acr"] == "gold"
        assert idp.asked("acr_values") == ["gold", "gold"]
        assert idp.anew == [False, True]
        (event,) = await broker.events("login.step_up")
        assert (event["acr_values"], event["provider"]) == ("gold", "corp")
        assert len(await broker.events("code.issued")) == 1


async def test_a_step_up_that_is_not_honoured_ends_in_a_page_and_never_in_a_loop(tmp_path: Path):
    async with demanding(tmp_path, "gold") as (broker, idp):
        idp.honours = ()
        page = await sign_in(broker.browser())
        assert page.status_code == 403
        assert "is not enough for this MCP server" in page.text
        assert "error=access_denied" in Form(page.text).links[0]
        assert len(idp.calls("authorize")) == 2
        (refused,) = await broker.events("login.refused")
        assert refused["rule"] == "require"
        assert "requires an acr of gold, and this sign-in's is 1" in refused["reason"]
        assert await broker.events("code.issued") == []


async def test_a_live_session_that_does_not_satisfy_shows_the_way_to_sign_in_again(tmp_path: Path):
    """Not a button to allow: the provider's, a note why, and who is signed in."""
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        browser = broker.browser()
        assert query_of(await sign_in(browser))["code"]
        broker.clock.forward(301)
        page = await browser.authorize()
        assert buttons(page) == [("provider", "corp"), ("decision", "deny"), ("decision", "switch")]
        assert OLDER in page.text
        assert "Alice A (corp)" in page.text
        done = await through(browser, await browser.answer(page, "provider", "corp"))
        assert query_of(done)["code"]
        assert (idp.anew[-1], idp.asked("max_age")[-1]) == (True, "300")
        assert ("decision", "allow") in buttons(await browser.authorize())


async def test_a_session_that_is_too_weak_shows_it_too(tmp_path: Path):
    rules = (PolicyRule(name="read", scopes=(READ,)), PolicyRule(name="write", acr=("gold",)))
    async with demanding(tmp_path, policy=rules) as (broker, idp):
        browser = broker.browser()
        await sign_in(browser)
        page = await browser.authorize(scope=BOTH)
        assert STRONGER in page.text
        assert ("decision", "allow") not in buttons(page)
        done = await through(browser, await browser.answer(page, "provider", "corp"))
        assert (await broker.redeem(query_of(done)["code"])).json()["scope"] == BOTH
        assert idp.asked("acr_values") == [None, "gold"]


async def test_a_scope_that_only_acr_withholds_leads_to_a_step_up(tmp_path: Path):
    rules = (PolicyRule(name="read", scopes=(READ,)), PolicyRule(name="write", scopes=(WRITE,), acr=("gold",)))
    async with demanding(tmp_path, policy=rules) as (broker, idp):
        done = await sign_in(broker.browser(), scope=BOTH)
        assert (await broker.redeem(query_of(done)["code"])).json()["scope"] == BOTH
        assert idp.anew == [False, True]


async def test_after_a_step_up_in_vain_what_is_permitted_anyway_is_granted(tmp_path: Path):
    """A request in which only some scopes are permitted is granted those."""
    rules = (PolicyRule(name="read", scopes=(READ,)), PolicyRule(name="write", scopes=(WRITE,), acr=("gold",)))
    async with demanding(tmp_path, policy=rules) as (broker, idp):
        idp.honours = ()
        done = await sign_in(broker.browser(), scope=BOTH)
        assert (await broker.redeem(query_of(done)["code"])).json()["scope"] == READ
        assert len(idp.calls("authorize")) == 2


@pytest.mark.parametrize("obeys", [True, False])
async def test_an_old_session_at_the_provider_is_asked_again_and_what_came_back_is_verified(
    tmp_path: Path,
    obeys: bool,  # noqa: FBT001
):
    """Security rule B5: `auth_time` is checked where `max_age` was asked."""
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        idp.signed_in_at, idp.obeys_age = broker.clock.now() - 4000, obeys
        done = await sign_in(broker.browser())
        assert idp.asked("max_age") == [None, "300"]
        assert idp.anew == [False, True]
        if obeys:
            assert query_of(done)["code"]
        else:
            assert done.status_code == 403
            assert "is not enough for this MCP server" in done.text
            assert (await broker.events("login.failed"))[0]["reason"] == "id_token_auth_time"


async def test_who_states_the_age_only_when_asked_lets_nobody_sign_in_twice(tmp_path: Path):
    """OpenID Connect Core section 2: `auth_time` is required only where `max_age` was asked."""
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        idp.tells_age = False
        signed_in = idp.signed_in_at = broker.clock.now() - 60
        assert query_of(await sign_in(broker.browser()))["code"]
        assert idp.asked("max_age") == [None, "300"]
        assert idp.anew == [False, False]
        assert idp.signed_in_at == signed_in


async def test_a_provider_that_never_states_the_age_ends_in_a_page(tmp_path: Path):
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        browser = broker.browser()
        page = await browser.authorize()
        back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
        idp.faults.claims["auth_time"] = ABSENT
        again = await browser.open(back.headers["location"])
        back = await browser.open(again.headers["location"])
        idp.faults.claims["auth_time"] = ABSENT
        refused = await browser.open(back.headers["location"], accept="text/html")
        assert refused.status_code == 403
        assert len(idp.calls("authorize")) == 2


async def test_a_provider_that_can_give_none_is_a_refusal_at_once(tmp_path: Path):
    """GitHub and Google can be asked for neither."""
    blind = {"gives": ATTRIBUTES - {"acr", "auth_time"}}
    async with demanding(tmp_path, "gold", max_login_age=300, provider=blind) as (broker, idp):
        page = await sign_in(broker.browser())
        assert page.status_code == 403
        assert "no rule gives you access" in page.text
        assert (idp.asked("acr_values"), idp.asked("max_age")) == ([None], [None])
        assert "no other sign-in at this provider" in (await broker.events("login.refused"))[0]["reason"]


async def test_the_provider_is_asked_in_its_own_words(tmp_path: Path):
    """`ACR_MAP` turns upstream values into ours, and asking goes the other way."""
    mapped = {"acr_map": {"urn:2": "gold", "urn:3": "gold"}}
    async with demanding(tmp_path, "gold", provider=mapped) as (broker, idp):
        idp.honours = ("urn:3",)
        code = query_of(await sign_in(broker.browser()))["code"]
        assert idp.asked("acr_values") == ["urn:2 urn:3"]
        assert decoded((await broker.redeem(code)).json()["access_token"])[1]["acr"] == "gold"


async def test_somebody_else_who_comes_back_is_asked_again(tmp_path: Path):
    """Security rule A13: nothing is issued for either; the page shows who is signed in now."""
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        browser = broker.browser()
        await sign_in(browser)
        broker.clock.forward(301)
        page = await browser.authorize()
        idp.sign_in_as = "carol"
        other = await through(browser, await browser.answer(page, "provider", "corp"))
        assert other.status_code == 200
        assert "somebody else than before" in other.text
        assert "Carol C (corp)" in other.text
        assert len(await broker.events("code.issued")) == 1
        done = await browser.answer(other, "decision", "allow")
        assert query_of(done)["code"]
        alice, carol = [event["subject"] for event in await broker.events("code.issued")]
        assert alice != carol


async def test_somebody_else_after_the_callback_sent_the_browser_back_is_asked_again(tmp_path: Path):
    """Security rule A13, where the step-up followed at once; also where the app had asked for a new sign-in."""
    async with demanding(tmp_path, "gold") as (broker, idp):
        idp.signed_in_at = broker.clock.now()
        browser = broker.browser()
        page = await browser.authorize(prompt="login")
        idp.obeys_age = False
        again = await browser.open(
            (await browser.at_idp(await browser.answer(page, "provider", "corp"))).headers["location"]
        )
        assert again.headers["location"].startswith(IDP)
        idp.sign_in_as, idp.obeys_age = "carol", True
        other = await through(browser, again)
        assert "Carol C (corp)" in other.text
        assert await broker.events("code.issued") == []
        done = await browser.answer(other, "decision", "allow")
        assert query_of(done)["code"]


async def test_a_page_that_showed_somebody_else_is_shown_again(tmp_path: Path):
    """Security rule A13: at the POST, too."""
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        browser = broker.browser()
        await sign_in(browser)
        broker.clock.forward(301)
        page = await browser.authorize()
        idp.sign_in_as = "carol"
        await sign_in(browser, prompt="login")
        asked = len(idp.calls("authorize"))
        answer = await browser.answer(page, "provider", "corp")
        assert answer.status_code == 200
        assert "Carol C (corp)" in answer.text
        assert len(idp.calls("authorize")) == asked


async def test_a_session_that_ages_while_the_page_is_open_is_not_good_enough(tmp_path: Path):
    async with demanding(tmp_path, max_login_age=300) as (broker, _):
        browser = broker.browser()
        await sign_in(browser)
        broker.clock.forward(299)
        page = await browser.authorize()
        broker.clock.forward(2)
        answer = await browser.answer(page, "decision", "allow")
        assert answer.status_code == 200
        assert OLDER in answer.text
        assert ("provider", "corp") in buttons(answer)
        assert query_of(await through(browser, await browser.answer(answer, "provider", "corp")))["code"]


async def test_a_refresh_that_needs_another_sign_in_says_so_and_the_app_gets_the_step_up(tmp_path: Path):
    """On refresh: `invalid_grant`, the reason in the audit; the grant is kept, and authorizing again leads to the step-up."""
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        browser = broker.browser()
        tokens = (await broker.redeem(query_of(await sign_in(browser))["code"])).json()
        broker.clock.forward(301)
        refused = await broker.refresh(tokens["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        (event,) = await broker.events("token.refresh_refused")
        assert event["rule"] == "require"
        assert "another sign-in would permit it, with an age of at most 300 s" in event["why"]
        done = await through(browser, await browser.answer(await browser.authorize(), "provider", "corp"))
        assert (await broker.redeem(query_of(done)["code"])).status_code == 200
        assert idp.anew[-1]


async def test_a_refresh_with_a_scope_whose_time_is_over_keeps_the_others(tmp_path: Path):
    rules = (PolicyRule(name="read", scopes=(READ,)), PolicyRule(name="write", scopes=(WRITE,), max_login_age=300))
    async with demanding(tmp_path, policy=rules) as (broker, _):
        tokens = (await broker.redeem(query_of(await sign_in(broker.browser(), scope=BOTH))["code"])).json()
        assert tokens["scope"] == BOTH
        broker.clock.forward(301)
        refreshed = await broker.refresh(tokens["refresh_token"])
        assert (refreshed.status_code, refreshed.json()["scope"]) == (200, READ)


async def test_another_account_than_the_one_that_is_too_weak_may_be_chosen(tmp_path: Path):
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        browser = broker.browser()
        await sign_in(browser)
        broker.clock.forward(301)
        page = await browser.answer(await browser.authorize(), "decision", "switch")
        assert buttons(page) == [("provider", "corp"), ("decision", "deny")]
        idp.sign_in_as = "carol"
        assert query_of(await through(browser, await browser.answer(page, "provider", "corp")))["code"]


async def test_another_way_to_sign_in_is_a_first_sign_in(tmp_path: Path):
    """A form can name a provider that the page did not offer; it gets no further than it would have without the step-up."""
    idp = SteppingIdp()
    corp, other = (ProviderConfig(adapter=idp.settings(id=id_, display_name=id_)) for id_ in ("corp", "other"))
    resource = replace(FILES, require=Requirement(acr=("gold",)))
    async with running(tmp_path, idp=idp, providers=(corp, other), resources=(resource,)) as broker:
        idp.honours, idp.signed_in_at = (), broker.clock.now()
        browser = broker.browser()
        await sign_in(browser)
        page = await browser.authorize()
        assert [b for b in buttons(page) if b[0] == "provider"] == [("provider", "corp")]
        before = len(idp.calls("authorize"))
        refused = await through(browser, await browser.submit(Form(page.text), {"provider": "other"}))
        assert refused.status_code == 403
        assert idp.anew[before:] == [False, True]
        assert {p["provider"] for p in await broker.events("login.step_up")} == {"corp", "other"}


async def test_a_provider_that_says_that_it_cannot_is_believed(tmp_path: Path):
    """OpenID Connect Core Unmet Authentication Requirements 1.0: a page that says so, not one about a broken answer."""
    async with demanding(tmp_path, "gold") as (broker, idp):
        idp.faults.callback["error"] = "unmet_authentication_requirements"
        page = await sign_in(broker.browser())
        assert page.status_code == 403
        assert "is not enough for this MCP server" in page.text


async def test_a_provider_that_is_down_at_the_step_up_is_a_page(tmp_path: Path):
    async with demanding(tmp_path, "gold") as (broker, idp):
        broker.oracle.outage = True
        idp.honours = ()
        browser = broker.browser()
        page = await browser.authorize()
        back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
        again = await browser.open(back.headers["location"])
        idp.faults.answers["token"] = DOWN
        assert (await through(browser, again)).status_code == 503


async def test_a_step_up_belongs_to_its_browser(tmp_path: Path):
    """Security rule A2: its login is bound to the same cookie as the first."""
    async with demanding(tmp_path, "gold") as (broker, idp):
        idp.signed_in_at = broker.clock.now()
        browser, thief = broker.browser(), broker.browser()
        page = await browser.authorize()
        back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
        again = await browser.open(back.headers["location"])
        stolen = (await browser.open(again.headers["location"])).headers["location"]
        assert (await thief.open(stolen, accept="text/html")).status_code == 400
        assert (await browser.open(stolen, accept="text/html")).status_code == 400
        assert await broker.events("code.issued") == []


async def test_a_shorter_page_is_not_shown_where_a_sign_in_is_due(tmp_path: Path):
    """Security rule A4: the page is never skipped, and here not shortened either."""
    async with demanding(tmp_path, max_login_age=300, remember_consent=True) as (broker, _):
        browser = broker.browser()
        page = await browser.authorize()
        await through(browser, await browser.answer(page, "provider", "corp", remember="yes"))
        assert "asks for access to Files again" in (await browser.authorize()).text
        broker.clock.forward(301)
        page = await browser.authorize()
        assert "asks for access to Files again" not in page.text
        assert ("provider", "corp") in buttons(page)


async def test_an_app_that_asks_for_an_age_is_not_locked_out_where_nobody_states_one(tmp_path: Path):
    """Security rule C17: `max_age` is honoured where the provider can state an age, and ignored where it cannot."""
    async with demanding(tmp_path, provider={"gives": ATTRIBUTES - {"auth_time"}}) as (broker, idp):
        assert query_of(await sign_in(broker.browser(), max_age="300"))["code"]
        assert idp.asked("max_age") == [None]
    async with demanding(tmp_path) as (broker, idp):
        assert query_of(await sign_in(broker.browser(), max_age="300"))["code"]
        assert idp.asked("max_age") == ["300"]


async def test_the_stricter_age_of_the_apps_and_ours_is_asked(tmp_path: Path):
    async with demanding(tmp_path, max_login_age=300) as (broker, idp):
        idp.signed_in_at = broker.clock.now() - 400
        assert query_of(await sign_in(broker.browser(), max_age="1000"))["code"]
        assert idp.asked("max_age") == ["1000", "300"]


class Unreachable:
    """An adapter whose provider cannot even be asked where to send the browser, from the second time on."""

    def __init__(self, adapter: Any) -> None:
        self.identify, self.authorization_url = adapter.identify, self._once
        self._authorization_url = adapter.authorization_url
        self._asked = 0

    async def _once(self, request: UpstreamRequest) -> str:
        self._asked += 1
        if self._asked > 1:
            raise UpstreamError(Fault.TRANSIENT, "unreachable")
        return str(await self._authorization_url(request))


async def test_a_provider_that_cannot_be_asked_again_is_a_page(tmp_path: Path):
    """Faults survived: an IdP down is a clear page; the session that there is stays."""
    async with demanding(tmp_path, "gold") as (broker, idp):
        broker.oracle.outage, idp.honours = True, ()
        providers: Any = broker.broker.core.upstream.providers
        providers["corp"] = Unreachable(providers["corp"])
        browser = broker.browser()
        page = await sign_in(browser)
        assert page.status_code == 503
        assert "The sign-in service does not answer" in page.text
        assert "__Host-broker-session" in browser.http.cookies
