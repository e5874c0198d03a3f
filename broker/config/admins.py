"""Who administers the broker: groups, each of one provider. Strangers choose group names elsewhere, so none may be ambiguous."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from broker.config.faults import quoted
from broker.config.reader import Reader
from broker.settings import AdminGroup

_GROUPS, _DEBUG = ("admin_groups",), ("debug_login",)


def read_admins(
    reader: Reader, listed: Sequence[str] | None, *, debug_login: bool, providers: Sequence[str]
) -> tuple[AdminGroup, ...]:
    """Return the administrators' groups; every fault is noted. `providers` are the ids under which one is configured."""
    groups = tuple(_read(reader, listed or (), providers))
    if debug_login and not listed:
        reader.refuse(_DEBUG, "is true and shows nothing to anybody", "set BROKER_ADMIN_GROUPS too, or remove it")
    return groups


def _read(reader: Reader, listed: Sequence[str], providers: Sequence[str]) -> Iterator[AdminGroup]:
    for text in listed:
        provider, colon, group = text.partition(":")
        if colon and provider in providers and group:
            yield AdminGroup(provider=provider, group=group)
        elif len(providers) == 1:
            yield AdminGroup(provider=providers[0], group=text)
        elif providers:
            wrong = f"has {quoted(text)}, which names no provider, while there are several"
            reader.refuse(_GROUPS, wrong, f"write it with the provider's id: {providers[0]}:{text}")
