"""How `mcp-broker policy explain` shows a decision: as JSON, or as lines for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from broker.cli.context import moment
from broker.cli.sign_ins import SignIn
from broker.model import StepUp
from broker.policy import AccessRequest, Explanation, JudgedRule


@dataclass(frozen=True, slots=True)
class Told:
    """What is decided about a person as one sign-in knows them, and why."""

    sign_in: SignIn
    request: AccessRequest
    why: Explanation


def as_object(told: Sequence[Told]) -> dict[str, Any]:
    """Return everything, for a program; times in seconds. `others`: the same about the person's other live sign-ins."""
    first, *others = told
    return {**_object(first), "others": [_object(one) for one in others]}


def _object(one: Told) -> dict[str, Any]:
    request, told = one.request, one.why
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
        "sign_in": {
            "live": one.sign_in.live,
            "since": one.sign_in.since,
            "checked_at": one.sign_in.checked_at,
            "grants": one.sign_in.grants,
        },
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


def as_lines(sign_ins: Sequence[Told]) -> list[str]:
    """Return everything in the order in which an administrator asks for it."""
    first, *others = sign_ins
    request, told = first.request, first.why
    decision, who = told.decision, request.identity
    lines = [
        _verdict(told),
        f"  rule      {decision.rule}",
        f"  reason    {decision.reason}",
    ]
    if decision.allowed:
        lines.append(f"  lifetimes {decision.access_token_ttl} s access, {decision.refresh_token_ttl} s unused")
    lines += [
        "",
        f"{who.email or who.name or who.subject} ({who.provider}) with {request.client.client_id} on {request.resource.url}",
    ]
    lines += [*_person_lines(request, told), f"  {'sign-in':<17}{_sign_in(first.sign_in)}"]
    if others:
        lines += ["", "Signed in otherwise, too:"]
        for one in others:
            lines += _other_lines(one, first)
    if told.rules:
        lines += ["", "Rules:"]
        for rule in told.rules:
            lines += _rule_lines(rule)
    if told.remedies:
        lines += ["", "What would change it:", *(f"  - {remedy}" for remedy in told.remedies)]
    return lines


def _verdict(told: Explanation) -> str:
    verdict = "PERMITTED" if told.decision.allowed else "REFUSED"
    withheld = f" (not {' '.join(told.withheld)})" if told.withheld else ""
    return f"{verdict}: {' '.join(told.decision.scopes) or 'nothing'}{withheld}"


def _sign_in(one: SignIn) -> str:
    """Return which sign-in this is, and whether the app's access hangs on it."""
    if not one.live:
        return "none lives; this is how the person was last described"
    since = f"{moment(one.since)}, checked {moment(one.checked_at)}"
    return f"{since}; the app's grant {' and '.join(one.grants)} hangs on it" if one.grants else f"{since}; no grant"


def _other_lines(one: Told, first: Told) -> list[str]:
    """Return what another sign-in comes to, and what of the person is otherwise there."""
    mine, theirs = _person(one.request), _person(first.request)
    otherwise = [f"{name} {_words(value)}" for name, value in mine.items() if value != theirs[name]]
    same = one.why.decision == first.why.decision
    return [
        f"  {'the same' if same else _verdict(one.why)}",
        f"      sign-in {_sign_in(one.sign_in)}",
        *([] if same else [f"      rule {one.why.decision.rule}: {one.why.decision.reason}"]),
        *([f"      {'; '.join(otherwise)}"] if otherwise else []),
    ]


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
