"""What a re-check means: when it is due, what a failure leads to, what becomes of the person's record (rules B14, B16). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from broker.model import Identity
from providers.base import PASSING, Fault, Groups, UpstreamIdentity

KNOWN_KEPT = (
    3600  # seconds for which memberships stand that cannot be listed just now; two intervals where that is longer
)
SKEW = 60  # seconds by which the clocks of two processes may differ
_LISTED = ("organization",)  # attributes that come with the groups, from what can be down when they are


class Consequence(Enum):
    """What a failed re-check leads to."""

    END = auto()  # the account, its session or its consent is gone: a new login, if any, starts afresh
    WAIT = auto()  # the provider is down, slow or talking nonsense: nothing ends
    ALERT = auto()  # our own registration or settings: nothing ends, and somebody has to act


_CONSEQUENCES: Mapping[Fault, Consequence] = {
    Fault.DENIED: Consequence.END,
    Fault.PERMANENT: Consequence.END,
    Fault.INTERACTION: Consequence.END,
    Fault.TRANSIENT: Consequence.WAIT,
    Fault.PROTOCOL: Consequence.WAIT,
    Fault.OPERATOR: Consequence.ALERT,
}


def consequence(fault: Fault) -> Consequence:
    """Return what a failure leads to."""
    return _CONSEQUENCES[fault]


def is_due(checked_at: int | None, *, now: int, interval: int) -> bool:
    """Tell whether the provider has to be asked; a check that lies in the future (a clock set back) counts for nothing (rule F4)."""
    return checked_at is None or not -SKEW <= now - checked_at < interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A person as described anew. `kept_because`: why memberships of before still stand; None where nothing is kept."""

    identity: Identity
    kept_because: str | None = None


def describe(known: Identity, told: UpstreamIdentity, *, age: int, interval: int) -> Described:
    """Return the record of a person who was vouched for again; how and when they signed in stays as it was.

    Memberships that the provider could not list stay for a bounded time: `age` is for how many seconds they have not been told. What
    its answer leaves out is gone, and so is whatever the person could keep from being listed.
    """
    updated = replace(
        known,
        email=told.email,
        email_verified=told.email_verified,
        name=told.name,
        groups=told.groups.names,
        groups_unknown=told.groups.reason,
        attributes=told.attributes,
        upstream_sid=told.sid,
    )
    passes = told.groups.names is None and told.groups.reason in PASSING
    if not passes or not 0 <= age <= max(KNOWN_KEPT, 2 * interval) - interval:
        return Described(identity=updated)
    listed = {name: known.attributes[name] for name in _LISTED if name in known.attributes}
    kept = replace(
        updated,
        groups=known.groups,
        groups_unknown=told.groups.reason if known.groups is None else None,
        attributes={**listed, **told.attributes},
    )
    return Described(identity=kept, kept_because=told.groups.reason)


def as_upstream(identity: Identity) -> UpstreamIdentity:
    """Return our record of a person in the words of adapters, for a provider to compare its answer with."""
    return UpstreamIdentity(
        issuer=identity.upstream_issuer,
        subject=identity.upstream_subject,
        auth_time=identity.auth_time,
        auth_time_stated=identity.auth_time_stated,
        groups=Groups(identity.groups, identity.groups_unknown),
        acr=identity.acr,
        amr=identity.amr,
        email=identity.email,
        email_verified=identity.email_verified,
        name=identity.name,
        attributes=identity.attributes,
        sid=identity.upstream_sid,
    )
