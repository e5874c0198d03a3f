"""Two brokers on one PostgreSQL: any replica may take any step, and single use holds across them (rules B3, E3, E6, E11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from broker.model import LoggedOut
from broker.store.postgres_pool import SIZE
from broker.store.upstream_base import LogoutToken
from tests.broker.harness import FILES, IDP, TRUSTED, VERIFIER, BrokerUnderTest, Form, query_of, running
from tests.postgres import PostgresServer, postgres
from tests.providers.scripted_idp import ScriptedIdp

__all__ = ["postgres"]  # the fixture


@pytest.fixture
async def replicas(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[BrokerUnderTest, BrokerUnderTest]]:
    idp, url = ScriptedIdp(issuer=IDP), postgres.database()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(tmp_path, idp=idp, database=url))
        two = await stack.enter_async_context(running(tmp_path, idp=idp, database=url))
        two.clock = one.clock
        for replica in (one, two):
            await _connected(replica)
        yield one, two


async def _connected(replica: BrokerUnderTest) -> None:
    """Have the replica make its connections: on a busy machine that takes longer than a request may wait for one."""
    for _ in range(10):
        asked = (replica.broker.core.store.changes() for _ in range(SIZE))
        if not any(isinstance(told, Exception) for told in await asyncio.gather(*asked, return_exceptions=True)):
            return


async def test_a_login_may_hop_between_replicas_at_every_step(replicas: tuple[BrokerUnderTest, BrokerUnderTest]):
    """Nothing of a login lives in one process."""
    one, two = replicas
    browser = one.browser()
    page = await browser.authorize()
    elsewhere = two.browser()
    elsewhere.http.cookies = browser.http.cookies
    at_idp = await browser.at_idp(await elsewhere.answer(page, "provider", "corp"))
    elsewhere.http.cookies.update(browser.http.cookies)
    done = await elsewhere.http.get(at_idp.headers["location"])
    tokens = (await one.redeem(query_of(done)["code"])).json()
    assert tokens["scope"] == "files:read"
    again = await two.refresh(tokens["refresh_token"])
    assert again.status_code == 200


async def test_of_sixteen_redemptions_on_two_replicas_one_succeeds(replicas: tuple[BrokerUnderTest, BrokerUnderTest]):
    """Security rule E3."""
    one, two = replicas
    code = await one.browser().code()
    answers = await asyncio.gather(*(replica.redeem(code) for replica in (one, two) * 8))
    assert sorted(a.status_code for a in answers) == [200] + [400] * 15


async def test_concurrent_refreshes_on_two_replicas_all_end_with_the_same_successor(
    replicas: tuple[BrokerUnderTest, BrokerUnderTest],
):
    """Security rules E6, E7: the chain advances once; everybody can go on."""
    one, two = replicas
    first = (await one.redeem(await one.browser().code())).json()["refresh_token"]
    answers = await asyncio.gather(*(replica.refresh(first) for replica in (one, two) * 8))
    assert {a.status_code for a in answers} == {200}
    successors = {a.json()["refresh_token"] for a in answers}
    assert len(successors) == 1
    assert (await two.refresh(successors.pop())).status_code == 200


async def test_what_one_replica_revoked_is_dead_on_the_other(replicas: tuple[BrokerUnderTest, BrokerUnderTest]):
    """Security rule E11."""
    one, two = replicas
    tokens = (await one.redeem(await one.browser().code())).json()
    async with one.http() as http:
        form = {"token": tokens["refresh_token"], "client_id": TRUSTED.client_id}
        assert (await http.post("/revoke", data=form)).status_code == 200
    assert (await two.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_keys_made_by_one_replica_verify_on_the_other(replicas: tuple[BrokerUnderTest, BrokerUnderTest]):
    """Security rule F3: both publish the same set, before and after a rotation."""
    one, two = replicas

    async def published(replica: BrokerUnderTest) -> set[str]:
        async with replica.http() as http:
            answer: httpx2.Response = await http.get("/.well-known/jwks.json")
        return {key["kid"] for key in answer.json()["keys"]}

    assert await published(one) == await published(two)
    await one.broker.core.keys.rotate()
    await two.broker.core.keys.refresh()
    assert await published(one) == await published(two)
    assert len(await published(two)) == 2


async def test_a_session_opened_on_one_replica_serves_on_the_other(replicas: tuple[BrokerUnderTest, BrokerUnderTest]):
    """The second MCP server needs no second sign-in, whichever replica answers."""
    one, two = replicas
    browser, elsewhere = one.browser(), two.browser()
    await browser.login()
    elsewhere.http.cookies = browser.http.cookies
    page = await elsewhere.authorize(resource=FILES.url)
    assert ("decision", "allow") in Form(page.text).buttons
    code = query_of(await elsewhere.answer(page, "decision", "allow"))["code"]
    redeemed = await one.token(grant_type="authorization_code", code=code, code_verifier=VERIFIER)
    assert redeemed.status_code == 200


async def test_refreshes_on_two_replicas_ask_the_provider_once(replicas: tuple[BrokerUnderTest, BrokerUnderTest]):
    """Security rule B14: one upstream refresh at a time across replicas; the others wait for its answer."""
    one, two = replicas
    tokens = (await one.redeem(await one.browser().code())).json()
    for replica in replicas:
        replica.broker.core.clock.forward(900)  # type: ignore[attr-defined] # each process has a clock
    one.idp.faults.delay["token"] = 0.2
    answers = await asyncio.gather(*(replica.refresh(tokens["refresh_token"]) for replica in (one, two) * 8))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(call.params.get("grant_type") == "refresh_token" for call in one.idp.calls("token")) == 1


async def test_a_logout_token_at_one_replica_ends_everything_on_the_other(
    replicas: tuple[BrokerUnderTest, BrokerUnderTest],
):
    """Security rule B15: on all replicas within a second, since nothing of it is kept in a process."""
    one, two = replicas
    browser = two.browser()
    tokens = (await two.redeem(await browser.code())).json()
    who = LoggedOut(issuer=IDP, subject="u-alice", sid=None)
    used = LogoutToken(jti="jti", expires_at=one.clock.now() + 180)
    assert await one.store.log_out(who, used, ends_grants=True, now=one.clock.now(), events=())
    assert (await two.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    assert ("decision", "allow") not in Form((await browser.authorize()).text).buttons
