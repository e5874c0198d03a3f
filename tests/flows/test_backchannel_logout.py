"""Back-channel logout, and who wins when it meets a login (rules B15, B17; OpenID Connect Back-Channel Logout 1.0)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from broker.model import digest
from tests.broker.harness import FILES, IDP, ISSUER, MAIL, BrokerUnderTest, Form, query_of, running
from tests.providers import scripted_faults as faulty
from tests.providers.scripted_faults import ABSENT
from tests.providers.scripted_idp import ScriptedIdp

SECRET = "a-resource-secret-of-32-characters!"
ASKING = replace(FILES, secret_hash=digest(SECRET))


@asynccontextmanager
async def house(
    tmp_path: Path, *, type_: str = "keycloak", **changes: Any
) -> AsyncIterator[tuple[BrokerUnderTest, ScriptedIdp]]:
    idp = ScriptedIdp(issuer=IDP)
    adapter = replace(idp.settings(), id="corp", display_name="Corp", type=type_)
    provider = {"adapter": adapter, **changes.pop("provider", {})}
    async with running(tmp_path, idp=idp, provider=provider, **{"resources": (ASKING, MAIL), **changes}) as broker:
        yield broker, idp


async def notify(broker: BrokerUnderTest, token: str | None, provider: str = "corp") -> httpx2.Response:
    async with broker.http(source="198.51.100.9") as http:
        form = {} if token is None else {"logout_token": token}
        return await http.post(f"/backchannel-logout/{provider}", data=form)


async def is_active(broker: BrokerUnderTest, token: str) -> bool:
    async with broker.http() as http:
        answer = await http.post("/introspect", data={"token": token}, auth=(ASKING.id, SECRET))
    return bool(answer.json()["active"])


@pytest.mark.parametrize("whom", [{}, {"sub": ABSENT}, {"sid": ABSENT}], ids=["both", "sid only", "sub only"])
async def test_a_logout_there_ends_sessions_and_grants_here_at_once(tmp_path: Path, whom: dict[str, Any]):
    """Rule B15: refresh, introspection and the browser session say so in the next moment."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        tokens = (await broker.redeem(await browser.code())).json()
        assert await is_active(broker, tokens["access_token"])
        broker.clock.forward(1)
        answer = await notify(broker, idp.logout_token(whom))
        assert (answer.status_code, answer.text) == (200, "")
        assert "no-store" in answer.headers["cache-control"]
        assert not await is_active(broker, tokens["access_token"])
        assert (await broker.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        assert ("decision", "allow") not in Form((await browser.authorize()).text).buttons
        (event,) = await broker.events("upstream.logout")
        assert (event["provider"], event["ends"]) == ("corp", "grants")


async def test_other_people_and_other_sessions_stay(tmp_path: Path):
    """Rule B15: what the token names ends, and nothing else."""
    async with house(tmp_path) as (broker, idp):
        alice = (await broker.redeem(await broker.browser().code())).json()
        idp.sign_in_as = "bob"
        bob = (await broker.redeem(await broker.browser().code())).json()
        assert (await notify(broker, idp.logout_token({"sid": "another-session", "sub": "u-alice"}))).status_code == 200
        assert await is_active(broker, alice["access_token"]), "another session of the same person"
        broker.clock.forward(1)
        await notify(broker, idp.logout_token())
        assert await is_active(broker, bob["access_token"])
        assert not await is_active(broker, alice["access_token"])


async def test_a_session_whose_sid_is_not_known_ends_with_the_person_s(tmp_path: Path):
    """Rule B15: an ID token without `sid` cannot say which session it was."""
    async with house(tmp_path) as (broker, idp):
        idp.faults.claims["sid"] = ABSENT
        tokens = (await broker.redeem(await broker.browser().code())).json()
        broker.clock.forward(1)
        await notify(broker, idp.logout_token())
        assert not await is_active(broker, tokens["access_token"])


async def test_a_session_whose_sid_only_a_recheck_tells_ends_by_the_logout_that_came_meanwhile(tmp_path: Path):
    """Rule B17: the token named the `sid` alone, the session had none yet, and the answer that names it is on its way."""
    async with house(tmp_path) as (broker, idp):
        idp.faults.claims["sid"] = ABSENT
        tokens = (await broker.redeem(await broker.browser().code())).json()
        idp.faults.claims.clear()
        broker.clock.forward(900)
        idp.faults.delay["token"] = 0.2
        asked = asyncio.create_task(broker.refresh(tokens["refresh_token"]))
        for _ in range(2000):
            if any(call.params.get("grant_type") == "refresh_token" for call in idp.calls("token")):
                break
            await asyncio.sleep(0.001)
        assert (await notify(broker, idp.logout_token({"sub": ABSENT}))).status_code == 200
        assert (await asked).json()["error"] == "invalid_grant"
        assert [event["reason"] for event in await broker.events("upstream.ended")] == ["logout"]
        assert await broker.events("upstream.rechecked") == []


async def test_where_told_so_only_browser_sessions_end(tmp_path: Path):
    """Contract, `LOGOUT_ENDS=sessions`."""
    async with house(tmp_path, provider={"logout_ends_grants": False}) as (broker, idp):
        browser = broker.browser()
        tokens = (await broker.redeem(await browser.code())).json()
        broker.clock.forward(1)
        await notify(broker, idp.logout_token())
        assert await is_active(broker, tokens["access_token"])
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200
        assert ("decision", "allow") not in Form((await browser.authorize()).text).buttons


async def test_a_logout_token_counts_once(tmp_path: Path):
    """Rule B15, replay included: 400, and a session that began since stays."""
    async with house(tmp_path) as (broker, idp):
        token = idp.logout_token()
        assert (await notify(broker, token)).status_code == 200
        broker.clock.forward(1)
        tokens = (await broker.redeem(await broker.browser().code())).json()
        replayed = await notify(broker, token)
        assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_request")
        assert await is_active(broker, tokens["access_token"])
        pending = await broker.browser().code()
        await notify(broker, token)
        assert (await broker.redeem(pending)).status_code == 200, "a replay leaves no tombstone either"


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        ({"nonce": "n"}, {}),
        ({"iss": "https://evil.example"}, {}),
        ({"aud": "another-client"}, {}),
        ({"events": {}}, {}),
        ({"events": ABSENT}, {}),
        ({"jti": ABSENT}, {}),
        ({"sub": ABSENT, "sid": ABSENT}, {}),
        ({"iat": ABSENT}, {}),
        ({"exp": 1}, {}),
        ({}, {"alg": "none"}),
        ({}, {"typ": "at+jwt"}),
        ({}, {"kid": "unknown"}),
    ],
    ids=str,
)
async def test_what_is_not_to_be_believed_ends_nothing(tmp_path: Path, claims: dict[str, Any], header: dict[str, Any]):
    """Rule B15; Back-Channel Logout section 2.8: 400, and the answer repeats nothing of the token."""
    async with house(tmp_path) as (broker, idp):
        tokens = (await broker.redeem(await broker.browser().code())).json()
        broker.clock.forward(1)
        refused = await notify(broker, idp.logout_token(claims, header))
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
        assert await is_active(broker, tokens["access_token"])
        assert await broker.events("upstream.logout") == []


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", "e30.e30.", "\N{SNOWMAN}" * 10, "x" * 9000])
async def test_no_text_is_a_logout_token_or_a_server_error(tmp_path: Path, token: str | None):
    """Rules B15, E15: no input gives a 5xx."""
    async with house(tmp_path) as (broker, _):
        assert (await notify(broker, token)).status_code in (400, 413)


