"""The provider contract as far as it applies.

Otherwise here, and in the modules beside this one: who somebody is (tenant and object id, never `sub`), their e-mail (unverified) and
groups (Graph). Does not apply: UserInfo (rule B6; it is never asked), logout tokens (rule B15) and revocation (Entra has neither),
the callback's `iss` where it is advertised (Entra sends none; a wrong one is refused in `test_login.py`), keys without
`kid` (Entra names each), and a request's own scopes and parameters (`test_login.py`).
"""

from __future__ import annotations

import pytest

from tests.providers.contract_discovery import (  # noqa: F401 - the tests
    test_a_document_that_is_none_is_refused,
    test_discovery_is_believed_only_with_our_issuer_and_safe_endpoints,
    test_the_adapter_starts_while_its_provider_is_down,
    test_the_last_good_discovery_document_is_kept,
)
from tests.providers.contract_id_token import (  # noqa: F401 - the tests
    test_a_bad_signature_is_refused,
    test_a_key_that_is_not_published_proves_nothing,
    test_a_kid_that_is_no_text_is_refused,
    test_a_provider_without_an_acceptable_algorithm_is_our_operators_matter,
    test_an_algorithm_that_discovery_does_not_list_is_refused,
    test_an_id_token_with_one_wrong_claim_is_refused,
    test_another_kind_of_token_is_no_id_token,
    test_critical_header_parameters_are_refused,
    test_max_age_needs_a_recent_auth_time,
    test_unsigned_tokens_are_refused_even_if_discovery_lists_them,
    test_without_auth_time_the_token_itself_is_the_evidence,
)
from tests.providers.contract_keys import (  # noqa: F401 - the tests
    test_a_key_replaced_under_its_old_kid_fails_nobody,
    test_a_key_rotated_in_the_middle_of_a_login_fails_nobody,
    test_a_set_without_a_usable_key_is_refused_and_the_last_good_one_kept,
    test_an_unknown_kid_asks_for_the_keys_at_most_once_in_30_seconds,
    test_keys_serve_on_while_the_provider_cannot_publish_them,
    test_one_unusable_key_never_spoils_the_set,
    test_two_keys_with_one_kid_are_tried_in_turn,
)
from tests.providers.contract_refresh import (  # noqa: F401 - the tests
    test_a_bad_signature_on_a_refreshed_id_token_is_refused,
    test_a_refresh_never_makes_a_sign_in_younger_or_stronger,
    test_a_refresh_token_goes_to_the_token_endpoint_only,
    test_a_refused_refresh_says_who_can_do_what,
    test_without_refresh_token_and_userinfo_the_person_signs_in_again,
)
from tests.providers.contract_response import (  # noqa: F401 - the tests
    test_a_response_of_another_login_causes_no_token_request,
    test_a_response_without_a_usable_code_causes_no_token_request,
    test_an_error_response_is_mapped_to_a_word_of_ours,
    test_nothing_secret_prints,
)
from tests.providers.contract_token import (  # noqa: F401 - the tests
    test_a_code_that_was_spent_is_refused_by_the_provider,
    test_a_token_endpoints_refusal_is_mapped_to_a_word_of_ours,
    test_a_token_response_that_cannot_be_used_is_refused,
)
from tests.providers.entra.case import EntraCase


@pytest.fixture
def case(entra: EntraCase) -> EntraCase:
    """Give the contract an Entra of one tenant."""
    return entra
