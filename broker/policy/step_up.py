"""Which sign-in would permit more than this one does: asked for once, where the provider can give it. Pure.

It helps when what is withheld is withheld by `acr` or by age alone. Only where the age is all that is unknown, the provider's own
session may do: it is asked when the person signed in, and not to let them sign in again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from broker.model import Resource, StepUp
from broker.policy import requirement
from broker.policy.attributes import Facts
from broker.policy.decision import AccessRequest
from broker.policy.ruleset import Outcome, RuleSet, evaluate
from broker.settings import ProviderConfig


def permitted(request: AccessRequest, facts: Facts, outcome: Outcome) -> tuple[str, ...]:
    """Return the scopes that are asked and granted, in their order; none where the resource demands another sign-in."""
    if requirement.unmet(request.resource.require, facts):
        return ()
    return tuple(scope for scope in request.scopes if scope in outcome.granted)


def helpful(request: AccessRequest, facts: Facts, rules: RuleSet, config: ProviderConfig) -> StepUp | None:
    """Return the step-up after which the most of what is asked would be permitted, and nothing lost; None when none adds anything."""
    if not _concerns_sign_in(request.resource, rules):
        return None
    best = frozenset(permitted(request, facts, evaluate(rules, facts, request.resource)))
    chosen: list[Facts] = []
    for stepped in _possible(request.resource, facts, rules, config):
        gained = frozenset(permitted(request, stepped, evaluate(rules, stepped, request.resource)))
        if gained > best:
            best, chosen = gained, [stepped]
        elif chosen and gained == best and chosen[0].acr != facts.acr:
            chosen.append(stepped)
    if not chosen:
        return None
    matching = evaluate(rules, chosen[0], request.resource).matching
    ages = [request.resource.require.max_login_age, *(rule.max_login_age for rule in matching)]
    return StepUp(
        provider=config.id,
        subject=request.identity.subject,
        acr_values=_asked_for((facts.acr for facts in chosen), request.resource, rules, config),
        max_age=min((age for age in ages if age is not None), default=None),
        anew=facts.login_age is not None or chosen[0].acr != facts.acr,
    )


def at_once(resource: Resource, config: ProviderConfig) -> tuple[str, ...]:
    """Return the acr values to ask of the very first sign-in, so that a second one is seldom needed.

    Not an age: whoever signs in now is fresh, and whose session at the provider is old is asked again all the same.
    """
    return tuple(value for acr in resource.require.acr for value in upstream_values(acr, config))


def upstream_values(acr: str, config: ProviderConfig) -> tuple[str, ...]:
    """Return the provider's words for an `acr` of ours (the reverse of its ACR_MAP); none where it cannot give it."""
    if "acr" not in config.gives:
        return ()
    words = tuple(theirs for theirs, ours in config.acr_map.items() if ours == acr)
    return words or (
        () if acr in config.acr_map else (acr,)
    )  # a word of theirs that means something else here is no use


def upstream_words(acr: str | None, config: ProviderConfig | None) -> tuple[str, ...]:
    """Return the provider's words for the `acr` that somebody has here; none for none."""
    return upstream_values(acr, config) if acr is not None and config is not None else ()


def words(step_up: StepUp, config: ProviderConfig | None) -> str:
    """Return what a step-up asks for, in words for the administrator: the provider's, and ours where they differ."""
    ours = {} if config is None else config.acr_map
    values = [
        value if ours.get(value, value) == value else f"{value} at the provider, {ours[value]} here"
        for value in step_up.acr_values
    ]
    parts = [f"acr {' or '.join(values)}"] if values else []
    parts += [] if step_up.max_age is None else [f"an age of at most {step_up.max_age} s"]
    return " and ".join(parts)


def _concerns_sign_in(resource: Resource, rules: RuleSet) -> bool:
    require = resource.require
    named = any(rule.acr or rule.max_login_age is not None for rule in rules.rules)
    return named or bool(require.acr) or require.max_login_age is not None


def _possible(resource: Resource, facts: Facts, rules: RuleSet, config: ProviderConfig) -> Iterable[Facts]:
    """Yield the sign-ins that this provider could be asked for, the least demanding first."""
    fresh = replace(facts, login_age=0) if "auth_time" in config.gives else facts
    yield fresh
    wanted = resource.require.acr or (
        *(acr for rule in rules.rules if rule.effect == "allow" for acr in rule.acr),
        *config.acr_map.values(),
    )
    for acr in dict.fromkeys(wanted):
        if acr != facts.acr and upstream_values(acr, config):
            yield replace(fresh, acr=acr)


def _asked_for(
    acrs: Iterable[str | None], resource: Resource, rules: RuleSet, config: ProviderConfig
) -> tuple[str, ...]:
    """Return the provider's words for what the new sign-in must be: also for what the old one is already, since it is replaced."""
    if not (resource.require.acr or any(rule.acr for rule in rules.rules)):
        return ()
    return tuple(dict.fromkeys(value for acr in acrs if acr is not None for value in upstream_values(acr, config)))
