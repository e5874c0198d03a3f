"""The re-check: tokens that expire and tokens that do not, rotation, revocation (security rules B14, B16)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from providers.base import Fault, Groups, UpstreamError
from tests.providers import scripted_faults as faulty
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.github.scripted_github import ACME, ScriptedGitHub


async def test_a_token_that_does_not_expire_is_asked_again(github: GitHubCase) -> None:
    """Security rule B16: memberships are read anew; when the person signed in stays as it was."""
    known = await github.sign_in()
    github.clock.value += 3600
    del github.idp.accounts["octocat"].organizations[ACME]
    found = await github.recheck(known)
    assert (found.subject, found.auth_time, found.tokens) == (known.subject, known.auth_time, known.tokens)
    assert found.attributes == {"organization": ("Widgets", "org:42")}
    assert found.groups == Groups.known(("Widgets", "org:42", "Widgets/on-call", "team:8"))
    assert len(github.idp.calls("token")) == 1


async def test_a_revoked_token_ends_it(github: GitHubCase) -> None:
    """Security rule B16: the person removed the app, or was removed."""
    known = await github.sign_in()
    github.idp.revoke_everything("octocat")
    error = await github.recheck_fails(known)
    assert (error.fault, error.reason, error.tokens) == (Fault.PERMANENT, "token_revoked", None)


async def test_a_suspended_person_is_out() -> None:
    """Security rule B16."""
    async with open_github() as github:
        known = await github.sign_in()
        github.idp.faults.answers["user"] = faulty.Answer(403, b'{"message": "Sorry. Your account was suspended."}')
        assert (await github.recheck_fails(known)).fault is Fault.PERMANENT


async def test_whoever_left_the_allowed_organisation_is_out() -> None:
    """Security rule B16: at the next re-check, without anybody touching a server."""
    async with open_github(options={"allowed_orgs": f"org:{ACME}"}) as github:
        known = await github.sign_in()
        del github.idp.accounts["octocat"].organizations[ACME]
        error = await github.recheck_fails(known)
        assert (error.fault, error.reason) == (Fault.PERMANENT, "organization_not_allowed")


async def test_the_eleventh_token_ends_the_oldest_and_the_newest_serves(github: GitHubCase) -> None:
    """Facts, section 1.3: what makes a person's sessions share the newest token."""
    logins = [await github.sign_in() for _ in range(11)]
    assert (await github.recheck_fails(logins[0])).reason == "token_revoked"
    shared = await github.provider.refresh(logins[-1].tokens, logins[0])  # type: ignore[arg-type]
    assert shared.subject == logins[0].subject


async def test_a_token_that_still_lives_is_not_rotated() -> None:
    """Security rule B14: the fewer rotations, the fewer can be lost."""
    async with open_github(ScriptedGitHub(is_app=True)) as github:
        known = await github.sign_in()
        assert (await github.recheck(known)).tokens == known.tokens
        assert len(github.idp.calls("token")) == 1


async def test_an_expired_token_is_renewed_and_both_old_ones_are_dead() -> None:
    """Facts, section 1.3; security rule B14: the result holds what to keep from here on."""
    async with open_github(ScriptedGitHub(is_app=True)) as github:
        known = await github.sign_in()
        assert known.tokens is not None
        github.idp.tokens["expired"] = github.idp.tokens.pop(known.tokens.access_token)
        found = await github.recheck(known)
        assert found.tokens is not None
        assert (found.subject, found.auth_time) == (known.subject, known.auth_time)
        assert found.tokens.access_token in github.idp.tokens
        assert found.tokens.refresh_token != known.tokens.refresh_token
        error = await github.recheck_fails(known)
        assert (error.fault, error.reason) == (Fault.PERMANENT, "bad_refresh_token")


@pytest.mark.parametrize("status", [200, 400])
async def test_a_dead_refresh_token_ends_it(status: int) -> None:
    """`bad_refresh_token` is seen with both statuses."""
    async with open_github(ScriptedGitHub(expiring=True)) as github:
        known = await github.sign_in()
        github.idp.revoke_everything("octocat")
        github.idp.faults.error_status = status
        error = await github.recheck_fails(known)
        assert (error.fault, error.reason) == (Fault.PERMANENT, "bad_refresh_token")


