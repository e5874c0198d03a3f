"""What a resource requires of a sign-in, and which other sign-in would help (architecture, "Policy rules": REQUIRE, step-up)."""

from __future__ import annotations

from typing import Any

import pytest

from broker.model import StepUp
from broker.policy import Decision
from providers.base import ATTRIBUTES
from tests.broker.policy.world import (
    ALICE,
    EVERYBODY,
    FILES,
    READ,
    STRANGER,
    WRITE,
    decide,
    deny,
    person,
    policy,
    provider,
    requiring,
    rule,
)

READ_FOR_ALL = rule("read", scopes=(READ,))
WRITE_WITH_GOLD = rule("write", scopes=(WRITE,), acr=("gold",))
WRITE_WHILE_FRESH = rule("write", scopes=(WRITE,), max_login_age=300)
BLIND = provider(gives=ATTRIBUTES - {"acr", "auth_time"})  # GitHub: it knows neither
FOREIGN = provider(acr_map={"2": "gold", "3": "gold", "1": "silver"})


def wanted(*acr_values: str, max_age: int | None = None, anew: bool = True) -> StepUp:
    return StepUp(provider="corp", acr_values=acr_values, max_age=max_age, subject="u_alice", anew=anew)


def test_a_sign_in_that_is_good_enough_needs_none():
    assert decide(resource=requiring("1", max_login_age=1000)).scopes == (READ, WRITE)
    assert decide(resource=requiring("1", max_login_age=1000)).step_up is None


@pytest.mark.parametrize(
    ("acr", "age", "expected", "says"),
    [
        (("gold",), None, wanted("gold"), "an acr of gold, and this sign-in's is 1"),
        (("silver", "gold"), None, wanted("silver", "gold"), "an acr of silver or gold"),
        ((), 300, wanted(max_age=300), "no older than 300 s, and this one is 1000 s old"),
        (("gold",), 300, wanted("gold", max_age=300), "gold, and this sign-in's is 1 and a sign-in no older"),
        (("1",), 300, wanted("1", max_age=300), "this one is 1000 s old"),
        (("gold",), 5000, wanted("gold", max_age=5000), "gold"),
    ],
    ids=["acr", "one-of-several", "age", "both", "the-same-acr-again", "an-age-that-must-stay-known"],
)
def test_what_a_resource_requires_leads_to_one_step_up(
    acr: tuple[str, ...], age: int | None, expected: StepUp, says: str
):
    """Not to a refusal for good: the decision says what to ask the provider for."""
    decision = decide(EVERYBODY, resource=requiring(*acr, max_login_age=age))
    assert (decision.allowed, decision.rule, decision.scopes) == (False, "require", ())
    assert decision.step_up == expected
    assert decision.reason.startswith("files requires")
    assert says in decision.reason
    assert "another sign-in would permit it" in decision.reason


def test_what_is_unknown_does_not_meet_a_requirement():
    assert "acr of gold, and this sign-in's is unknown" in decide(identity=STRANGER, resource=requiring("gold")).reason
    unsaid = decide(identity=person(auth_time_stated=False), resource=requiring(max_login_age=9999))
    assert "how old this one is, is unknown" in unsaid.reason
    assert unsaid.step_up == wanted(max_age=9999, anew=False)


def test_where_only_the_age_is_unknown_the_providers_session_may_do():
    """Some providers say when somebody signed in only if they are asked: nobody types a password twice for that."""
    young = person(auth_time_stated=False)
    assert decide(identity=young, resource=requiring("1", max_login_age=60)).step_up == wanted(
        "1", max_age=60, anew=False
    )
    assert decide(identity=young, resource=requiring("gold", max_login_age=60)).step_up == wanted("gold", max_age=60)


@pytest.mark.parametrize(
    "resource", [requiring("gold"), requiring(max_login_age=60), requiring("gold", max_login_age=60)]
)
def test_where_the_provider_can_give_none_it_is_a_refusal(resource: Any):
    decision = decide(resource=resource, config=BLIND)
    assert (decision.allowed, decision.rule, decision.step_up) == (False, "require", None)
    assert decision.reason.endswith("no other sign-in at this provider would permit it")


def test_a_requirement_of_both_needs_a_provider_of_both():
    half = provider(gives=ATTRIBUTES - {"auth_time"})
    assert decide(resource=requiring("gold"), config=half).step_up == wanted("gold")
    assert decide(resource=requiring("gold", max_login_age=60), config=half).step_up is None


def test_the_acr_is_asked_for_in_the_providers_own_words():
    """`ACR_MAP` turns upstream values into ours; asking goes the other way."""
    assert decide(resource=requiring("gold"), config=FOREIGN).step_up == wanted("2", "3")
    assert decide(resource=requiring("silver", "gold"), config=FOREIGN).step_up == wanted("1", "2", "3")
    assert decide(resource=requiring("platinum"), config=FOREIGN).step_up == wanted("platinum")


