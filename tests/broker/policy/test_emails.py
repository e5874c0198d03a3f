"""Whose e-mail addresses count (architecture, "Policy rules"; security rule B10): only where the provider speaks for them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model import Identity
from broker.policy import domain_of
from providers.base import SpeaksFor
from tests.broker.policy.world import ALICE, EVERYBODY, decide, deny, person, provider, rule

BY_DOMAIN, BY_ADDRESS = rule(domain=("corp.example",)), rule(user=("alice@corp.example",))
LISTED = {"email_domains": ("corp.example",)}
ELSEWHERE = {"email_domains": ("other.example",)}
UNVERIFIED = {"email_verified": False}
CASES: list[tuple[str, SpeaksFor, dict[str, Any], dict[str, Any], bool]] = [
    ("a verified one", SpeaksFor.VERIFIED, {}, {}, True),
    ("an unverified one", SpeaksFor.VERIFIED, {}, UNVERIFIED, False),
    ("a verified one that is listed", SpeaksFor.VERIFIED, LISTED, {}, True),
    ("a verified one that is not listed", SpeaksFor.VERIFIED, ELSEWHERE, {}, False),
    ("one listed but not verified", SpeaksFor.VERIFIED, LISTED, UNVERIFIED, False),
    ("GitHub: nothing is listed", SpeaksFor.LISTED, {}, {}, False),
    ("GitHub: verified and listed", SpeaksFor.LISTED, LISTED, {}, True),
    ("GitHub: listed, not verified", SpeaksFor.LISTED, LISTED, UNVERIFIED, False),
    ("GitHub: not listed", SpeaksFor.LISTED, ELSEWHERE, {}, False),
    ("Entra: nothing is listed", SpeaksFor.VOUCHED, {}, {}, False),
    ("Entra: listed, which the administrator vouches for", SpeaksFor.VOUCHED, LISTED, UNVERIFIED, True),
    ("Entra: not listed", SpeaksFor.VOUCHED, ELSEWHERE, UNVERIFIED, False),
]


@pytest.mark.parametrize(
    ("speaks_for", "settings", "changes", "counts"), [c[1:] for c in CASES], ids=[c[0].replace(" ", "-") for c in CASES]
)
def test_an_address_counts(speaks_for: SpeaksFor, settings: dict[str, Any], changes: dict[str, Any], counts: bool):  # noqa: FBT001
    identity = person(**changes)
    config = provider(speaks_for=speaks_for, **settings)
    for by in (BY_DOMAIN, BY_ADDRESS):
        assert decide(by, identity=identity, config=config).allowed is counts
    barred = decide(
        identity=identity, config=provider(speaks_for=speaks_for, allowed_domains=("corp.example",), **settings)
    )
    assert barred.allowed is counts


@pytest.mark.parametrize(
    "identity",
    [
        person(email_verified=False),
        person(email=None),
        person(email="alice@corp.example@evil.example"),
        person(email="alice"),
        person(email="alice@"),
    ],
)
def test_an_unverified_or_odd_address_meets_no_allow(identity: Identity):
    """Security rule B10."""
    assert not decide(BY_DOMAIN, identity=identity).allowed
    assert not decide(BY_ADDRESS, identity=identity).allowed


def test_a_deny_counts_an_address_as_claimed_and_an_absent_one_meets_a_domain():
    no = deny(domain=("corp.example",))
    assert not decide(EVERYBODY, no, identity=person(email_verified=False)).allowed
    assert not decide(EVERYBODY, no, config=provider(email_domains=("other.example",))).allowed
    assert not decide(EVERYBODY, no, identity=person(email=None)).allowed
    assert not decide(EVERYBODY, no, identity=person(email="not an address")).allowed
    assert decide(EVERYBODY, no, identity=person(email="a@other.example")).allowed


@given(st.text(max_size=30))
def test_a_domain_is_lower_case_and_never_empty(text: str):
    domain = domain_of(text)
    assert domain is None or (domain == domain.lower() and domain and "@" not in domain)


def test_the_address_itself_is_never_the_person():
    """Security rule B10: another subject with Alice's address is another person."""
    twin = person(subject="u_twin", upstream_subject="43", email_verified=False)
    assert not decide(rule(user=(ALICE.subject, ALICE.upstream_subject)), identity=twin).allowed
