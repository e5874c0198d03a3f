"""The provider contract as far as it applies: what is asked before any token, what the token endpoint says, and what never prints.

Does not apply, of `contract_oauth.py`: the response from another issuer (it switches what discovery advertises, which GitHub has not;
`test_login.py` and `test_hosts.py` have the hosts' own), the spent code and the refusals that GitHub words otherwise (404 is an unknown
client, 403 the limit of tokens, its own words in HTTP 200: `test_token_endpoint.py`; the rest of that table is here), credentials in
`Authorization` (GitHub takes them in the form: `test_login.py`). A repeated `iss` is refused before any adapter sees the response,
GitHub's too: `tests/flows/test_callback.py`.
"""

from __future__ import annotations

import pytest

from providers.base import Fault
from tests.providers import scripted_faults as faulty
from tests.providers.contract_response import (  # noqa: F401 - the tests
    test_a_response_of_another_login_causes_no_token_request,
    test_a_response_without_a_usable_code_causes_no_token_request,
    test_an_error_response_is_mapped_to_a_word_of_ours,
    test_nothing_secret_prints,
    test_unknown_parameters_of_a_response_are_ignored,
)
from tests.providers.contract_token import REFUSALS
from tests.providers.github.case import GitHubCase, open_github
from tests.providers.github.scripted_github import ScriptedGitHub


@pytest.fixture
def case(github: GitHubCase) -> GitHubCase:
    """Give the contract a github.com."""
    return github


@pytest.mark.parametrize(
    ("answer", "reason", "fault"),
    [
        *REFUSALS,
        (faulty.NOT_FOUND, "client_unknown", Fault.OPERATOR),
    ],
)
async def test_a_token_endpoints_refusal_is_mapped_to_a_word_of_ours(
    case: GitHubCase, answer: faulty.Answer, reason: str, fault: Fault
) -> None:
    """Security rule B12; RFC 6749 section 5.2: nothing of it is repeated, and no API is asked."""
    case.idp.faults.answers["token"] = answer
    await case.is_refused(reason, fault)
    assert not case.idp.calls("user")


async def test_tokens_go_to_the_api_in_a_header_and_nowhere_else() -> None:
    """Security rule B13: neither an access token nor a refresh token is in a URL, and the refresh token is for the token endpoint."""
    async with open_github(ScriptedGitHub(is_app=True)) as github:
        known = await github.sign_in()
        assert known.tokens is not None
        github.idp.tokens["expired"] = github.idp.tokens.pop(known.tokens.access_token)
        after = await github.recheck(known)
        assert after.tokens is not None
        renewed, spent = after.tokens, known.tokens.refresh_token
        assert spent is not None
        assert [c.endpoint for c in github.idp.requests if spent in c.params.values()] == ["token"]
        for secret in (known.tokens.access_token, renewed.access_token, renewed.refresh_token):
            assert not [c for c in github.idp.requests if secret in c.params.values()]
            assert str(secret) not in repr((known, after, vars(github.provider)))
