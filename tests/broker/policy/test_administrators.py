"""Who administers the broker: a group at its own provider, and nothing that is unknown."""

from __future__ import annotations

import pytest

from broker.policy.administrators import is_administrator
from broker.settings import AdminGroup
from tests.broker.policy.world import ALICE, STRANGER, person


@pytest.mark.parametrize(
    ("group", "expected"), [("staff", True), ("/eng/*", True), ("/eng", False), ("STAFF", False), ("*", True)]
)
def test_a_group_or_glob_decides(group: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert is_administrator(ALICE, [AdminGroup(provider="corp", group=group)]) is expected


def test_the_same_group_at_another_provider_is_another_group() -> None:
    """Strangers choose names such as these elsewhere."""
    assert not is_administrator(person(provider="github"), [AdminGroup(provider="corp", group="staff")])


def test_unknown_groups_and_no_groups_make_nobody_an_administrator() -> None:
    anything = [AdminGroup(provider="corp", group="*")]

    assert not is_administrator(STRANGER, anything)
    assert not is_administrator(person(groups=()), anything)
    assert not is_administrator(ALICE, [])
