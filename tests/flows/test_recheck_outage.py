"""A longer outage of a provider: within STALE_LIMIT only the first refreshes wait for it (contract, `STALE_LIMIT`; rules B14, B16)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from broker.upstream.outage import ASKED_AGAIN
from tests.broker.harness import BrokerUnderTest
from tests.flows.test_recheck import INTERVAL, change, house, tokens_of, upstream_refreshes
from tests.providers import scripted_faults as faulty
from tests.providers.scripted_idp import ScriptedIdp

LIMIT = 600
AGAIN = int(ASKED_AGAIN)


async def two_people_and_an_outage(broker: BrokerUnderTest, idp: ScriptedIdp) -> tuple[str, str]:
    """Return the refresh tokens of alice and bob, of whom the provider is to be asked again just when it is down."""
    alice = (await tokens_of(broker))["refresh_token"]
    idp.sign_in_as = "bob"
    bob = (await tokens_of(broker))["refresh_token"]
    idp.faults.answers["refresh"] = faulty.DOWN
    broker.clock.forward(INTERVAL)
    return alice, bob


async def test_after_an_outage_was_seen_refreshes_ask_nobody_for_a_while(tmp_path: Path):
    """Each waited its five seconds, for every person, as long as the outage lasted."""
    async with house(tmp_path, provider={"stale_limit": LIMIT}) as (broker, idp):
        alice, bob = await two_people_and_an_outage(broker, idp)
        first = await broker.refresh(alice)
        asked = upstream_refreshes(idp)
        assert asked > 3, "an outage of a second is waited out"

        second, other = await broker.refresh(first.json()["refresh_token"]), await broker.refresh(bob)

        assert (first.status_code, second.status_code, other.status_code) == (200, 200, 200)
        assert upstream_refreshes(idp) == asked
        stale = [event["upstream_stale"] for event in await broker.events("token.refreshed")]
        assert stale == [True, True, True]


async def test_it_is_asked_again_and_the_end_of_the_outage_is_found(tmp_path: Path):
    """Rule B16: of many who come when it is time one asks, and what it hears counts for all."""
    async with house(tmp_path, provider={"stale_limit": LIMIT}) as (broker, idp):
        alice, bob = await two_people_and_an_outage(broker, idp)
        alice = (await broker.refresh(alice)).json()["refresh_token"]
        asked = upstream_refreshes(idp)
        broker.clock.forward(AGAIN)
        answers = await asyncio.gather(broker.refresh(alice), broker.refresh(bob))
        assert {answer.status_code for answer in answers} == {200}
        alice, bob = (answer.json()["refresh_token"] for answer in answers)
        again = upstream_refreshes(idp)
        assert again > asked
        idp.faults.answers.clear()
        assert (await broker.refresh(bob)).status_code == 200
        assert upstream_refreshes(idp) == again
        broker.clock.forward(AGAIN)
        assert (await broker.refresh(alice)).status_code == 200
        assert upstream_refreshes(idp) == again + 1
        assert len(await broker.events("upstream.rechecked")) == 1


async def test_what_is_spared_ends_with_the_stale_limit(tmp_path: Path):
    """Rule B16: the last word serves as long as before and no longer; the refresh after that asks and is refused."""
    async with house(tmp_path, provider={"stale_limit": AGAIN // 2}) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        idp.faults.answers["refresh"] = faulty.DOWN
        broker.clock.forward(INTERVAL)
        token = (await broker.refresh(token)).json()["refresh_token"]
        asked = upstream_refreshes(idp)
        broker.clock.forward(AGAIN // 2 - 1)
        token = (await broker.refresh(token)).json()["refresh_token"]
        assert upstream_refreshes(idp) == asked
        broker.clock.forward(1)
        broker.oracle.outage = True
        assert (await broker.refresh(token)).status_code == 503
        assert upstream_refreshes(idp) > asked


async def test_a_browser_s_session_issues_nothing_on_what_is_spared(tmp_path: Path):
    """Contract, `STALE_LIMIT`: it is for refreshes; a browser's answer is asked for, and ends the outage for all."""
    async with house(tmp_path, provider={"stale_limit": LIMIT}) as (broker, idp):
        browser = broker.browser()
        token = (await broker.redeem(await browser.code())).json()["refresh_token"]
        idp.faults.answers["refresh"] = faulty.DOWN
        broker.clock.forward(INTERVAL)
        token = (await broker.refresh(token)).json()["refresh_token"]
        broker.oracle.outage = True
        page = await browser.authorize()
        assert (await browser.answer(page, "decision", "allow")).status_code == 503
        idp.faults.answers.clear()
        assert (await browser.answer(page, "decision", "allow")).status_code in (302, 303)


async def test_the_provider_s_no_is_no_outage(tmp_path: Path):
    """Rule B16: only a provider that is down is spared; who was disabled is out at once, whatever was remembered before."""
    async with house(tmp_path, provider={"stale_limit": LIMIT}) as (broker, idp):
        alice = (await tokens_of(broker))["refresh_token"]
        idp.sign_in_as = "bob"
        bob = (await tokens_of(broker))["refresh_token"]
        idp.disabled.add("alice")
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(alice)).json()["error"] == "invalid_grant"
        change(idp, "bob", {"groups": ["/sales"]})
        assert (await broker.refresh(bob)).status_code == 200
        assert len(await broker.events("upstream.rechecked")) == 1, "the next is asked about all the same"


async def test_without_a_stale_limit_every_refresh_asks(tmp_path: Path):
    """The default: nothing is answered on the last word, so nothing is spared."""
    async with house(tmp_path) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        idp.faults.answers["refresh"] = faulty.DOWN
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        assert (await broker.refresh(token)).status_code == 503
        asked = upstream_refreshes(idp)
        assert (await broker.refresh(token)).status_code == 503
        assert upstream_refreshes(idp) > asked
