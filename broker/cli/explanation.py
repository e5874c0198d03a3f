"""How `mcp-broker policy explain` shows a decision: as JSON, or as lines for a person."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from broker.model import StepUp
from broker.policy import AccessRequest, Explanation, JudgedRule


def as_object(request: AccessRequest, told: Explanation) -> dict[str, Any]:
    """Return everything, for a program; times in seconds."""
    decision = told.decision
    return {
        "allowed": decision.allowed,
        "scopes": decision.scopes,
        "withheld": told.withheld,
        "rule": decision.rule,
        "reason": decision.reason,
        "access_token_ttl": decision.access_token_ttl if decision.allowed else None,
        "refresh_token_ttl": decision.refresh_token_ttl if decision.allowed else None,
        "step_up": _step_up(decision.step_up),
        "demands": told.demands,
        "person": _person(request),
        "client": request.client.client_id,
        "resource": request.resource.url,
        "asked": request.scopes,
        "rules": [asdict(one) for one in told.rules],
        "would_change": told.remedies,
    }


def _step_up(step_up: StepUp | None) -> dict[str, Any] | None:
    if step_up is None:
        return None
    return {"provider": step_up.provider, "acr_values": step_up.acr_values, "max_age": step_up.max_age}


def _person(request: AccessRequest) -> dict[str, Any]:
    """Return what the rules see of the person; None is unknown."""
    who = request.identity
    return {
        "subject": who.subject,
        "provider": who.provider,
        "upstream_subject": who.upstream_subject,
        "email": who.email,
        "email_verified": who.email_verified,
        "groups": who.groups,
        "groups_unknown": who.groups_unknown if who.groups is None else None,
        **{name: who.attributes.get(name) for name in ("role", "organization", "tenant")},
        "acr": who.acr,
        "amr": who.amr,
        "login_age": request.now - who.auth_time if who.auth_time_stated else None,
    }


def as_lines(request: AccessRequest, told: Explanation) -> list[str]:
    """Return everything in the order in which an administrator asks for it."""
    decision, who = told.decision, request.identity
    verdict = "PERMITTED" if decision.allowed else "REFUSED"
    lines = [
        f"{verdict}: {' '.join(decision.scopes) or 'nothing'}"
        + (f" (not {' '.join(told.withheld)})" if told.withheld else ""),
        f"  rule      {decision.rule}",
        f"  reason    {decision.reason}",
    ]
    if decision.allowed:
        lines.append(f"  lifetimes {decision.access_token_ttl} s access, {decision.refresh_token_ttl} s unused")
    lines += [
        "",
        f"{who.email or who.name or who.subject} ({who.provider}) with {request.client.client_id} on {request.resource.url}",
    ]
    lines += _person_lines(request, told)
    if told.rules:
        lines += ["", "Rules:"]
        for one in told.rules:
            lines += _rule_lines(one)
    if told.remedies:
        lines += ["", "What would change it:", *(f"  - {remedy}" for remedy in told.remedies)]
    return lines


def _person_lines(request: AccessRequest, told: Explanation) -> list[str]:
    """Return what is known of the person: why groups are unknown beside them, whose word an `acr` is beside it."""
    known = _person(request)
    why = known.pop("groups_unknown")
    words = {name: _words(value) for name, value in known.items()}
    if why:
        words["groups"] += f" ({why})"
    if told.acr_there:
        words["acr"] = f"{' or '.join(told.acr_there)} at the provider, {words['acr']} here"
    return [f"  {name:<17}{value}" for name, value in words.items()]


def _rule_lines(one: JudgedRule) -> list[str]:
    scopes = "all scopes" if one.scopes is None else " ".join(one.scopes)
    lines = [f"  {'matches' if one.matches else 'no match'}  {one.effect} {one.name} ({scopes})"]
    for condition in one.conditions:
        mark = "yes" if condition.holds else "no "
        has = "unknown" if condition.has is None else ", ".join(condition.has) or "none"
        lines.append(f"      {mark} {condition.name} is {' or '.join(condition.wanted)}: {has}")
    return lines


def _words(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (", ".join(value) or "none") if isinstance(value, tuple) else str(value)
