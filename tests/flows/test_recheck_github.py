"""The tie at GitHub, which keeps ten tokens for a person and app: one tie a person, whose newest token serves all (provider facts 6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.settings import PolicyRule
from tests.broker.harness import IDP, BrokerUnderTest, Form, running
from tests.providers.github.scripted_github import ScriptedGitHub
from tests.providers.scripted_faults import DOWN

INTERVAL = 900
PEOPLE = 12


class Host(ScriptedGitHub):
    """A host whose clock is the test's."""

    now: Any = None


@asynccontextmanager
async def house(
    tmp_path: Path, *, expiring: bool = False, **changes: Any
) -> AsyncIterator[tuple[BrokerUnderTest, Host]]:
    github = Host(IDP, f"{IDP}/api/v3", expiring=expiring)
    async with running(tmp_path, idp=github, **changes) as broker:  # type: ignore[arg-type] # another script
        yield broker, github


async def connected(broker: BrokerUnderTest, times: int) -> list[str]:
    """Sign the same person in with so many browsers and connect an app each time; return the refresh tokens."""
    return [(await broker.redeem(await broker.browser().code())).json()["refresh_token"] for _ in range(times)]


@pytest.mark.parametrize("expiring", [False, True], ids=["OAuth App", "expiring tokens"])
async def test_a_twelfth_login_ends_no_older_grant(tmp_path: Path, *, expiring: bool):
    """Issue: GitHub ends the eleventh-newest token; a new login never ends an older grant (rule B14)."""
    async with house(tmp_path, expiring=expiring) as (broker, github):
        tokens = await connected(broker, PEOPLE)
        assert len(github.tokens) == 10
        for round_ in range(2):
            broker.clock.forward(INTERVAL)
            answers = [await broker.refresh(token) for token in tokens]
            assert {answer.status_code for answer in answers} == {200}, round_
            tokens = [answer.json()["refresh_token"] for answer in answers]
        assert len(await broker.store.sealed_tokens(after="", limit=99)) == 1, "one for the person"
        assert len(await broker.events("upstream.rechecked")) == 2, "and one re-check an interval for all of them"


async def test_who_revokes_the_app_is_out_everywhere_and_may_come_back(tmp_path: Path):
    """Rules B16, E11."""
    async with house(tmp_path) as (broker, github):
        tokens = await connected(broker, 3)
        github.revoke_everything("octocat")
        broker.clock.forward(INTERVAL)
        assert {(await broker.refresh(token)).json()["error"] for token in tokens} == {"invalid_grant"}
        (event,) = await broker.events("upstream.ended")
        assert event["reason"] == "token_revoked"
        (again,) = await connected(broker, 1)
        assert (await broker.refresh(again)).status_code == 200
        assert {(await broker.refresh(token)).json()["error"] for token in tokens} == {"invalid_grant"}, (
            "ended is ended"
        )


async def test_one_person_s_end_is_nobody_else_s(tmp_path: Path):
    async with house(tmp_path) as (broker, github):
        (octocat,) = await connected(broker, 1)
        github.sign_in_as = next(name for name in github.accounts if name != "octocat")
        (other,) = await connected(broker, 1)
        github.revoke_everything("octocat")
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(octocat)).status_code == 400
        assert (await broker.refresh(other)).status_code == 200


async def test_who_left_the_team_loses_what_it_gave(tmp_path: Path):
    """Rule B16: organisations and teams are read with the person's own token, by numbers that nobody else can take."""
    async with house(tmp_path, policy=(PolicyRule(name="acme", organization=("org:9919",)),)) as (broker, github):
        (token,) = await connected(broker, 1)
        del github.accounts["octocat"].organizations[9919]
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(token)).json()["error"] == "invalid_grant"
        assert (await broker.events("token.refresh_refused"))[0]["reason"] == "policy"


async def test_an_organisation_that_its_member_hides_is_gone_at_once(tmp_path: Path):
    """Rule B16: whoever left could take single sign-on away from their own token to keep what they had."""
    async with house(tmp_path, policy=(PolicyRule(name="acme", organization=("org:9919",)),)) as (broker, github):
        (token,) = await connected(broker, 1)
        github.faults.hidden.add(9919)
        broker.clock.forward(INTERVAL)
        assert (await broker.refresh(token)).json()["error"] == "invalid_grant"


async def test_an_organisation_that_github_cannot_list_just_now_stands_for_a_while(tmp_path: Path):
    """Issue: unknown(reason) keeps the last known good for a bounded time on refresh, and the audit says why."""
    async with house(tmp_path, policy=(PolicyRule(name="acme", organization=("org:9919",)),)) as (broker, github):
        (token,) = await connected(broker, 1)
        github.faults.answers["orgs"] = DOWN
        broker.clock.forward(INTERVAL)
        answer = await broker.refresh(token)
        assert answer.status_code == 200
        assert (await broker.events("upstream.rechecked"))[0]["groups_kept"] == "unavailable"
        token = answer.json()["refresh_token"]
        for _ in range(5):
            broker.clock.forward(INTERVAL)
            answer = await broker.refresh(token)
            token = answer.json().get("refresh_token", token)
        assert answer.json()["error"] == "invalid_grant"


async def test_a_stranger_whom_a_setting_keeps_out_is_told_whom_to_ask(tmp_path: Path):
    """Issue 3, policy: a refusal tells the person what to ask whom for; the app learns it only if they follow the link (rule C5)."""
    async with house(tmp_path) as (broker, github):
        adapter = broker.settings.providers[0].adapter
        kept = replace(adapter, options={**adapter.options, "allowed_orgs": "org:1"})
        (tmp_path / "strict").mkdir()
        async with running(tmp_path / "strict", idp=github, provider={"adapter": kept}) as strict:  # type: ignore[arg-type]
            page = await strict.browser().login()
            assert page.status_code == 403
            assert "You may not sign in here" in page.text
            assert "error=access_denied" in page.text
            assert (await strict.events("login.failed"))[0]["reason"] == "organization_not_allowed"


async def test_every_browser_of_the_person_is_signed_out_with_the_tie(tmp_path: Path):
    async with house(tmp_path) as (broker, github):
        browser, other = broker.browser(), broker.browser()
        await browser.login()
        await other.login()
        github.revoke_everything("octocat")
        broker.clock.forward(INTERVAL)
        assert (await browser.answer(await browser.authorize(), "decision", "allow")).status_code == 200
        assert ("decision", "allow") not in Form((await other.authorize()).text).buttons
