"""Why a decision is as it is, rule by rule and condition by condition, and what would change it. Pure; for administrators only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from broker.policy import requirement, step_up
from broker.policy.attributes import Facts, Known, facts_of
from broker.policy.decision import REQUIRED, SIGN_IN, AccessRequest, Decision
from broker.policy.matching import Condition, Matcher
from broker.policy.ruleset import RuleSet
from broker.settings import ProviderConfig

NOT_SUPPOSED = "not supposed"  # why groups are unknown of somebody whom an administrator describes
_SCOPE_OF_A_RULE = ("resource", "client", "provider")  # a rule that fails here is about something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One condition of a rule: what meets it, what the person has (None: unknown), and whether it holds."""

    name: str
    wanted: tuple[str, ...]
    has: Known
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRule:
    """One rule. `scopes` None: all of the resource."""

    name: str
    effect: str
    matches: bool
    scopes: tuple[str, ...] | None
    conditions: tuple[Judged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision and its reasons. `demands` are what the resource requires and this sign-in is not; `remedies` are sentences.

    `acr_there` are the provider's words for the person's `acr`, where ACR_MAP makes them others than ours.
    """

    decision: Decision
    withheld: tuple[str, ...]
    demands: tuple[str, ...]
    rules: tuple[JudgedRule, ...]
    remedies: tuple[str, ...]
    acr_there: tuple[str, ...]


def explain(request: AccessRequest, decision: Decision, rules: RuleSet, config: ProviderConfig | None) -> Explanation:
    """Return the reasons of a decision that these rules made."""
    facts = facts_of(request.identity, request.client, request.resource, config, now=request.now)
    withheld = tuple(scope for scope in request.scopes if scope not in decision.scopes)
    remedies: list[str] = []
    if withheld or not decision.allowed:
        asked = _asked_of(rules, facts) if decision.rule != SIGN_IN else {"group"} if _by_group(config) else set()
        remedies = [*_unknown(request, asked, config), *_remedies(request, decision, rules, facts, config)]
    return Explanation(
        decision=decision,
        withheld=withheld,
        demands=tuple(requirement.unmet(request.resource.require, facts)),
        rules=tuple(_judged(one, facts) for one in rules.matchers),
        remedies=tuple(remedies),
        acr_there=tuple(word for word in step_up.upstream_words(facts.acr, config) if word != facts.acr),
    )


def _judged(one: Matcher, facts: Facts) -> JudgedRule:
    return JudgedRule(
        name=one.rule.name,
        effect=one.rule.effect,
        matches=one.matches(facts),
        scopes=one.rule.scopes,
        conditions=tuple(
            Judged(name=c.name, wanted=c.wanted, has=c.has(facts), holds=c.holds(facts)) for c in one.conditions
        ),
    )


def _remedies(
    request: AccessRequest, decision: Decision, rules: RuleSet, facts: Facts, config: ProviderConfig | None
) -> Iterator[str]:
    """Yield what would permit what is withheld: the smallest change first."""
    if decision.rule == SIGN_IN:
        yield f"Sign-in itself is barred: {decision.reason}"
        return
    if not request.scopes:
        yield f"No scope of {request.resource.id} is asked for"
    if decision.step_up is not None:
        yield f"Signing in again, with {step_up.words(decision.step_up, config)}"
    elif decision.rule == REQUIRED:
        yield f"{request.resource.id} requires {' and '.join(requirement.unmet(request.resource.require, facts))}"
    everything = frozenset(request.resource.scopes)
    withheld = everything.intersection(request.scopes) - frozenset(decision.scopes)
    near: list[tuple[int, str]] = []
    for one in rules.matchers:
        concerned = " ".join(scope for scope in request.scopes if scope in one.scopes(everything) & withheld)
        failing = [condition for condition in one.conditions if not condition.holds(facts)]
        if not concerned or any(condition.name in _SCOPE_OF_A_RULE for condition in failing):
            continue
        if one.rule.effect == "deny" and not failing:
            because = " and ".join(_has(c, facts) for c in one.conditions if c.name not in _SCOPE_OF_A_RULE)
            yield f"Deny rule {one.rule.name} takes {concerned} away" + (f": {because}" if because else "")
        elif one.rule.effect == "allow" and failing:
            needed = " and ".join(f"{_wants(c)} ({_has(c, facts)})" for c in failing)
            near.append((len(failing), f"Allow rule {one.rule.name} gives {concerned} to {needed}"))
    yield from (sentence for _, sentence in sorted(near, key=lambda found: found[0]))
    if rules.matchers and not near and withheld and not _given(rules, facts, withheld, everything):
        yield f"No allow rule gives {' '.join(sorted(withheld))} on {request.resource.id} here: add one"


def _by_group(config: ProviderConfig | None) -> bool:
    """Tell whether it depends on groups who may sign in at all."""
    return config is not None and config.allowed_groups is not None


def _asked_of(rules: RuleSet, facts: Facts) -> set[str]:
    """Return what the rules about this resource, client and provider ask of the person."""
    about = [one for one in rules.matchers if all(c.holds(facts) for c in one.conditions if c.name in _SCOPE_OF_A_RULE)]
    return {condition.name for one in about for condition in one.conditions}


def _unknown(request: AccessRequest, asked: set[str], config: ProviderConfig | None) -> Iterator[str]:
    """Yield that groups or roles are unknown and whose matter it is: no rule over them can be mended here."""
    who = request.identity
    if config is None or who.groups_unknown == NOT_SUPPOSED:
        return
    mend = "no change of a rule helps; mend the provider's claim, mapper or permission (providers/README.md)"
    if "group" in asked and "group" in config.gives and who.groups is None:
        yield f"The groups are unknown ({who.groups_unknown or 'no reason kept'}): {mend}"
    if "role" in asked and "role" in config.gives and who.attributes.get("role") is None:
        yield f"The roles are unknown: {mend}"


def _given(rules: RuleSet, facts: Facts, withheld: frozenset[str], everything: frozenset[str]) -> bool:
    """Tell whether a matching `allow` gives some of what is withheld, so that something else takes it away."""
    return any(
        one.rule.effect == "allow" and one.matches(facts) and one.scopes(everything) & withheld
        for one in rules.matchers
    )


def _wants(condition: Condition) -> str:
    if condition.name == "max_login_age":
        return f"a sign-in no older than {condition.wanted[0]} s"
    return f"{condition.name} {' or '.join(condition.wanted)}"


def _has(condition: Condition, facts: Facts) -> str:
    has = condition.has(facts)
    if has is None:
        return f"{condition.name} is unknown here"
    return f"{condition.name} is {', '.join(has) or 'none'} here"
