"""The rules of one moment, evaluated: what the matching `allow` rules add up to, less what matching `deny` rules take away. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from broker.model import Resource
from broker.policy.attributes import Facts
from broker.policy.matching import Matcher, matcher
from broker.settings import PolicyRule

NO_RULES = "no rules"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules, ready to be asked. Replaced as a whole, so that no decision sees half of a change."""

    matchers: tuple[Matcher, ...]

    @property
    def rules(self) -> tuple[PolicyRule, ...]:
        """The rules as they were written."""
        return tuple(one.rule for one in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the rules come to for one person on one resource. `denied_by` names the `deny` rule that left nothing."""

    granted: frozenset[str]
    matching: tuple[PolicyRule, ...]
    denied_by: str | None

    @property
    def names(self) -> str:
        """The rules that decided, for the audit."""
        return ", ".join(rule.name for rule in self.matching) or NO_RULES

    def access_token_ttl(self, otherwise: int) -> int:
        """Return the shortest that a matching rule sets, at most `otherwise`; in seconds."""
        return min([otherwise, *(r.access_token_ttl for r in self.matching if r.access_token_ttl is not None)])

    def refresh_token_ttl(self, otherwise: int) -> int:
        """Return the shortest that a matching rule sets, at most `otherwise`; in seconds."""
        return min([otherwise, *(r.refresh_token_ttl for r in self.matching if r.refresh_token_ttl is not None)])


def compile_rules(rules: tuple[PolicyRule, ...]) -> RuleSet:
    """Return rules that are ready to be asked."""
    return RuleSet(tuple(matcher(rule) for rule in rules))


def evaluate(rules: RuleSet, facts: Facts, resource: Resource) -> Outcome:
    """Return what this person has on this resource. Without any rule: everything that it has."""
    everything = frozenset(resource.scopes)
    if not rules.matchers:
        return Outcome(granted=everything, matching=(), denied_by=None)
    matching = [one for one in rules.matchers if one.matches(facts)]
    granted: frozenset[str] = frozenset()
    for one in matching:
        if one.rule.effect == "allow":
            granted |= one.scopes(everything)
    counted = [one.rule for one in matching if one.rule.effect == "allow"]
    for one in matching:
        if one.rule.effect == "deny" and granted:
            granted -= one.scopes(everything)
            counted.append(one.rule)
            if not granted:
                return Outcome(granted=granted, matching=tuple(counted), denied_by=one.rule.name)
    return Outcome(granted=granted, matching=tuple(counted), denied_by=None)
