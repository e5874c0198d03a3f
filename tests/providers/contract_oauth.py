"""The part of the contract that holds without OpenID Connect: for adapters of plain OAuth. The fixture is the same `case`."""

from tests.providers.contract_response import (  # noqa: F401 - the tests
    test_a_response_from_another_issuer_causes_no_token_request,
    test_a_response_of_another_login_causes_no_token_request,
    test_a_response_without_a_usable_code_causes_no_token_request,
    test_an_error_response_is_mapped_to_a_word_of_ours,
    test_nothing_secret_prints,
    test_unknown_parameters_of_a_response_are_ignored,
)
from tests.providers.contract_token import (  # noqa: F401 - the tests
    test_a_code_that_was_spent_is_refused_by_the_provider,
    test_a_token_endpoints_refusal_is_mapped_to_a_word_of_ours,
    test_the_verifier_and_credentials_go_to_the_token_endpoint_only,
    test_token_responses_vary_and_are_accepted,
)
