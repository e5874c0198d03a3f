"""GitHub's token endpoint: errors in HTTP 200, forms, numbers as text (facts, section 5, number 1)."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import Fault
from tests.providers import scripted_faults as faulty
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.github.scripted_github import ScriptedGitHub
from tests.providers.scripted_faults import ABSENT


async def test_a_form_encoded_answer_serves_like_json(github: GitHubCase) -> None:
    """What GitHub answers wherever `Accept` is not looked at."""
    github.idp.faults.form_encoded = True
    identity = await github.sign_in()
    assert identity.tokens is not None
    assert identity.tokens.access_token in github.idp.tokens
    assert (identity.tokens.refresh_token, identity.tokens.expires_in) == (None, None)


@pytest.mark.parametrize(
    ("changes", "expires_in"),
    [
        ({}, 28800),
        ({"expires_in": "28800"}, 28800),
        ({"expires_in": ABSENT}, None),
        ({"expires_in": "soon"}, None),
        ({"scope": "read:org,user:email"}, 28800),
        ({"scope": ""}, 28800),
        ({"id_token": "not.for.us"}, 28800),
    ],
    ids=str,
)
@pytest.mark.parametrize("form_encoded", [False, True])
async def test_token_responses_vary_and_are_accepted(
    changes: dict[str, Any],
    expires_in: int | None,
    form_encoded: bool,  # noqa: FBT001 - a table
) -> None:
    """A missing `expires_in` is a token that does not expire."""
    async with open_github(ScriptedGitHub(is_app=True)) as github:
        github.idp.faults.token |= changes
        github.idp.faults.form_encoded = form_encoded
        identity = await github.sign_in()
    assert identity.tokens is not None
    assert identity.tokens.access_token.startswith("ghu_")
    assert identity.tokens.expires_in == expires_in
    assert (identity.tokens.refresh_token or "").startswith("ghr_")


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        (faulty.error(200, "bad_verification_code"), "bad_verification_code", Fault.PERMANENT),
        (faulty.error(400, "bad_verification_code"), "bad_verification_code", Fault.PERMANENT),
        (faulty.error(200, "incorrect_client_credentials"), "incorrect_client_credentials", Fault.OPERATOR),
        (faulty.error(200, "redirect_uri_mismatch"), "redirect_uri_mismatch", Fault.OPERATOR),
        (faulty.error(200, "unverified_user_email"), "unverified_user_email", Fault.PERMANENT),
        (faulty.error(200, "application_suspended"), "application_suspended", Fault.OPERATOR),
        (faulty.error(200, "invalid_grant"), "invalid_grant", Fault.PERMANENT),
        (faulty.error(200, "upstream words"), "token_error", Fault.PROTOCOL),
        (
            faulty.Answer(200, b"error=bad_verification_code&error_description=upstream+words", "text/plain"),
            "bad_verification_code",
            Fault.PERMANENT,
        ),
        (faulty.error(503, "bad_verification_code"), "token_unavailable", Fault.TRANSIENT),
        (faulty.Answer(404, b'{"error": "Not Found"}'), "client_unknown", Fault.OPERATOR),
        (faulty.FORBIDDEN, "rate_limited", Fault.TRANSIENT),
        (faulty.THROTTLED, "token_unavailable", Fault.TRANSIENT),
        (faulty.HTML, "token_response", Fault.PROTOCOL),
        (faulty.REDIRECT, "token_status", Fault.OPERATOR),
        (faulty.Answer(200, b"access_token=a&access_token=b&token_type=bearer"), "token_response", Fault.PROTOCOL),
        (faulty.Answer(200, b"&".join([b"a=1"] * 100)), "token_response", Fault.PROTOCOL),
        (faulty.Answer(200, b"\xff\xfe"), "token_response", Fault.PROTOCOL),
        (faulty.Answer(200, b""), "token_response", Fault.PROTOCOL),
    ],
)
async def test_a_refusal_is_mapped_to_a_word_of_ours(
    github: GitHubCase, answer: faulty.Answer, reason: str, fault: Fault
) -> None:
    """Security rule B12: the body is read before the status, and nothing of it is repeated."""
    github.idp.faults.answers["token"] = answer
    await github.is_refused(reason, fault)
    assert not github.idp.calls("user")
