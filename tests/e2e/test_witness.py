"""The oracles themselves: a run that leaks is noticed."""

from __future__ import annotations

import pytest

from tests.e2e.witness import Witness


@pytest.fixture
def witness() -> Witness:
    return Witness()


def test_a_code_that_passed_in_a_url_is_found_in_a_log(witness: Witness):
    witness.see_url("http://127.0.0.1:1/callback?code=a-code-of-a-login&iss=http://127.0.0.1")
    with pytest.raises(AssertionError, match="code of"):
        witness.check('{"event": "x", "detail": "a-code-of-a-login"}')


def test_a_cookie_is_found_in_a_log_and_in_a_database(witness: Witness):
    witness.see_cookies("127.0.0.1", ["broker-session=the-value-of-a-cookie; Path=/; HttpOnly"])
    for look in (witness.check, witness.check_kept):
        with pytest.raises(AssertionError, match="cookie broker-session"):
            look("… the-value-of-a-cookie …")


def test_the_apps_own_state_may_be_kept_but_not_logged(witness: Witness):
    witness.see_url("http://127.0.0.1:1/authorize?state=the-state-of-an-app")
    witness.check_kept("the-state-of-an-app")
    with pytest.raises(AssertionError, match="state of"):
        witness.check("the-state-of-an-app")


def test_a_server_fault_and_a_stack_are_found(witness: Witness):
    witness.see_answer("http://127.0.0.1:1/token", 500)
    with pytest.raises(AssertionError, match="500 from /token"):
        witness.check("")
    with pytest.raises(AssertionError, match="Traceback"):
        Witness().check("Traceback (most recent call last):")


def test_a_clean_run_passes(witness: Witness):
    witness.keep("a token", "the-text-of-a-token")
    witness.see_answer("http://127.0.0.1:1/token", 400)
    witness.check('{"event": "token.issued"}')
    witness.check_kept("u_1 notes:read")
