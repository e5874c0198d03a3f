"""The provider contract as far as it applies: what is asked before any token, and what never prints."""

from __future__ import annotations

import pytest

from tests.providers.contract_response import (  # noqa: F401 - the tests
    test_a_response_of_another_login_causes_no_token_request,
    test_a_response_without_a_usable_code_causes_no_token_request,
    test_an_error_response_is_mapped_to_a_word_of_ours,
)
from tests.providers.github.case import GitHubCase


@pytest.fixture
def case(github: GitHubCase) -> GitHubCase:
    """Give the contract a github.com."""
    return github
