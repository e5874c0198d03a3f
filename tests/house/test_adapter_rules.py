"""Each rule of section B of the security rules has, for each adapter of the registry, a test that names it or a reason why it has none.

What counts is what pytest collects for that adapter: the test functions of its own modules, those of the contract that they import,
and the suites that run for every type with a capability (`tests/providers/kinds.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from providers.base import EndsSession, RefreshesIdentity, RevokesTokens, VerifiesLogout
from providers.registry import provider_types
from tests.providers.kinds import KINDS

PROVIDERS = Path(__file__).resolve().parents[1] / "providers"
RULES = tuple(f"B{n}" for n in range(1, 19))
RULE = re.compile(r"\bB[1-9][0-9]?\b")
SUITES = {  # of every OpenID type, or of those that can
    "test_contract": object,
    "test_contract_client_auth": object,
    "test_contract_diagnosis": object,
    "test_contract_refresh": RefreshesIdentity,
    "test_contract_logout": VerifiesLogout,
    "test_contract_ending": EndsSession,
    "test_contract_revocation": RevokesTokens,
}
OWN = {"google": ("test_google", "test_google_groups"), "keycloak": ("test_keycloak",)}

EVERYWHERE = {
    "B17": "the broker's statement that finishes a login looks at the tombstone, whatever adapter came before (tests/flows)",
}
ONE_ISSUER = {"B9": "its issuer is one text, never a template filled from a token"}
NO_LOGOUT_TOKENS = {"B15": "it sends no logout tokens, or none that the broker could register for"}
REASONS: dict[str, dict[str, str]] = {
    "entra": {"B6": "UserInfo is never asked: the ID token names the person, Graph their groups", **NO_LOGOUT_TOKENS},
    "github": {
        "B6": "there is no ID token that UserInfo could contradict: GET /user of this code's token is the only word",
        "B8": "there are no keys: nothing that it says is signed",
        "B18": "GitHub takes no assertions, only a secret",
        **ONE_ISSUER,
        **NO_LOGOUT_TOKENS,
    },
    **{name: ONE_ISSUER | ({} if VerifiesLogout in kind.can else NO_LOGOUT_TOKENS) for name, kind in KINDS.items()},
}


def modules(adapter: str) -> Iterator[str]:
    """Return the test modules of an adapter, by their names below `tests.providers`."""
    if adapter in KINDS:
        yield from (name for name, need in SUITES.items() if need is object or need in KINDS[adapter].can)
        yield from OWN.get(adapter, ())
    else:
        yield from (f"{adapter}.{path.stem}" for path in sorted((PROVIDERS / adapter).glob("test_*.py")))


@cache
def named(adapter: str) -> dict[str, tuple[str, ...]]:
    """Return rule -> the tests that are collected for this adapter and name it in their docstring."""
    tests = [
        (f"{module}::{name}", test.__doc__ or "")
        for module in modules(adapter)
        for name, test in vars(import_module(f"tests.providers.{module}")).items()
        if name.startswith("test_") and callable(test)
    ]
    return {rule: tuple(test for test, doc in tests if rule in RULE.findall(doc)) for rule in RULES}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("adapter", sorted(provider_types([])))
def test_the_adapter_has_a_test_of_the_rule_or_a_reason(adapter: str, rule: str):
    reason = (EVERYWHERE | REASONS[adapter]).get(rule)
    tests = named(adapter)[rule]
    assert tests or reason, f"{adapter}: no collected test names {rule}, and nothing says why"
    assert not (tests and reason), f"{adapter} has tests of {rule}, so that the reason is out of date: {tests}"


def test_no_reason_is_left_over():
    assert set(REASONS) == set(provider_types([]))
    assert all(set(reasons) <= set(RULES) for reasons in REASONS.values())
