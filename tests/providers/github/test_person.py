"""What GitHub says of a person's address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.providers import scripted_faults as faulty
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.github.scripted_github import ScriptedGitHub

GHES = "https://github.corp.example"


@pytest.mark.parametrize(
    ("emails", "found"),
    [
        ([{"email": "a@b.example", "verified": True, "primary": True}], ("a@b.example", True)),
        ([{"email": "a@b.example", "verified": False, "primary": True}], ("a@b.example", False)),
        ([{"email": "a@b.example", "verified": "true", "primary": True}], ("a@b.example", False)),
        ([{"email": "a@b.example", "primary": True}], ("a@b.example", False)),
        ([{"email": "other@b.example", "verified": True, "primary": False}], ("shown@example.com", False)),
        ([{"email": "no address", "verified": True, "primary": True}], ("shown@example.com", False)),
        ([], ("shown@example.com", False)),
    ],
)
async def test_the_primary_address_counts_as_github_says(
    github: GitHubCase, emails: list[dict[str, Any]], found: tuple[str, bool]
) -> None:
    """Security rule B10: verified is `true` and nothing else; the address that a person shows is not verified."""
    github.idp.accounts["octocat"].emails = emails
    github.idp.accounts["octocat"].email = "shown@example.com"
    identity = await github.sign_in()
    assert (identity.email, identity.email_verified) == found


@pytest.mark.parametrize("answer", [faulty.NOT_FOUND, faulty.FORBIDDEN, faulty.DOWN, faulty.HTML])
async def test_without_the_list_of_addresses_the_login_goes_on(github: GitHubCase, answer: faulty.Answer) -> None:
    """`/user/emails` answers 404 to a token without the scope."""
    github.idp.faults.answers["emails"] = answer
    identity = await github.sign_in()
    assert (identity.subject, identity.email, identity.email_verified) == ("583231", None, False)


@pytest.mark.parametrize(
    ("base_url", "api_url", "options", "verified"),
    [
        (GHES, f"{GHES}/api/v3", {}, False),
        (GHES, f"{GHES}/api/v3", {"trust_email_verified": "true"}, True),
        ("https://octo.ghe.com", "https://api.octo.ghe.com", {}, True),
        ("https://octo.ghe.com", "https://api.octo.ghe.com", {"trust_email_verified": "false"}, False),
    ],
)
async def test_an_enterprise_server_cannot_verify_addresses(
    base_url: str,
    api_url: str,
    options: dict[str, str],
    verified: bool,  # noqa: FBT001 - a table
) -> None:
    """Security rule B10: unless the administrator says that this one does."""
    async with open_github(ScriptedGitHub(base_url, api_url), options=options) as github:
        identity = await github.sign_in()
    assert (identity.email, identity.email_verified) == ("octocat@example.com", verified)
