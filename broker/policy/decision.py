"""What is asked of the policy, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

from broker.model import Client, Identity, Resource, StepUp

SIGN_IN, NO_MATCH, REQUIRED, CLIENT = "sign-in", "no match", "require", "client"  # in place of a rule's name


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRequest:
    """Who asks for what, through which client. `scopes` are known to the resource; `now` in seconds."""

    identity: Identity
    client: Client
    resource: Resource
    scopes: tuple[str, ...]
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person may do. Lifetimes in seconds; `rule` decided, `reason` says why in words an administrator can act on.

    `step_up` is what another sign-in would have to be so that more is permitted; None when none would help.
    """

    allowed: bool
    scopes: tuple[str, ...]
    access_token_ttl: int
    refresh_token_ttl: int
    rule: str
    reason: str
    step_up: StepUp | None = None


def refusal(rule: str, reason: str, step_up: StepUp | None = None) -> Decision:
    """Return a decision that permits nothing."""
    return Decision(
        allowed=False, scopes=(), access_token_ttl=0, refresh_token_ttl=0, rule=rule, reason=reason, step_up=step_up
    )
