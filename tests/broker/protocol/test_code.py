from __future__ import annotations

from typing import Any

import pytest

from broker.model import AuthorizationCode
from broker.oauth import InvalidGrant, Reason
from broker.protocol.code import check_redeemable
from tests.broker.records import NOW, REDIRECT_URI, VERIFIER, make_client, make_code

CLIENT = make_client()


def reason_of(now: int = NOW, *, verifier: str = VERIFIER, redirect_uri: str | None = None, **changes: Any) -> Reason:
    with pytest.raises(InvalidGrant) as refused:
        check_redeemable(make_code(**changes), CLIENT, verifier, redirect_uri, now)
    return refused.value.reason


def accepted(code: AuthorizationCode, redirect_uri: str | None, now: int) -> bool:
    """Return True when the check passes; a refusal comes through as it is."""
    check_redeemable(code, CLIENT, VERIFIER, redirect_uri, now)
    return True


@pytest.mark.parametrize("redirect_uri", [None, REDIRECT_URI])
def test_a_live_code_with_its_proof_is_redeemable(redirect_uri: str | None):
    """OAuth 2.1 section 4.1.3: redirect_uri is optional."""
    assert accepted(make_code(), redirect_uri, NOW + 59)


def test_a_code_dies_at_its_expiry():
    """RFC 6749 section 4.1.2; security rule E5."""
    assert reason_of(NOW + 60) is Reason.CODE_EXPIRED


def test_a_code_of_another_client_is_refused():
    """RFC 6749 section 4.1.3."""
    assert reason_of(client_id="client-2") is Reason.WRONG_CLIENT


@pytest.mark.parametrize("sent", [REDIRECT_URI + "/", REDIRECT_URI.upper(), "https://client.example.com:443/callback"])
def test_a_redirect_uri_compares_exactly(sent: str):
    """RFC 9700 section 4.1; security rule C1."""
    assert reason_of(redirect_uri=sent) is Reason.REDIRECT_URI_MISMATCH


def test_a_wrong_verifier_is_refused():
    """RFC 7636 section 4.6; security rule C6."""
    assert reason_of(verifier="x" * 43) is Reason.VERIFIER_MISMATCH


def test_five_wrong_verifiers_spend_a_code():
    """Security rule E4."""
    assert accepted(make_code(wrong_attempts=4), None, NOW)
    assert reason_of(wrong_attempts=5) is Reason.CODE_ATTEMPTS


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_second_redemption_within_five_seconds_is_a_retry(seconds: int):
    """Security rule E1."""
    assert reason_of(NOW + 10 + seconds, redeemed_at=NOW + 10) is Reason.CODE_RETRIED


@pytest.mark.parametrize("seconds", [6, 80, 86_000])
def test_a_later_redemption_with_proof_is_a_replay_even_after_expiry(seconds: int):
    """RFC 6749 section 4.1.2; security rule E1."""
    assert reason_of(NOW + 10 + seconds, redeemed_at=NOW + 10) is Reason.CODE_REPLAYED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"verifier": "x" * 43}, Reason.VERIFIER_MISMATCH),
        ({"client_id": "client-2"}, Reason.WRONG_CLIENT),
        ({"redirect_uri": "https://evil.example/"}, Reason.REDIRECT_URI_MISMATCH),
    ],
)
def test_a_replay_without_proof_is_not_a_replay(changes: dict[str, Any], reason: Reason):
    """Security rule E2: nothing in the refusal makes the caller revoke."""
    assert reason_of(NOW + 600, redeemed_at=NOW, **changes) is reason