async def test_a_wrong_secret_ends_nobodys_grant() -> None:
    """An operator's fault: alert, and keep the grant."""
    async with open_github(ScriptedGitHub(expiring=True)) as github:
        known = await github.sign_in()
        github.idp.revoke_everything("octocat")
        github.idp.client_secret = "changed"
        error = await github.recheck_fails(known)
        assert (error.fault, error.reason) == (Fault.OPERATOR, "incorrect_client_credentials")


@pytest.mark.parametrize("answer", [faulty.DOWN, faulty.THROTTLED])
async def test_an_outage_is_transient_and_spends_nothing(answer: faulty.Answer) -> None:
    """Security rule B16: 5xx keeps the grant."""
    async with open_github(ScriptedGitHub(expiring=True)) as github:
        known = await github.sign_in()
        github.idp.faults.answers["user"] = answer
        assert (await github.recheck_fails(known)).fault is Fault.TRANSIENT
        assert len(github.idp.calls("token")) == 1


async def test_a_lost_answer_of_a_rotation_says_so() -> None:
    """Security rule B14: perhaps the refresh token was spent."""
    async with open_github(ScriptedGitHub(expiring=True), timeout=0.2) as github:
        known = await github.sign_in()
        github.idp.revoke_everything("octocat")
        github.idp.faults.delay["token"] = 30
        error = await github.recheck_fails(known)
        assert (error.fault, error.reason, error.tokens) == (Fault.TRANSIENT, "answer_lost", None)


@pytest.mark.parametrize("fault", ["slow", "down"])
async def test_tokens_that_were_rotated_outlive_a_failure_after_it(fault: str) -> None:
    """Security rule B14: only the new tokens live, so the error carries them, unseen."""
    async with open_github(ScriptedGitHub(is_app=True), timeout=0.3) as github:
        known = await github.sign_in()
        assert known.tokens is not None
        github.idp.tokens["expired"] = github.idp.tokens.pop(known.tokens.access_token)
        if fault == "slow":
            github.idp.faults.delay["orgs"] = 30
        else:
            github.idp.faults.answers["orgs"] = faulty.DOWN
            github.provider._options = replace(github.provider._options, allowed_orgs=frozenset({"acme"}))
        error = await github.recheck_fails(known)
        assert error.fault is Fault.TRANSIENT
        assert error.tokens is not None
        assert error.tokens.access_token not in repr(error)
        github.idp.faults.delay.clear()
        github.idp.faults.answers.clear()
        assert (await github.provider.refresh(error.tokens, known)).subject == known.subject


async def test_somebody_elses_token_is_not_this_person(github: GitHubCase) -> None:
    """Security rules B14, B16: never somebody else's session."""
    known = await github.sign_in()
    github.idp.sign_in_as = "hubot"
    other = await github.sign_in()
    assert other.tokens is not None
    with pytest.raises(UpstreamError) as caught:
        await github.provider.refresh(other.tokens, known)
    assert (caught.value.fault, caught.value.reason) == (Fault.PERMANENT, "subject_changed")


async def test_one_token_is_given_back_and_others_live(github: GitHubCase) -> None:
    """`DELETE /applications/{client_id}/token`, never `/grant`, which would end every session of the person."""
    first, second = await github.sign_in(), await github.sign_in()
    assert first.tokens is not None
    await github.provider.revoke(first.tokens)
    assert (await github.recheck_fails(first)).reason == "token_revoked"
    assert (await github.recheck(second)).subject == "583231"
    await github.provider.revoke(first.tokens)  # dead already is as good


@pytest.mark.parametrize(
    ("answer", "fault", "reason"),
    [
        (faulty.UNAUTHORIZED, Fault.OPERATOR, "revocation_refused"),
        (faulty.DOWN, Fault.TRANSIENT, "revocation_unavailable"),
        (faulty.THROTTLED, Fault.TRANSIENT, "revocation_unavailable"),
    ],
)
async def test_a_revocation_that_failed_says_whose_matter_it_is(
    github: GitHubCase, answer: faulty.Answer, fault: Fault, reason: str
) -> None:
    """Security rule B12."""
    known = await github.sign_in()
    assert known.tokens is not None
    github.idp.faults.answers["app_token"] = answer
    with pytest.raises(UpstreamError) as caught:
        await github.provider.revoke(known.tokens)
    assert (caught.value.fault, caught.value.reason) == (fault, reason)
