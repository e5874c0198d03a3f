"""A provider that hangs, whatever its time limit is: whoever waits here has an answer within ten seconds (rule G14)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from broker.settings import ProviderConfig
from broker.upstream import configured
from tests.broker.harness import IDP, BrokerUnderTest, running
from tests.flows.test_callback import waiting
from tests.providers.scripted_idp import ScriptedIdp

HANGS = 30  # seconds
SOON = 5  # seconds


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(configured, "PATIENCE", 0.1)
    idp = ScriptedIdp(issuer=IDP)
    adapter = replace(idp.settings(), id="corp", display_name="Corp", type="keycloak", timeout=HANGS)
    async with running(tmp_path, idp=idp, provider={"adapter": adapter}) as broker:
        broker.oracle.outage = True
        yield broker


async def answered(request: Awaitable[httpx2.Response]) -> httpx2.Response:
    async with asyncio.timeout(SOON):
        answer = await request
    assert answer.headers["retry-after"]
    return answer


def test_everything_is_asked_of_a_provider_within_ten_seconds() -> None:
    assert configured.PATIENCE < 10


async def test_an_approval_is_answered_while_the_provider_hangs(broker: BrokerUnderTest):
    browser = broker.browser()
    page = await browser.authorize()
    broker.idp.faults.delay["discovery"] = HANGS
    answer = await answered(browser.answer(page, "provider", "corp"))
    assert answer.status_code == 503
    assert "does not answer" in answer.text


async def test_a_return_is_answered_while_the_provider_hangs(broker: BrokerUnderTest):
    browser = broker.browser()
    url = await waiting(browser)
    broker.idp.faults.delay["token"] = HANGS
    assert (await answered(browser.open(url, accept="text/html"))).status_code == 503
    (failed,) = await broker.events("login.failed")
    assert (failed["reason"], failed["fault"]) == ("timeout", "transient")


async def test_a_logout_token_is_answered_while_the_provider_hangs(broker: BrokerUnderTest):
    broker.idp.faults.delay |= {"discovery": HANGS, "jwks": HANGS}
    async with broker.http() as http:
        form = {"logout_token": broker.idp.logout_token()}
        answer = await answered(http.post("/backchannel-logout/corp", data=form))
    assert answer.status_code == 503


async def test_a_provider_that_hangs_keeps_nobody_from_signing_in_at_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each provider is a failure domain of its own (architecture, section 3): more people wait for the one than a pool has places."""
    monkeypatch.setattr(configured, "PATIENCE", SOON)
    idp, hanging = ScriptedIdp(issuer=IDP), ScriptedIdp(issuer="https://hangs.example.com")
    hanging.faults.delay["discovery"] = HANGS
    parties = [replace(i.settings(), id=name, display_name=name) for name, i in (("corp", idp), ("hangs", hanging))]
    configs = tuple(ProviderConfig(adapter=adapter) for adapter in parties)
    async with running(tmp_path, idp=idp, others={"hangs": hanging}, providers=configs) as broker:
        broker.oracle.outage = True
        pages = [(browser, await browser.authorize()) for browser in (broker.browser() for _ in range(150))]
        waiting_there = [asyncio.create_task(browser.answer(page, "provider", "hangs")) for browser, page in pages]
        await asyncio.sleep(0)
        async with asyncio.timeout(SOON / 2):
            tokens = await broker.redeem(await broker.browser().code())
        assert tokens.status_code == 200
        assert not any(task.done() for task in waiting_there)
        for task in waiting_there:
            task.cancel()
        await asyncio.gather(*waiting_there, return_exceptions=True)
