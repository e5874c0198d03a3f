"""Organisations and teams: complete, empty or unknown with a reason (facts, section 1.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from providers.base import Fault, Groups
from tests.providers import scripted_faults as faulty
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.github.scripted_github import ACME, SECRET_ORG, WIDGETS, ScriptedGitHub

LIMITED = faulty.Answer(403, b'{"message": "API rate limit exceeded"}')
SSO = faulty.Answer(
    403,
    b'{"message": "Resource protected by organization SAML enforcement."}',
    headers={"x-github-sso": "required; url=https://github.com/orgs/acme/sso?authorization_request=upstream"},
)


async def test_lists_are_read_to_their_last_page(github: GitHubCase) -> None:
    """`Link: rel="next"` until there is none; a missing `last` is no reason to stop."""
    github.idp.accounts["octocat"].organizations = {n: f"org-{n}" for n in range(1, 6)}
    github.idp.accounts["octocat"].teams = [(n, f"team-{n}", 1) for n in range(100, 103)]
    github.idp.faults.page_size = 2
    identity = await github.sign_in()
    assert [call.params.get("page", "1") for call in github.idp.calls("orgs")] == ["1", "2", "3"]
    assert identity.attributes["organization"][-2:] == ("org-5", "org:5")
    assert identity.groups.names is not None
    assert identity.groups.names[-2:] == ("org-1/team-102", "team:102")
    assert len(identity.groups.names) == 16


async def test_a_person_without_organisations_has_none_and_not_unknown_ones(github: GitHubCase) -> None:
    """Empty is an answer."""
    github.idp.sign_in_as = "hubot"
    identity = await github.sign_in()
    assert (identity.groups, identity.attributes) == (Groups.known(()), {"organization": ()})


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/user/orgs?page=2",
        "http://api.github.com/user/orgs?page=2",
        "https://api.github.com.evil.example/user/orgs?page=2",
        "https://api.github.com:8443/user/orgs?page=2",
        "https://token@api.github.com/user/orgs?page=2",
        "//evil.example/user/orgs",
        "/user/orgs?page=2",
        "https://[evil/user/orgs",
    ],
)
async def test_a_next_page_elsewhere_is_not_followed(github: GitHubCase, elsewhere: str) -> None:
    """Security rule B13: the person's token goes to this API and nowhere else."""
    github.idp.faults.page_size, github.idp.faults.next_page = 1, elsewhere
    identity = await github.sign_in()
    assert identity.groups == Groups.unknown("paging_elsewhere")
    assert "organization" not in identity.attributes
    assert len(github.idp.calls("orgs")) == 1


async def test_a_list_without_end_is_unknown(github: GitHubCase) -> None:
    """Security rule B7: bounded in requests."""
    github.idp.faults.page_size, github.idp.faults.next_page = 1, "https://api.github.com/user/orgs?page=1&per_page=1"
    assert (await github.sign_in()).groups == Groups.unknown("too_many_pages")
    assert len(github.idp.calls("orgs")) == 20


async def test_rows_that_single_sign_on_hides_make_membership_unknown(github: GitHubCase) -> None:
    """`X-GitHub-SSO: partial-results` on a 200: what was left out might be what a rule asks for."""
    github.idp.accounts["octocat"].organizations[SECRET_ORG] = "secret"
    github.idp.faults.hidden = {SECRET_ORG}
    identity = await github.sign_in()
    assert identity.groups == Groups.unknown("sso_partial_results")
    assert "organization" not in identity.attributes


