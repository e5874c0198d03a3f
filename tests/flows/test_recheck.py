"""The tie to the upstream session: asked again on refresh and before anything is issued from a live session (rules B14, B16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.model import digest
from broker.settings import PolicyRule
from tests.broker.harness import FILES, IDP, MAIL, BrokerUnderTest, Form, query_of, running
from tests.providers import scripted_faults as faulty
from tests.providers.scripted_idp import Person, ScriptedIdp

INTERVAL = 900
SECRET = "a-resource-secret-of-32-characters!"
ASKING = replace(FILES, secret_hash=digest(SECRET))
ENGINEERS = (PolicyRule(name="engineers", group=("/eng", "/eng/*")),)


@asynccontextmanager
async def house(tmp_path: Path, **changes: Any) -> AsyncIterator[tuple[BrokerUnderTest, ScriptedIdp]]:
    idp = ScriptedIdp(issuer=IDP)
    async with running(
        tmp_path, idp=idp, **{"resources": (ASKING, MAIL), "access_token_ttl": 7200, **changes}
    ) as broker:
        yield broker, idp


async def tokens_of(broker: BrokerUnderTest, **asked: str) -> dict[str, Any]:
    answer = await broker.redeem(await broker.browser().code(**asked))
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


async def is_active(broker: BrokerUnderTest, token: str) -> bool:
    async with broker.http() as http:
        answer = await http.post("/introspect", data={"token": token}, auth=(ASKING.id, SECRET))
    return bool(answer.json()["active"])


def upstream_refreshes(idp: ScriptedIdp) -> int:
    return sum(call.params.get("grant_type") == "refresh_token" for call in idp.calls("token"))


async def until_asked(idp: ScriptedIdp, times: int) -> None:
    for _ in range(2000):
        if upstream_refreshes(idp) >= times:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("the provider was not asked")


def change(idp: ScriptedIdp, name: str, claims: Mapping[str, Any]) -> None:
    idp.people[name] = Person(idp.people[name].sub, {**idp.people[name].claims, **claims})


async def test_a_refresh_within_the_interval_asks_nobody(tmp_path: Path):
    """Architecture section 5, upstream tie: the interval is the provider's `RECHECK_INTERVAL`."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        broker.clock.forward(INTERVAL - 1)
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200
        assert upstream_refreshes(idp) == 0


async def test_a_refresh_after_the_interval_asks_once_and_then_rests(tmp_path: Path):
    """Rules B14, B16; the rotated upstream token is what the next re-check uses."""
    async with house(tmp_path) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        for round_ in range(1, 4):
            broker.clock.forward(INTERVAL)
            for _ in range(2):
                answer = await broker.refresh(token)
                assert answer.status_code == 200, answer.text
                token = answer.json()["refresh_token"]
            assert upstream_refreshes(idp) == round_
        assert len(await broker.events("upstream.rechecked")) == 3


async def test_somebody_disabled_is_out_at_the_next_recheck_everywhere(tmp_path: Path):
    """Rule B16: the grant, the other apps of the same sign-in, the browser session; introspection says so at once."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        first = (await broker.redeem(await browser.code())).json()
        page = await browser.authorize(resource=MAIL.url)
        second = (await broker.redeem(query_of(await browser.answer(page, "decision", "allow"))["code"])).json()
        idp.disabled.add("alice")
        assert (await broker.refresh(first["refresh_token"])).status_code == 200, "nothing is asked before it is due"
        broker.clock.forward(INTERVAL)
        first_again = await broker.refresh(first["refresh_token"])
        assert (first_again.status_code, first_again.json()["error"]) == (400, "invalid_grant")
        assert not await is_active(broker, first["access_token"])
        assert (await broker.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
        assert ("decision", "allow") not in Form((await browser.authorize()).text).buttons
        (ended,) = await broker.events("upstream.ended")
        assert (ended["reason"], ended["fault"], ended["provider"]) == ("invalid_grant", "permanent", "corp")
        idp.disabled.clear()
        assert (await broker.refresh(first["refresh_token"])).json()["error"] == "invalid_grant", "ended is ended (E11)"


async def test_interaction_needed_ends_the_grant_with_its_reason(tmp_path: Path):
    """Issue: likewise, with its reason in the audit."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        idp.faults.answers["refresh"] = faulty.error(400, "interaction_required")
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await broker.events("upstream.ended"))[0]["reason"] == "interaction_required"
        assert (await broker.events("token.refresh_refused"))[0]["why"] == "interaction_required"


