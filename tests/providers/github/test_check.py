"""What the adapter finds wrong with its own set-up, without a person."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Diagnoses, Verdict
from tests.providers import scripted_faults as faulty
from tests.providers.case import REDIRECT_URI
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.github.scripted_github import ScriptedGitHub


async def verdicts(github: GitHubCase) -> dict[str, tuple[Verdict, str, str]]:
    """Return each check's verdict, detail and mend."""
    assert isinstance(github.provider, Diagnoses)
    checks = await github.provider.check(REDIRECT_URI)
    assert "upstream words" not in repr(checks)
    assert github.idp.client_secret not in repr(checks)
    assert all(check.fix for check in checks if check.status is not Verdict.OK)
    return {check.name: (check.status, check.detail, check.fix) for check in checks}


async def test_a_good_set_up_is_all_ok_but_for_what_only_a_login_shows() -> None:
    """A code and a token that nobody has are refused as such, which proves the id and the secret, and nothing of the callback URL."""
    async with open_github(options={"allowed_orgs": "acme"}) as github:
        found = await verdicts(github)
        assert {name for name, (status, *_) in found.items() if status is not Verdict.OK} == {"redirect URI"}
        assert found["redirect URI"][0] is Verdict.WARN
        assert list(found) == ["client id and secret", "redirect URI", "API", "groups", "who may sign in"]
        assert REDIRECT_URI in found["redirect URI"][1]
        assert not github.idp.tokens


async def test_a_wrong_secret_is_found_and_where_to_mend_it(github: GitHubCase) -> None:
    """`incorrect_client_credentials` against `bad_verification_code`."""
    github.idp.client_secret = "another"
    found = await verdicts(github)
    for name in ("client id and secret", "API"):
        status, _, fix = found[name]
        assert status is Verdict.FAIL
        assert "CLIENT_SECRET" in fix
        assert "Developer settings" in fix


@pytest.mark.parametrize(
    ("endpoint", "answer", "name", "words"),
    [
        ("token", faulty.NOT_FOUND, "client id and secret", "BASE_URL"),
        ("token", faulty.DOWN, "client id and secret", "BASE_URL"),
        ("token", faulty.HTML, "client id and secret", "BASE_URL"),
        ("token", faulty.error(200, "redirect_uri_mismatch"), "redirect URI", REDIRECT_URI),
        ("token", faulty.Answer(200, b'{"access_token": "at"}'), "client id and secret", "BASE_URL"),
        ("app_token", faulty.HTML, "API", "API_URL"),
        ("app_token", faulty.NOT_FOUND, "API", "API_URL"),
        ("app_token", faulty.OVERSIZED, "API", "API_URL"),
    ],
)
async def test_what_is_wrong_fails_with_its_mend(
    github: GitHubCase, endpoint: str, answer: faulty.Answer, name: str, words: str
) -> None:
    """One fault, one check that fails."""
    github.idp.faults.answers[endpoint] = answer
    found = await verdicts(github)
    assert [n for n, (status, _, _) in found.items() if status is Verdict.FAIL] == [name]
    assert words in found[name][2]


async def test_an_unknown_client_id_is_found() -> None:
    """GitHub answers 404 where it knows no such app."""
    async with open_github(client_id="Iv1.0000000000000000") as github:
        assert "CLIENT_ID" in (await verdicts(github))["client id and secret"][2]


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [({"scopes": ("read:user",)}, "groups", "read:org"), ({}, "who may sign in", "ALLOWED_ORGS")],
)
async def test_what_may_not_be_meant_is_a_warning(changes: dict[str, Any], name: str, words: str) -> None:
    """Allowed, and perhaps an oversight."""
    async with open_github(**changes) as github:
        status, _, fix = (await verdicts(github))[name]
    assert status is Verdict.WARN
    assert words in fix


async def test_a_host_that_hangs_is_told_in_time() -> None:
    """Diagnosis raises nothing."""
    async with open_github(ScriptedGitHub(), timeout=0.1) as github:
        github.idp.faults.delay |= {"token": 30, "app_token": 30}
        found = await verdicts(github)
    assert "timeout" in found["client id and secret"][1]
    assert "timeout" in found["API"][1]
