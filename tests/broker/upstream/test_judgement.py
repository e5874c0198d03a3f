"""What a re-check means: due, consequence, and what becomes of the person's record (rules B10, B14, B16, F4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.upstream.judgement import KNOWN_KEPT, Consequence, as_upstream, consequence, describe, is_due
from providers.base import Fault, Groups, UpstreamIdentity
from tests.broker.records import NOW, make_identity

INTERVAL = 900
KNOWN = make_identity(
    groups=("/eng",), attributes={"role": ("admin",), "organization": ("org:1",)}, acr="mfa", upstream_sid="sid-1"
)


def told(**changes: Any) -> UpstreamIdentity:
    return replace(as_upstream(KNOWN), **changes)


@pytest.mark.parametrize(
    ("checked_at", "due"),
    [
        (NOW, False),
        (NOW - 899, False),
        (NOW - 900, True),
        (NOW + 60, False),
        (NOW + 61, True),
        (NOW - 10**6, True),
        (None, True),
    ],
)
def test_a_recheck_is_due_when_the_last_word_is_older_than_the_interval(checked_at: int | None, *, due: bool):
    """Rules B16, F4: a check in the future counts for nothing."""
    assert is_due(checked_at, now=NOW, interval=INTERVAL) is due


@given(checked_at=st.integers(), now=st.integers(), interval=st.integers(min_value=1, max_value=10**9))
def test_no_clock_makes_a_check_last_longer_than_its_interval(checked_at: int, now: int, interval: int):
    """Rule F4."""
    if not is_due(checked_at, now=now, interval=interval):
        assert is_due(checked_at, now=checked_at + interval, interval=interval)


def test_every_fault_has_its_consequence():
    """Provider facts 1.6: permanent and interaction end, transient and nonsense wait, operator faults alert and end nothing."""
    ends = {fault for fault in Fault if consequence(fault) is Consequence.END}
    assert ends == {Fault.DENIED, Fault.PERMANENT, Fault.INTERACTION}
    assert {fault for fault in Fault if consequence(fault) is Consequence.ALERT} == {Fault.OPERATOR}


def test_what_the_provider_says_anew_replaces_what_was_and_the_sign_in_stays():
    """Rule B16: memberships, address and name; when and how somebody signed in is no matter of a refresh."""
    found = describe(
        KNOWN,
        told(groups=Groups.known(("/sales",)), attributes={"role": ()}, email="n@x", email_verified=False, sid="sid-2"),
        age=0,
        interval=INTERVAL,
    )
    assert found.kept_because is None
    assert found.identity == replace(
        KNOWN,
        groups=("/sales",),
        attributes={"role": ()},
        email="n@x",
        email_verified=False,
        upstream_sid="sid-2",
    )


@pytest.mark.parametrize("reason", ["graph_throttled", "unavailable", "groups_unavailable", "rate_limited"])
def test_memberships_that_could_not_be_listed_stand_for_a_bounded_time(reason: str):
    unlisted = told(groups=Groups.unknown(reason), attributes={})
    within = describe(KNOWN, unlisted, age=KNOWN_KEPT - INTERVAL, interval=INTERVAL)
    assert (within.identity.groups, within.kept_because) == (("/eng",), reason)
    assert within.identity.attributes == {"organization": ("org:1",)}, (
        "roles are in the token, which said nothing of them"
    )
    long = describe(KNOWN, unlisted, age=7200, interval=7200)
    assert long.kept_because == reason, "an outage at the one re-check locks nobody out"
    after = describe(KNOWN, unlisted, age=KNOWN_KEPT - INTERVAL + 1, interval=INTERVAL)
    assert (after.identity.groups, after.identity.groups_unknown) == (None, reason)
    assert after.identity.attributes == {}


@pytest.mark.parametrize(
    "reason",
    [
        *("claim_absent", "claim_malformed", "not_configured", "account_outside_workspace", "graph_forbidden"),
        *("sso_partial_results", "sso_required", "too_many_pages", "too_many_groups", "overage", "scope_missing"),
        "a word of somebody else's adapter",
    ],
)
def test_what_an_answer_leaves_out_or_the_person_can_hide_is_gone_at_once(reason: str):
    """Rule B16: unknown fails closed; a leaver must not keep a team by hiding it."""
    found = describe(KNOWN, told(groups=Groups.unknown(reason), attributes={}), age=0, interval=INTERVAL)
    assert (found.identity.groups, found.identity.attributes, found.kept_because) == (None, {}, None)


def test_memberships_told_in_the_future_are_not_kept():
    """Rule F4."""
    found = describe(KNOWN, told(groups=Groups.unknown("graph_throttled")), age=-1, interval=INTERVAL)
    assert found.identity.groups is None


def test_groups_that_were_never_known_stay_unknown_with_the_newest_reason():
    before = replace(KNOWN, groups=None, groups_unknown="graph_forbidden")
    found = describe(before, told(groups=Groups.unknown("graph_throttled")), age=0, interval=INTERVAL)
    assert (found.identity.groups, found.identity.groups_unknown) == (None, "graph_throttled")
