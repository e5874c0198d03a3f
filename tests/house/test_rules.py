"""Every security rule that the code makes applicable has a test that names it (tests/security_rules.toml)."""

from __future__ import annotations

import tomllib

import pytest

from tests.house.rules import LATER, REQUIRED, TABLE, proven, render


@pytest.mark.parametrize("rule", REQUIRED)
def test_the_rule_has_a_test(rule: str):
    tests = tomllib.loads(TABLE.read_text())["rules"][rule]
    assert tests, f"no test's docstring names {rule}"
    assert set(tests) <= set(proven()[rule]), "the table names a test that does not name the rule"


def test_the_table_is_up_to_date():
    assert TABLE.read_text() == render(proven()), "run: python -m tests.house.rules"


def test_no_rule_is_both_proven_and_put_off():
    assert not set(REQUIRED) & set(LATER)