@pytest.mark.parametrize("answer", [faulty.DOWN, faulty.THROTTLED, faulty.HTML], ids=["down", "throttled", "nonsense"])
async def test_a_provider_that_is_down_is_asked_again_then_503_and_the_grant_is_kept(
    tmp_path: Path, answer: faulty.Answer
):
    """Architecture section 6: retried for up to five seconds before the 503; never invalid_grant."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        idp.faults.answers["refresh"] = answer
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        refused = await broker.refresh(tokens["refresh_token"])
        assert (refused.status_code, refused.json()["error"]) == (503, "temporarily_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert upstream_refreshes(idp) > 3
        assert await is_active(broker, tokens["access_token"])
        idp.faults.answers.clear()
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200, "nothing was spent"


async def test_an_outage_of_a_second_is_not_noticed(tmp_path: Path):
    """Architecture section 6: the Python client throws its tokens away on any answer but 200."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        idp.faults.answers["refresh"] = faulty.DOWN
        broker.clock.forward(INTERVAL)
        asked = asyncio.create_task(broker.refresh(tokens["refresh_token"]))
        await until_asked(idp, 2)
        idp.faults.answers.clear()
        assert (await asked).status_code == 200


async def test_a_refused_client_secret_alerts_and_ends_nothing(tmp_path: Path):
    """Issue: operator faults alert and keep the grant."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        idp.faults.answers["refresh"] = faulty.error(401, "invalid_client")
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 503
        assert upstream_refreshes(idp) == 1, "asking again would not mend it"
        (alert,) = await broker.events("upstream.alert")
        assert (alert["reason"], alert["provider"]) == ("invalid_client", "corp")
        idp.faults.answers.clear()
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200


async def test_within_the_stale_limit_an_outage_stops_nobody_and_after_it_does(tmp_path: Path):
    """Contract, `STALE_LIMIT`: for how long after a due re-check; never to issue from a browser's session."""
    async with house(tmp_path, provider={"stale_limit": 600}) as (broker, idp):
        browser = broker.browser()
        tokens = (await broker.redeem(await browser.code())).json()
        idp.faults.answers["refresh"] = faulty.DOWN
        broker.clock.forward(INTERVAL + 599)
        answer = await broker.refresh(tokens["refresh_token"])
        assert answer.status_code == 200
        assert (await broker.events("token.refreshed"))[-1]["upstream_stale"] is True
        broker.oracle.outage = True
        page = await browser.authorize()
        assert (await browser.answer(page, "decision", "allow")).status_code == 503
        broker.clock.forward(1)
        assert (await broker.refresh(answer.json()["refresh_token"])).status_code == 503


async def test_who_changed_teams_has_other_rights_at_the_next_recheck(tmp_path: Path):
    """Rule B16: groups are read again and policy decides again; the grant is kept for whoever comes back."""
    async with house(tmp_path, policy=ENGINEERS) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        change(idp, "alice", {"groups": ["/sales"]})
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(token)).json()["error"] == "invalid_grant"
        assert (await broker.events("token.refresh_refused"))[0]["reason"] == "policy"
        change(idp, "alice", {"groups": ["/eng"]})
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(token)).status_code == 200


async def test_groups_that_the_provider_leaves_out_are_gone_at_once(tmp_path: Path):
    """Issue: unknown fails closed; an answer without the claim is the provider's word, not an outage."""
    async with house(tmp_path, policy=ENGINEERS) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        idp.people["alice"] = Person("u-alice", {k: v for k, v in idp.people["alice"].claims.items() if k != "groups"})
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(token)).json()["error"] == "invalid_grant"
        for name in ("upstream.rechecked", "token.refresh_refused"):
            assert (await broker.events(name))[-1]["groups_unknown"] == "claim_absent", "and the audit says why"
        assert (await broker.browser().login()).status_code == 403
        for name in ("session.started", "login.refused"):
            assert (await broker.events(name))[-1]["groups_unknown"] == "claim_absent"


