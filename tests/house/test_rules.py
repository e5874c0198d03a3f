"""Every security rule that the code makes applicable has a test that names it (tests/security_rules.toml)."""

from __future__ import annotations

import tomllib

import pytest

from tests.house.rules import LATER, REQUIRED, TABLE, named, proven, render


@pytest.mark.parametrize("rule", REQUIRED)
def test_the_rule_has_a_test(rule: str):
    tests = tomllib.loads(TABLE.read_text())["rules"][rule]
    assert tests, f"no test's docstring names {rule}"
    assert set(tests) <= set(proven()[rule]), "the table names a test that does not name the rule"


def test_the_table_is_up_to_date():
    assert TABLE.read_text() == render(proven()), "run: python -m tests.house.rules"


def test_no_rule_is_both_proven_and_put_off():
    assert not set(REQUIRED) & set(LATER)


@pytest.mark.parametrize(
    ("docstring", "rules"),
    [
        ("Security rule A1: nothing else.", ["A1"]),
        ("RFC 6749 section 4.1.2; rules A1, B2 and C3; rule D4.", ["A1", "B2", "C3", "D4"]),
        ("Security rules E12, G4 to G7, G13.", ["E12", "G4", "G5", "G6", "G7", "G13"]),
        ("mcp.md D1, D2.", []),  # rows of another page
        ("RFC 8414 section 3.1, OpenID Connect Discovery section 4; mcp.md D1.", []),
        ("The rules are ours; D1 is a row.", []),
    ],
)
def test_a_rule_is_named_by_the_word_and_not_by_an_id_alone(docstring: str, rules: list[str]):
    assert named(docstring) == rules


def test_the_contract_of_providers_proves_rules_too():
    """Its tests stand in files that pytest does not collect by themselves."""
    assert any("/contract_" in test for tests in proven().values() for test in tests)
