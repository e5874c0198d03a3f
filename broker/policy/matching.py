"""When a rule matches: every condition that it names holds, each by any of its values (architecture, "Policy rules"). Pure.

What is not known never helps: an unknown attribute meets no condition of an `allow` and every condition of a `deny`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.policy import globs
from broker.policy.attributes import Facts, Known, domain_of
from broker.settings import PolicyRule

Reading = Callable[[Facts], Known]
Wanted = tuple[str, ...]
Comparison = Callable[[tuple[str, ...]], bool]  # of what a person has
OUR_SUBJECT = "u_"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule: its name, the values that meet it, what the person has of it, and whether it holds."""

    name: str
    wanted: tuple[str, ...]
    has: Reading
    holds: Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A rule, made ready to be asked often."""

    rule: PolicyRule
    conditions: tuple[Condition, ...]

    def matches(self, facts: Facts) -> bool:
        """Tell whether every condition holds."""
        return all(condition.holds(facts) for condition in self.conditions)

    def scopes(self, everything: frozenset[str]) -> frozenset[str]:
        """Return what the rule gives or takes of a resource's scopes."""
        return everything if self.rule.scopes is None else everything.intersection(self.rule.scopes)


def matcher(rule: PolicyRule) -> Matcher:
    """Return a rule with the conditions that it names."""
    deny = rule.effect == "deny"
    found = [
        _condition(
            name, wanted, _domain_as_claimed if deny and name == "domain" else read, comparing(wanted), deny=deny
        )
        for name, (read, comparing) in _ATTRIBUTES.items()
        if (wanted := getattr(rule, name))
    ]
    if rule.user:
        users = _Users(rule.user, as_claimed=deny, provider_named=bool(rule.provider))
        found.append(Condition("user", rule.user, users.has, users.holds))
    if rule.max_login_age is not None:
        found.append(_age(rule.max_login_age))
    return Matcher(rule, tuple(found))


def _condition(name: str, wanted: Wanted, read: Reading, is_met: Comparison, *, deny: bool) -> Condition:
    def holds(facts: Facts) -> bool:
        have = read(facts)
        return deny if have is None else is_met(have)

    return Condition(name, wanted, read, holds)


def _age(most: int) -> Condition:
    """Return a condition of an `allow`, which alone has it."""
    return Condition(
        "max_login_age",
        (str(most),),
        lambda facts: None if facts.login_age is None else (str(facts.login_age),),
        lambda facts: facts.login_age is not None and facts.login_age <= most,
    )


@dataclass(frozen=True, slots=True)
class _Users:
    """Who is meant: our subject, the upstream subject, or an e-mail address. Never unknown.

    At some providers people choose their upstream subject: one that looks like an address or like a subject of ours counts for an
    `allow` only where the rule names the provider.
    """

    wanted: tuple[str, ...]
    as_claimed: bool
    provider_named: bool

    def has(self, facts: Facts) -> Known:
        email = facts.claimed_email if self.as_claimed else facts.email
        return (
            facts.subject,
            *((facts.upstream_subject,) if self._counts(facts) else ()),
            *((email,) if email else ()),
        )

    def holds(self, facts: Facts) -> bool:
        if facts.subject in self.wanted or (self._counts(facts) and facts.upstream_subject in self.wanted):
            return True
        email = facts.claimed_email if self.as_claimed else facts.email
        return email is not None and email.lower() in (wanted.lower() for wanted in self.wanted if "@" in wanted)

    def _counts(self, facts: Facts) -> bool:
        lookalike = "@" in facts.upstream_subject or facts.upstream_subject.startswith(OUR_SUBJECT)
        return self.as_claimed or self.provider_named or not lookalike


def _domain(facts: Facts) -> Known:
    domain = domain_of(facts.email)
    return None if domain is None else (domain,)


def _domain_as_claimed(facts: Facts) -> Known:
    """In a `deny` an address counts as claimed, verified or not."""
    domain = domain_of(facts.claimed_email)
    return None if domain is None else (domain,)


def _equal(wanted: Wanted) -> Comparison:
    values = frozenset(wanted)
    return lambda have: not values.isdisjoint(have)


def _equal_lowered(wanted: Wanted) -> Comparison:
    return _equal(tuple(value.lower() for value in wanted))


def _like(wanted: Wanted) -> Comparison:
    return globs.Globs(wanted).any_match


_ATTRIBUTES: Mapping[str, tuple[Reading, Callable[[Wanted], Comparison]]] = {
    "resource": (lambda facts: facts.resource, _equal),
    "provider": (lambda facts: (facts.provider,), _equal),
    "client": (lambda facts: (facts.client,), _equal),
    "domain": (_domain, _equal_lowered),
    "tenant": (lambda facts: facts.tenant, _like),
    "organization": (lambda facts: facts.organization, _like),
    "group": (lambda facts: facts.group, _like),
    "role": (lambda facts: facts.role, _like),
    "acr": (lambda facts: None if facts.acr is None else (facts.acr,), _equal),
    "amr": (lambda facts: facts.amr, _equal),
}