async def test_an_address_that_the_provider_takes_away_counts_no_more(tmp_path: Path):
    """Rules B10, B16: an absent address is nobody's."""
    rules = (PolicyRule(name="ours", domain=("example.com",)),)
    async with house(tmp_path, policy=rules) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        claims = {k: v for k, v in idp.people["alice"].claims.items() if not k.startswith("email")}
        idp.people["alice"] = Person("u-alice", claims)
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(token)).json()["error"] == "invalid_grant"


async def test_everybody_s_refresh_finds_the_same_and_the_trail_says_it_once_a_minute(tmp_path: Path):
    async with house(tmp_path) as (broker, idp):
        tokens = [(await tokens_of(broker))["refresh_token"] for _ in range(3)]
        idp.faults.answers["refresh"] = faulty.error(401, "invalid_client")
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        for token in tokens:
            assert (await broker.refresh(token)).status_code == 503
        assert len(await broker.events("upstream.alert")) == 1
        broker.clock.forward(60)
        await broker.refresh(tokens[0])
        assert len(await broker.events("upstream.alert")) == 2


async def test_the_stale_limit_is_for_outages_and_not_for_answers_that_cannot_be_believed(tmp_path: Path):
    """Contract, `STALE_LIMIT`: down, throttled, or refusing our own credentials; rule B5."""
    async with house(tmp_path, provider={"stale_limit": 600}) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        idp.faults.refreshed_claims["act"] = {"sub": "an administrator"}
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        assert (await broker.refresh(token)).status_code == 503


