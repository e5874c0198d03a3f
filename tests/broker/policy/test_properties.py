"""What holds for every rule and every person (security rule C10; decision "groups": unknown never helps)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.model import Identity, Requirement, Resource
from broker.policy import Decision
from broker.settings import PolicyRule
from tests.broker.policy.world import FILES, READ, WRITE, asking, decide, person, policy

WORDS = ("a", "b", "a/b", "*", "a/*")


def some(values: Any, *, least: int = 0, most: int = 2) -> Any:
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True).map(tuple)


def known(values: Any) -> Any:
    return st.none() | some(values)


IDENTITIES = st.builds(
    lambda groups, amr, acr, age, stated, email, verified, attributes: person(
        groups=groups,
        amr=amr,
        acr=acr,
        auth_time=2000 - age,
        auth_time_stated=stated,
        email=email,
        email_verified=verified,
        attributes={k: v for k, v in attributes.items() if v is not None},
    ),
    known(("a", "b", "a/b")),
    known(("pwd", "otp")),
    st.none() | st.sampled_from(("1", "2")),
    st.integers(0, 200),
    st.booleans(),
    st.none() | st.sampled_from(("x@a.example", "x@b.example")),
    st.booleans(),
    st.fixed_dictionaries({name: known(("a", "b")) for name in ("tenant", "organization", "role")}),
)


@st.composite
def rules(draw: Any) -> tuple[PolicyRule, ...]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        effect = draw(st.sampled_from(("allow", "allow", "deny")))
        found.append(
            PolicyRule(
                name=f"rule {number}",
                effect=effect,
                domain=draw(some(("a.example",), most=1)),
                user=draw(some(("u_alice", "x@a.example"), most=1)),
                acr=draw(some(("1", "2"))),
                amr=draw(some(("pwd",), most=1)),
                max_login_age=draw(st.none() | st.sampled_from((50, 150))) if effect == "allow" else None,
                scopes=draw(st.none() | some((READ, WRITE, "mail:read"), least=1)),
                **{name: draw(some(WORDS)) for name in ("tenant", "organization", "group", "role")},
            )
        )
    return tuple(found)


RESOURCES = st.builds(
    lambda acr, age: replace(FILES, require=Requirement(acr=acr, max_login_age=age)),
    some(("1", "2")),
    st.none() | st.sampled_from((50, 150)),
)
ASKED = st.lists(st.sampled_from([READ, WRITE]), unique=True).map(tuple)


def judged(written: tuple[PolicyRule, ...], who: Identity, resource: Resource, asked: tuple[str, ...]) -> Decision:
    return decide(*written, identity=who, resource=resource, scopes=asked)


@given(rules(), IDENTITIES, RESOURCES, ASKED)
def test_never_more_than_asked_and_never_more_than_the_resource_has(
    written: tuple[PolicyRule, ...], who: Identity, resource: Resource, asked: tuple[str, ...]
):
    """Security rule C10."""
    decision = judged(written, who, resource, asked)
    assert set(decision.scopes) <= set(asked) & set(resource.scopes)
    assert decision.allowed is bool(decision.scopes)
    assert decision.reason
    assert decision.rule


UNKNOWN: dict[str, dict[str, Any]] = {
    "groups": {"groups": None},
    "acr": {"acr": None},
    "amr": {"amr": None},
    "age": {"auth_time_stated": False},
    "email": {"email": None, "email_verified": False},
    "verified": {"email_verified": False},
    "attributes": {"attributes": {}},
}


@given(rules(), IDENTITIES, RESOURCES, ASKED, st.sampled_from(sorted(UNKNOWN)))
def test_knowing_less_never_gives_more(
    written: tuple[PolicyRule, ...], who: Identity, resource: Resource, asked: tuple[str, ...], gone: str
):
    """What is unknown meets no condition of an `allow` and every condition of a `deny` (but `user`, which is never unknown)."""
    if gone == "email" and any(rule.effect == "deny" and rule.user for rule in written):
        return
    knowing = judged(written, who, resource, asked)
    ignorant = judged(written, replace(who, **UNKNOWN[gone]), resource, asked)
    assert set(ignorant.scopes) <= set(knowing.scopes)


@given(rules(), IDENTITIES, RESOURCES, ASKED)
def test_a_step_up_that_is_honoured_helps_and_ends(
    written: tuple[PolicyRule, ...], who: Identity, resource: Resource, asked: tuple[str, ...]
):
    """Never a loop: after the sign-in that was asked for, more is permitted, nothing is lost, and the same is not asked again."""
    before = judged(written, who, resource, asked)
    step_up = before.step_up
    if step_up is None:
        return
    again = replace(
        who,
        acr=step_up.acr_values[0] if step_up.acr_values else who.acr,
        auth_time=2000,
        auth_time_stated=True,
    )
    after = judged(written, again, resource, asked)
    assert set(before.scopes) < set(after.scopes)
    assert after.step_up is None or after.step_up != step_up


@given(rules(), IDENTITIES, RESOURCES, ASKED)
def test_an_explanation_is_of_the_decision_that_is_made(
    written: tuple[PolicyRule, ...], who: Identity, resource: Resource, asked: tuple[str, ...]
):
    holder = policy(*written, resource=resource)
    request = asking(who, scopes=asked, resource=resource)
    told = holder.explain(request)
    assert told.decision == holder.decide(request)
    assert set(told.withheld) == set(asked) - set(told.decision.scopes)
    for one in told.rules:
        assert one.matches is all(condition.holds for condition in one.conditions)
    if told.withheld:
        assert told.remedies