@pytest.mark.parametrize("endpoint", ["orgs", "teams"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (SSO, "sso_required"),
        (LIMITED, "rate_limited"),
        (faulty.THROTTLED, "rate_limited"),
        (faulty.FORBIDDEN, "forbidden"),
        (faulty.NOT_FOUND, "forbidden"),
        (faulty.UNAUTHORIZED, "forbidden"),
        (faulty.DOWN, "unavailable"),
        (faulty.HTML, "malformed"),
        (faulty.REDIRECT, "malformed"),
        (faulty.OVERSIZED, "too_large"),
        (faulty.Answer(200, b"{}"), "malformed"),
        (faulty.Answer(200, b'["acme"]'), "malformed"),
        (faulty.Answer(200, b'[{"id": 1}]'), "malformed"),
        (faulty.Answer(200, b'[{"id": "1", "login": "acme", "slug": "x"}]'), "malformed"),
        (faulty.Answer(200, b'[{"id": 1, "login": "a/b", "slug": "a/b", "organization": {}}]'), "malformed"),
        (faulty.Answer(200, b'[{"id": 1, "login": "", "slug": "", "organization": []}]'), "malformed"),
    ],
)
async def test_a_list_that_cannot_be_had_is_unknown_with_its_reason(
    github: GitHubCase, endpoint: str, answer: faulty.Answer, reason: str
) -> None:
    """Groups are complete, empty or unknown; who signs in is known all the same (security rule B12)."""
    github.idp.faults.answers[endpoint] = answer
    identity = await github.sign_in()
    assert (identity.subject, identity.groups) == ("583231", Groups.unknown(reason))
    assert ("organization" in identity.attributes) == (endpoint == "teams")


async def test_a_token_without_the_scope_asks_for_no_list() -> None:
    """`X-OAuth-Scopes` says it at once; a GitHub App has no scopes and asks."""
    async with open_github(scopes=("read:user",)) as github:
        identity = await github.sign_in()
        assert identity.groups == Groups.unknown("scope_missing")
        assert not github.idp.calls("orgs")
    async with open_github(ScriptedGitHub(is_app=True)) as github:
        assert (await github.sign_in()).groups.names


@pytest.mark.parametrize("name", ["acme", "ACME", f"org:{ACME}", '["nowhere", "org:9919"]', "nowhere, acme"])
async def test_members_of_an_allowed_organisation_sign_in(name: str) -> None:
    """Architecture, section 7: by login, which GitHub compares without case, or by number."""
    async with open_github(options={"allowed_orgs": name}) as github:
        assert (await github.sign_in()).subject == "583231"


async def test_one_allowed_organisation_that_was_listed_is_enough() -> None:
    """Others that single sign-on hides are for the rules that ask for them."""
    async with open_github(options={"allowed_orgs": "acme"}) as github:
        github.idp.accounts["octocat"].organizations[SECRET_ORG] = "secret"
        github.idp.faults.hidden = {SECRET_ORG}
        assert (await github.sign_in()).groups == Groups.unknown("sso_partial_results")


@pytest.mark.parametrize(
    ("arrange", "fault", "reason"),
    [
        ({}, Fault.DENIED, "organization_not_allowed"),
        ({"hidden": {WIDGETS}}, Fault.INTERACTION, "organization_hidden_by_sso"),
        ({"answers": {"orgs": SSO}}, Fault.INTERACTION, "organization_hidden_by_sso"),
        ({"answers": {"orgs": faulty.FORBIDDEN}}, Fault.OPERATOR, "organization_unreadable"),
        ({"answers": {"orgs": faulty.HTML}}, Fault.PROTOCOL, "organization_unreadable"),
        ({"answers": {"orgs": faulty.DOWN}}, Fault.TRANSIENT, "organization_unknown"),
        ({"answers": {"orgs": LIMITED}}, Fault.TRANSIENT, "organization_unknown"),
    ],
)
async def test_whoever_is_not_known_to_be_in_an_allowed_organisation_stays_out(
    arrange: dict[str, Any], fault: Fault, reason: str
) -> None:
    """Unknown fails closed, and the reason says who can mend it."""
    async with open_github(options={"allowed_orgs": "initech"}) as github:
        vars(github.idp.faults).update(arrange)
        await github.is_refused(reason, fault)


async def test_without_the_scope_an_allowed_organisation_is_the_operators_matter() -> None:
    """The settings contradict each other."""
    async with open_github(options={"allowed_orgs": "acme"}, scopes=("read:user",)) as github:
        await github.is_refused("organization_unreadable", Fault.OPERATOR)


async def test_names_that_strangers_choose_cannot_pass_for_numbers(github: GitHubCase) -> None:
    """A login has no colon and no slash, so that `org:1` and `acme/platform` are never a stranger's login."""
    rows = [{"id": 5, "login": "org:9919"}]
    github.idp.faults.answers["orgs"] = faulty.Answer(200, json.dumps(rows).encode())
    assert (await github.sign_in()).groups == Groups.unknown("malformed")