async def test_sixteen_refreshes_at_once_ask_the_provider_once(tmp_path: Path):
    """Rule B14: a rotating provider would end the session at the second."""
    async with house(tmp_path) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        broker.clock.forward(INTERVAL)
        answers = await asyncio.gather(*(broker.refresh(token) for _ in range(16)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1
        assert upstream_refreshes(idp) == 1


async def test_an_answer_is_kept_although_whoever_asked_has_gone(tmp_path: Path):
    """Rule B14: the old upstream token is spent, so the new one is stored whatever became of the request."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        broker.clock.forward(INTERVAL)
        idp.faults.delay["token"] = 0.1
        impatient = asyncio.create_task(broker.refresh(tokens["refresh_token"]))
        await until_asked(idp, 1)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        await broker.broker.core.recheck.aclose()
        again = await broker.refresh(tokens["refresh_token"])
        assert (again.status_code, upstream_refreshes(idp)) == (200, 1)
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(again.json()["refresh_token"])).status_code == 200


async def test_tokens_that_came_with_a_failure_are_kept(tmp_path: Path):
    """Rule B14: the provider rotated and UserInfo failed; the next attempt uses the new refresh token."""
    async with house(tmp_path, provider={}) as (broker, idp):
        idp.faults.thin_id_token = True
        tokens = await tokens_of(broker)
        idp.faults.answers["userinfo"] = faulty.DOWN
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 503
        idp.faults.answers.clear()
        assert (await broker.refresh(tokens["refresh_token"])).status_code == 200


async def test_a_lost_answer_of_a_rotating_provider_leads_to_a_new_login(tmp_path: Path):
    """Rule B14: never to somebody else's session."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        broker.clock.forward(INTERVAL)
        real = idp._sessions.copy()
        idp._sessions.clear()  # the provider spent the token, and its answer never arrived
        assert (await broker.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        idp._sessions.update(real)
        assert (await broker.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await tokens_of(broker))["access_token"], "a new login works"


async def test_somebody_else_at_the_end_of_an_upstream_token_ends_the_session(tmp_path: Path):
    """Rules B6, B14."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        idp.faults.refreshed_claims["sub"] = "u-bob"
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await broker.events("upstream.ended"))[0]["reason"] == "subject_changed"


async def test_a_live_session_is_rechecked_before_it_issues(tmp_path: Path):
    """Rule B16: looking at the page asks nobody; Allow asks the provider, and the app gets its code."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        await browser.login()
        broker.clock.forward(INTERVAL)
        page = await browser.authorize()
        assert ("decision", "allow") in Form(page.text).buttons
        assert upstream_refreshes(idp) == 0, "GET writes nothing and asks nobody"
        done = await browser.answer(page, "decision", "allow")
        assert "code" in query_of(done)
        assert upstream_refreshes(idp) == 1


async def test_a_live_session_whose_person_is_disabled_issues_nothing(tmp_path: Path):
    """Rule B16: the page comes back with the ways to sign in."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        await browser.login()
        idp.disabled.add("alice")
        broker.clock.forward(INTERVAL)
        answer = await browser.answer(await browser.authorize(), "decision", "allow")
        assert answer.status_code == 200
        assert "has ended" in answer.text
        assert ("provider", "corp") in Form(answer.text).buttons


async def test_a_live_session_whose_provider_is_down_issues_nothing_and_stays(tmp_path: Path):
    """A page with 503 and Retry-After; afterwards the same page's Allow still works."""
    async with house(tmp_path) as (broker, idp):
        browser = broker.browser()
        await browser.login()
        idp.faults.answers["refresh"] = faulty.DOWN
        broker.clock.forward(INTERVAL)
        page = await browser.authorize()
        broker.oracle.outage = True
        answer = await browser.answer(page, "decision", "allow")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "does not answer" in answer.text
        idp.faults.answers.clear()
        assert "code" in query_of(await browser.answer(page, "decision", "allow"))


async def test_a_clock_that_went_back_counts_as_due(tmp_path: Path):
    """Rule F4: a clock jump makes nothing immortal."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        broker.clock.forward(-3600)
        await broker.refresh(tokens["refresh_token"])
        assert upstream_refreshes(idp) == 1


async def test_upstream_tokens_stand_in_no_answer_no_log_and_not_in_clear_in_the_database(tmp_path: Path):
    """Rule B13; also after a re-check stored new ones."""
    async with house(tmp_path) as (broker, idp):
        tokens = await tokens_of(broker)
        broker.clock.forward(INTERVAL)
        await broker.refresh(tokens["refresh_token"])
        secrets = [*idp._tokens, *idp._sessions]
        assert len(secrets) >= 3
        await broker.broker.stop()
        dump = (tmp_path / "broker.db").read_bytes()
        log = "\n".join(broker.oracle.log)
        assert not [s for s in secrets if s.encode() in dump or s in log]
        assert b"eyJ" not in dump.replace(b'"eyJ', b""), "no JWT of the provider in clear"


async def test_tokens_that_cannot_be_opened_end_nothing_and_alert(tmp_path: Path):
    """Rule G11: a master key that left the list too early can be put back, and all goes on."""
    async with house(tmp_path) as (broker, idp):
        token = (await tokens_of(broker))["refresh_token"]
        ((session, sealed),) = await broker.store.sealed_tokens(after="", limit=10)
        assert await broker.store.reseal_tokens(session, sealed=sealed, resealed="under another key")
        broker.clock.forward(INTERVAL)
        broker.oracle.outage = True
        assert (await broker.refresh(token)).status_code == 503
        assert (await broker.events("upstream.alert"))[0]["reason"] == "tokens_seal_broken"
        assert upstream_refreshes(idp) == 0
        assert await broker.store.reseal_tokens(session, sealed="under another key", resealed=sealed)
        assert (await broker.refresh(token)).status_code == 200


async def test_a_defect_of_an_adapter_keeps_nobody_waiting_for_its_lease(tmp_path: Path):
    """Rule B14: the lease is given back at once; nothing was asked, or nothing will be heard."""

    class Defective:
        shares_tokens = False

        async def refresh(self, *_: object) -> None:
            raise ZeroDivisionError

    async with house(tmp_path) as (broker, _):
        token = (await tokens_of(broker))["refresh_token"]
        broker.clock.forward(INTERVAL)
        providers: Any = broker.broker.core.upstream.providers
        good, providers["corp"] = providers["corp"], Defective()
        with pytest.raises(AssertionError, match="answered 500"):
            await broker.refresh(token)
        providers["corp"] = good
        assert (await broker.refresh(token)).status_code == 200