async def test_an_id_token_is_no_logout_token(tmp_path: Path):
    """Rule B15: cross-JWT confusion."""
    async with house(tmp_path) as (broker, idp):
        await broker.browser().login()
        token = idp.id_token(idp.people["alice"], None, "at")
        assert (await notify(broker, token)).status_code == 400


async def test_while_the_keys_cannot_be_had_the_provider_is_asked_to_come_back(tmp_path: Path):
    """Nothing was used up: the same token is good later."""
    async with house(tmp_path) as (broker, idp):
        idp.faults.answers["jwks"] = faulty.DOWN
        token = idp.logout_token()
        broker.oracle.outage = True
        refused = await notify(broker, token)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        idp.faults.answers.clear()
        broker.clock.forward(31)
        assert (await notify(broker, token)).status_code == 200


@pytest.mark.parametrize("provider", ["unknown", "CORP", "corp%2f", "..%2fcorp"])
async def test_nobody_listens_for_a_provider_that_is_not_there(tmp_path: Path, provider: str):
    async with house(tmp_path) as (broker, idp):
        assert (await notify(broker, idp.logout_token(), provider)).status_code == 404


async def test_nobody_listens_for_a_provider_that_sends_none(tmp_path: Path):
    """A capability that an adapter lacks is absent (architecture, section 3)."""
    async with house(tmp_path, type_="okta") as (broker, idp):
        assert (await notify(broker, idp.logout_token())).status_code == 404


