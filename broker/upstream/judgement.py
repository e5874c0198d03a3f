"""What a re-check means: when it is due, what a failure leads to, what becomes of the person's record (rules B14, B16). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from broker.model import Identity
from providers.base import Fault, Groups, UpstreamIdentity

KNOWN_KEPT = (
    3600  # seconds beyond a re-check's interval for which memberships stand that the provider cannot list just now
)
# Here the provider answered, and what it did not name is not there: nothing is kept against its word.
_STATED = frozenset({"claim_absent", "not_configured", "account_outside_workspace"})


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
    return checked_at is None or not 0 <= now - checked_at < interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A person as described anew. `kept_because`: why memberships of before still stand; None where nothing is kept."""

    identity: Identity
    kept_because: str | None = None


def describe(known: Identity, told: UpstreamIdentity, *, age: int, interval: int) -> Described:
    """Return the record of a person who was vouched for again; how and when they signed in stays as it was.

    Memberships that the provider could not list stay for a bounded time: `age` is for how many seconds they have not been told.
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
    if not _could_not_say(told.groups) or not 0 <= age < interval + KNOWN_KEPT:
        return Described(identity=updated)
    kept = replace(
        updated,
        groups=known.groups,
        groups_unknown=told.groups.reason if known.groups is None else None,
        attributes={**known.attributes, **told.attributes},
    )
    return Described(identity=kept, kept_because=told.groups.reason)


def _could_not_say(groups: Groups) -> bool:
    return groups.names is None and groups.reason not in _STATED


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
