from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.oauth import InvalidGrant, InvalidRequest, Reason
from broker.protocol import pkce

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
verifiers = st.text(UNRESERVED, min_size=43, max_size=128)


def test_the_challenge_is_that_of_the_rfc():
    """RFC 7636 appendix B."""
    challenge = pkce.challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@given(verifiers)
def test_every_well_formed_verifier_passes_its_own_challenge(verifier: str):
    """RFC 7636 section 4.6; security rule C6."""
    challenge = pkce.challenge_of(verifier)
    pkce.check_challenge(challenge, "S256")
    pkce.verify(verifier, challenge)


@given(verifiers, verifiers)
def test_no_other_verifier_passes(one: str, other: str):
    """RFC 7636 section 4.6; security rule C6."""
    if one == other:
        return
    with pytest.raises(InvalidGrant) as refused:
        pkce.verify(other, pkce.challenge_of(one))
    assert refused.value.reason is Reason.VERIFIER_MISMATCH


@pytest.mark.parametrize("verifier", ["", "a" * 42, "a" * 129, "a" * 42 + "+", "a" * 42 + "é", "a" * 43 + "\n"])
def test_a_malformed_verifier_is_refused(verifier: str):
    """RFC 7636 section 4.1."""
    with pytest.raises(InvalidGrant) as refused:
        pkce.verify(verifier, "A" * 43)
    assert refused.value.reason is Reason.VERIFIER_MALFORMED


@pytest.mark.parametrize(
    ("challenge", "method", "reason"),
    [
        (None, None, Reason.CHALLENGE_MISSING),
        (None, "S256", Reason.CHALLENGE_MISSING),
        ("A" * 43, None, Reason.CHALLENGE_METHOD),
        ("A" * 43, "plain", Reason.CHALLENGE_METHOD),
        ("A" * 43, "s256", Reason.CHALLENGE_METHOD),
        ("A" * 42, "S256", Reason.CHALLENGE_MALFORMED),
        ("A" * 44, "S256", Reason.CHALLENGE_MALFORMED),
        ("A" * 43 + "\n", "S256", Reason.CHALLENGE_MALFORMED),
        ("A" * 42 + "=", "S256", Reason.CHALLENGE_MALFORMED),
        ("A" * 42 + "\N{ARABIC-INDIC DIGIT ONE}", "S256", Reason.CHALLENGE_MALFORMED),
    ],
)
def test_only_an_explicit_s256_challenge_is_accepted(challenge: str | None, method: str | None, reason: Reason):
    """RFC 9700 section 2.1.1; security rule C6."""
    with pytest.raises(InvalidRequest) as refused:
        pkce.check_challenge(challenge, method)
    assert refused.value.reason is reason