def test_a_word_of_theirs_that_means_something_else_here_is_not_asked_for():
    assert decide(resource=requiring("2"), config=FOREIGN).step_up is None


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (WRITE_WITH_GOLD, wanted("gold")),
        (WRITE_WHILE_FRESH, wanted(max_age=300)),
        (rule("write", scopes=(WRITE,), acr=("gold",), max_login_age=60), wanted("gold", max_age=60)),
        (rule("write", scopes=(WRITE,), acr=("silver", "gold")), wanted("silver", "gold")),
    ],
    ids=["acr", "age", "both", "either"],
)
def test_a_scope_that_only_acr_or_age_withholds_leads_to_a_step_up(extra: Any, expected: StepUp):
    partly = decide(READ_FOR_ALL, extra)
    assert (partly.allowed, partly.scopes, partly.step_up) == (True, (READ,), expected)
    nothing = decide(READ_FOR_ALL, extra, scopes=(WRITE,))
    assert (nothing.allowed, nothing.rule, nothing.step_up) == (False, "read", expected)
    assert "another sign-in would permit it" in nothing.reason
    assert decide(extra).step_up == expected
    assert decide(extra).rule == "no match"


def test_a_scope_that_is_not_asked_for_leads_to_none():
    assert decide(READ_FOR_ALL, WRITE_WITH_GOLD, scopes=(READ,)).step_up is None


def refused_for_good(decision: Decision) -> bool:
    return decision.step_up is None and decision.reason.count("sign-in") == 0


def test_a_scope_withheld_by_anything_else_leads_to_none():
    assert refused_for_good(decide(rule("write", acr=("gold",), group=("ops",))))
    assert refused_for_good(decide(rule("write", acr=("gold",), amr=("hwk",))))
    assert refused_for_good(decide(WRITE_WITH_GOLD, deny(client=("app",))))
    assert refused_for_good(decide(READ_FOR_ALL, scopes=(WRITE,)))
    assert refused_for_good(decide(WRITE_WITH_GOLD, WRITE_WHILE_FRESH, config=BLIND))


def test_rules_are_asked_before_the_resources_requirement():
    """Whom the rules refuse is not sent to the provider for nothing."""
    assert decide(rule(group=("ops",)), resource=requiring("gold")).rule == "no match"
    assert decide(rule(group=("ops",)), resource=requiring("gold")).step_up is None
    assert decide(EVERYBODY, deny("no"), resource=requiring("gold")).rule == "no"


def test_a_requirement_and_a_rule_are_met_together():
    both = decide(WRITE_WITH_GOLD, resource=requiring("gold", max_login_age=60))
    assert both.step_up == wanted("gold", max_age=60)
    apart = decide(READ_FOR_ALL, WRITE_WITH_GOLD, resource=requiring("silver", max_login_age=60))
    assert apart.step_up == wanted("silver", max_age=60)


def test_the_strictest_age_of_what_would_match_is_asked_for():
    rules = (
        rule("a", max_login_age=300),
        rule("b", scopes=(READ,), max_login_age=60),
        rule("c", group=("ops",), max_login_age=1),
    )
    assert decide(*rules).step_up == wanted(max_age=60)


def test_a_step_up_never_loses_what_is_permitted_now():
    """One acr instead of the other is no gain."""
    now = rule("read", scopes=(READ,), acr=("1",))
    assert decide(now, WRITE_WITH_GOLD).step_up is None
    assert decide(rule("read", scopes=(READ,), acr=("1", "gold")), WRITE_WITH_GOLD).step_up == wanted("gold")


def test_the_best_of_several_is_asked_for():
    some = rule("some", scopes=(READ,), acr=("silver",))
    both = rule("both", acr=("gold",))
    assert decide(some, both).step_up == wanted("gold")


def test_a_deny_on_an_acr_is_lifted_by_another_that_the_map_names():
    """Unknown meets a `deny`; what the provider can give instead is in its ACR_MAP."""
    weak = deny("weak", acr=("silver",))
    assert decide(EVERYBODY, weak, identity=person(acr=None), config=FOREIGN).step_up == wanted("2", "3")
    assert decide(EVERYBODY, weak, identity=person(acr="silver"), config=FOREIGN).step_up == wanted("2", "3")
    assert decide(EVERYBODY, weak, identity=person(acr=None)).step_up is None


def test_who_may_not_sign_in_is_asked_for_nothing():
    config = provider(allowed_groups=("ops",))
    assert decide(resource=requiring("gold"), config=config).step_up is None


def test_the_first_sign_in_is_asked_for_the_acr_that_the_resource_requires():
    """So that a second one is seldom needed."""
    assert policy(config=FOREIGN).asked_at_once("corp", requiring("gold", max_login_age=60)) == ("2", "3")
    assert policy(config=BLIND).asked_at_once("corp", requiring("gold", max_login_age=60)) == ()
    assert policy().asked_at_once("corp", FILES) == ()


def test_a_person_is_the_one_who_is_asked_again():
    """Security rule A13: a step-up names its person."""
    decision = decide(resource=requiring("gold"), identity=person(subject="u_bob"))
    assert decision.step_up is not None
    assert decision.step_up.subject == "u_bob"
    assert ALICE.subject != "u_bob"
