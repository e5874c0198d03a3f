"""Who administers the broker. What is unknown makes nobody an administrator. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from broker.model import Identity
from broker.policy import globs
from broker.settings import AdminGroup


def is_administrator(identity: Identity, groups: Iterable[AdminGroup]) -> bool:
    """Tell whether a person is in one of the administrators' groups at the very provider that it belongs to."""
    return any(
        admin.provider == identity.provider and globs.any_match([admin.group], identity.groups or ())
        for admin in groups
    )
