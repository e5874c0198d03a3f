"""After the end here, a person's tokens are given back to the provider, best effort (rules B13, B14; RFC 7009)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from broker.settings import ProviderConfig, Settings
from broker.upstream.configured import Upstream
from providers.http import open_http
from providers.registry import build
from tests.broker.harness import IDP, ISSUER, BrokerUnderTest, Browser, Form, query_of, running
from tests.providers import scripted_faults as faulty
from tests.providers.case import open_case
from tests.providers.scripted_idp import ScriptedIdp

UNREDEEMED = 61  # seconds until a code that nobody took needs nothing any more


@asynccontextmanager
async def house(tmp_path: Path, type_: str = "keycloak") -> AsyncIterator[tuple[BrokerUnderTest, ScriptedIdp]]:
    idp = ScriptedIdp(issuer=IDP)
    adapter = replace(idp.settings(), id="corp", display_name="Corp", type=type_)
    async with running(tmp_path, idp=idp, provider={"adapter": adapter}) as broker:
        yield broker, idp


async def sign_out(broker: BrokerUnderTest, browser: Browser) -> None:
    """Press the button, and wait for what goes on in the background."""
    done = await browser.submit(Form((await browser.open(f"{ISSUER}/logout")).text), {})
    assert (done.status_code, "You are signed out" in done.text) == (200, True)
    await broker.broker.core.gives_back.aclose()


async def signed_in(broker: BrokerUnderTest) -> Browser:
    browser = broker.browser()
    await browser.login()
    broker.clock.forward(UNREDEEMED)
    return browser


async def test_whoever_signs_out_and_holds_nothing_else_gives_the_token_back(tmp_path: Path):
    """Nobody here could use it any more; the provider need not keep it for a month."""
    async with house(tmp_path) as (broker, idp):
        browser = await signed_in(broker)
        (token,) = idp._sessions
        await sign_out(broker, browser)
        assert [(call.params["token"], call.params["token_type_hint"]) for call in idp.calls("revoke")] == [
            (token, "refresh_token")
        ]
        (event,) = await broker.events("upstream.given_back")
        assert (event["provider"], event["subject"] is not None) == ("corp", True)


async def test_what_an_app_still_needs_is_kept(tmp_path: Path):
    """Contract, `/logout`: connected apps stay, and go on being re-checked."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        tokens = (await broker.redeem(await browser.code())).json()
        await sign_out(broker, browser)
        assert idp.calls("revoke") == []
        broker.clock.forward(900)
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200


async def test_as_long_as_the_person_has_another_session_nothing_is_given_back(tmp_path: Path):
    """Rule B14: Keycloak and others end every sign-in of that person through this client along."""
    async with house(tmp_path) as (broker, idp):
        first, second = await signed_in(broker), await signed_in(broker)
        idp.sign_in_as = "bob"
        await signed_in(broker)
        await sign_out(broker, first)
        assert idp.calls("revoke") == []
        await sign_out(broker, second)
        assert len(idp.calls("revoke")) == 1, "alice's last; bob's is bob's"
        assert "rt-" in next(iter(idp.calls("revoke"))).params["token"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (faulty.DOWN, "revocation_unavailable"),
        (faulty.error(401, "invalid_client"), "invalid_client"),
    ],
    ids=["down", "our secret refused"],
)
async def test_a_provider_that_does_not_take_it_changes_nothing_here(
    tmp_path: Path, answer: faulty.Answer, reason: str
):
    async with house(tmp_path) as (broker, idp):
        browser = await signed_in(broker)
        idp.faults.answers["revoke"] = answer
        await sign_out(broker, browser)
        assert ("provider", "corp") in Form((await browser.authorize()).text).buttons
        assert [event["reason"] for event in await broker.events("upstream.not_given_back")] == [reason]
        assert await broker.events("upstream.given_back") == []


async def test_a_provider_with_no_place_for_it_is_not_said_to_have_taken_it(tmp_path: Path):
    """RFC 8414: `revocation_endpoint` is optional."""
    async with house(tmp_path) as (broker, idp):
        idp.faults.discovery["revocation_endpoint"] = faulty.ABSENT
        await sign_out(broker, await signed_in(broker))
        (event,) = await broker.events("upstream.not_given_back")
        assert event["reason"] == "no_revocation_endpoint"


async def test_nobody_waits_for_a_provider_that_hangs_and_the_end_of_the_process_does_a_little(tmp_path: Path):
    async with house(tmp_path) as (broker, idp):
        browser = await signed_in(broker)
        idp.faults.delay["revoke"] = 0.3
        page = Form((await browser.open(f"{ISSUER}/logout")).text)
        assert (await browser.submit(page, {})).status_code == 200
        assert await broker.events("upstream.given_back") == [], "it is on its way"
        await broker.broker.core.gives_back.aclose()
        assert len(await broker.events("upstream.given_back")) == 1


@pytest.mark.parametrize("type_", ["google", "auth0", "dex"])
async def test_to_a_provider_of_which_it_would_ask_too_much_nothing_is_given_back(type_: str):
    """Google ends all that a person ever gave to the client; such types have no capability for it."""
    async with open_case(type_) as case:
        config = ProviderConfig(adapter=case.settings)
        upstream = Upstream({case.settings.id: case.provider}, Settings(issuer=ISSUER, providers=(config,)))
        assert upstream.returner(case.settings.id) is None


def test_to_one_client_under_two_names_nothing_is_given_back():
    """Architecture, section 5, `IDENTITY_NAMESPACE`: to the provider both entries' people are the same grants."""
    idp = ScriptedIdp(issuer=IDP)
    both = [replace(idp.settings(), id=name, type="keycloak") for name in ("staff", "lab")]
    for configured, given in ((both, False), (both[:1], True)):
        providers = {one.id: build(one, open_http(one), lambda: 0) for one in configured}
        settings = Settings(issuer=ISSUER, providers=tuple(ProviderConfig(adapter=one) for one in configured))
        assert (Upstream(providers, settings).returner("staff") is not None) is given
        assert Upstream(providers, settings).returner("nobody") is None


async def test_a_code_that_is_on_its_way_keeps_what_it_will_need(tmp_path: Path):
    """Allow was pressed, and signing out comes before the app redeems."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        code = query_of(await browser.login())["code"]
        await sign_out(broker, browser)
        assert idp.calls("revoke") == []
        assert (await broker.redeem(code)).status_code == 200
