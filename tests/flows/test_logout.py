"""Signing out here, and the way to sign out at the provider (rules A7, B13, G9; RP-Initiated Logout 1.0 section 2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.broker.harness import IDP, ISSUER, BrokerUnderTest, Browser, Form, query_of, request_ids, running
from tests.providers import scripted_faults as faulty
from tests.providers.scripted_idp import ScriptedIdp

PAGE = f"{ISSUER}/logout"


@asynccontextmanager
async def house(tmp_path: Path) -> AsyncIterator[tuple[Browser, BrokerUnderTest, ScriptedIdp]]:
    idp = ScriptedIdp(issuer=IDP)
    adapter = replace(idp.settings(), id="corp", display_name="Corp", type="keycloak")
    async with running(tmp_path, idp=idp, provider={"adapter": adapter}) as broker:
        yield broker.browser(), broker, idp


async def test_who_is_signed_in_is_asked_and_then_offered_the_way_to_the_provider(tmp_path: Path):
    """The link names us and where to come back to, and carries no token of the provider (rule B13)."""
    async with house(tmp_path) as (browser, broker, idp):
        await browser.login()
        asked = await browser.open(PAGE)
        assert "Alice A (corp)" in asked.text
        assert ("decision", "allow") in Form((await browser.authorize()).text).buttons, "asking ends nothing"
        done = await browser.submit(Form(asked.text), {})
        assert done.status_code == 200
        (link,) = [url for url in Form(done.text).links if url.startswith(IDP)]
        assert parse_qs(urlsplit(link).query) == {
            "client_id": [idp.client_id],
            "post_logout_redirect_uri": [PAGE],
        }
        assert ("provider", "corp") in Form((await browser.authorize()).text).buttons
        assert (await broker.events("session.ended"))[0]["reason"] == "logout"


async def test_whoever_comes_back_from_there_is_told_that_it_is_done(tmp_path: Path):
    async with house(tmp_path) as (browser, _, _idp):
        page = await browser.open(f"{PAGE}?state=whatever")
        assert page.status_code == 200
        assert "You are signed out here" in page.text


async def test_a_provider_that_is_down_or_has_no_such_place_leaves_the_link_out(tmp_path: Path):
    async with house(tmp_path) as (browser, broker, idp):
        await browser.login()
        idp.faults.discovery["end_session_endpoint"] = faulty.ABSENT
        broker.clock.forward(86_400)  # the metadata is read anew
        await browser.login()
        done = await browser.submit(Form((await browser.open(PAGE)).text), {})
        assert [url for url in Form(done.text).links if url.startswith(IDP)] == []


async def test_upstream_tokens_are_forgotten_where_no_app_needs_them(tmp_path: Path):
    """Architecture section 9: kept only where re-checking needs them."""
    async with house(tmp_path) as (browser, broker, _):
        code = query_of(await browser.login())["code"]
        broker.clock.forward(61)  # nobody took the code
        assert await broker.store.sealed_tokens(after="", limit=9)
        await browser.submit(Form((await browser.open(PAGE)).text), {})
        assert await broker.store.sealed_tokens(after="", limit=9) == []
        assert (await broker.redeem(code)).status_code == 400


async def test_a_connected_app_goes_on_after_its_person_signed_out(tmp_path: Path):
    """The tie is the grant's as well: it is re-checked as before."""
    async with house(tmp_path) as (browser, broker, idp):
        tokens = (await broker.redeem(await browser.code())).json()
        await browser.submit(Form((await browser.open(PAGE)).text), {})
        broker.clock.forward(900)
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200
        idp.disabled.add("alice")
        broker.clock.forward(900)
        assert (await broker.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_another_site_s_post_ends_nothing_and_says_so_in_words_of_its_own(tmp_path: Path):
    """Security rule A6: no app waits here and no parameter is missing."""
    async with house(tmp_path) as (browser, broker, _):
        await browser.login()
        answer = await browser.http.post(PAGE, headers={"sec-fetch-site": "cross-site", "accept": "text/html"})
        assert answer.status_code == 400
        assert "You were not signed out" in answer.text
        assert "parameter" not in answer.text
        assert "the app" not in answer.text
        assert PAGE in answer.text
        assert request_ids(answer.text) == [answer.headers["x-request-id"]]
        assert any('"request.refused"' in line and '"csrf"' in line for line in broker.oracle.log)
        assert "Alice A" in (await browser.open(PAGE)).text