async def test_it_is_a_form_post_and_nothing_else(tmp_path: Path):
    """Rules C15, E15, E16."""
    async with house(tmp_path) as (broker, idp), broker.http() as http:
        url = f"{ISSUER}/backchannel-logout/corp"
        assert (await http.get(url, params={"logout_token": idp.logout_token()})).status_code == 405
        assert (await http.post(url, json={"logout_token": idp.logout_token()})).status_code == 400
        assert (await http.post(f"{url}?logout_token={idp.logout_token()}")).status_code == 400
        answer = await http.post(
            url, data={"logout_token": idp.logout_token()}, headers={"origin": "https://x.example"}
        )
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("whom", "claims"),
    [
        ({}, {}),
        ({"sub": ABSENT}, {}),
        ({"sid": ABSENT}, {}),
        ({}, {"sid": ABSENT}),
        ({"sid": ABSENT}, {"sid": ABSENT}),
    ],
    ids=["both", "sid only", "sub only", "both, of a session without sid", "sub only, of a session without sid"],
)
async def test_a_logout_while_the_login_is_on_its_way_wins(
    tmp_path: Path, whom: dict[str, Any], claims: dict[str, Any]
):
    """Rule B17: it comes after the approval and before the callback; nothing is started, and the person is told."""
    async with house(tmp_path) as (broker, idp):
        idp.faults.claims.update(claims)
        browser = broker.browser()
        page = await browser.authorize()
        back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
        broker.clock.forward(1)
        assert (await notify(broker, idp.logout_token(whom))).status_code == 200
        broker.clock.forward(1)
        ended = await browser.http.get(back.headers["location"])
        assert (ended.status_code, "location" in ended.headers) == (400, False)
        assert "signed out meanwhile" in ended.text
        assert (await broker.events("login.refused"))[0]["reason"] == "logout_won"
        assert await broker.events("session.started") == []
        again = await broker.browser().login()
        assert "code" in query_of(again), "a login that began since is not meant"


async def test_a_logout_before_the_code_is_redeemed_wins(tmp_path: Path):
    """Rule B17: the code is worth nothing."""
    async with house(tmp_path) as (broker, idp):
        code = await broker.browser().code()
        broker.clock.forward(1)
        await notify(broker, idp.logout_token())
        refused = await broker.redeem(code)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


async def test_it_wins_where_grants_are_to_stay_as_well(tmp_path: Path):
    """Rule B17, contract `LOGOUT_ENDS=sessions`: a code is no grant yet."""
    async with house(tmp_path, provider={"logout_ends_grants": False}) as (broker, idp):
        code = await broker.browser().code()
        broker.clock.forward(1)
        await notify(broker, idp.logout_token())
        assert (await broker.redeem(code)).json()["error"] == "invalid_grant"


async def test_a_logout_between_the_page_and_allow_wins(tmp_path: Path):
    """Rules B16, B17: the page comes back with the ways to sign in."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        await browser.login()
        page = await browser.authorize()
        broker.clock.forward(1)
        await notify(broker, idp.logout_token())
        answer = await browser.answer(page, "decision", "allow")
        assert answer.status_code == 200
        assert ("provider", "corp") in Form(answer.text).buttons


async def test_a_tombstone_outlives_every_login_on_its_way_and_then_goes(tmp_path: Path):
    """Rule B17; architecture section 9: bounded."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        page = await browser.authorize()
        back = await browser.at_idp(await browser.answer(page, "provider", "corp"))
        await notify(broker, idp.logout_token())
        broker.clock.forward(590)
        await broker.store.purge(broker.clock.now(), audit_before=0)
        assert (await browser.http.get(back.headers["location"])).status_code == 400
        broker.clock.forward(7200)
        await broker.store.purge(broker.clock.now(), audit_before=0)
        assert "code" in query_of(await broker.browser().login())
