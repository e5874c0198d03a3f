"""Scopes (RFC 6749 sections 3.3 and 6): what was asked, reduced to what the resource knows. Pure; rules C10, E9.

Unknown scopes are dropped, since clients ask for `openid email profile` by habit; the answer always says what was granted.
`offline_access` is accepted and never granted: refresh tokens follow the client's grant types.
"""

from __future__ import annotations

import re

from broker.model import Client, ClientSource, Resource
from broker.oauth import OFFLINE_ACCESS, InvalidScope, Reason

# What clients of OpenID Connect name by habit (Core section 5.4): nothing that a resource of ours has.
HABITUAL = frozenset({"openid", "profile", "email", "address", "phone", OFFLINE_ACCESS})
_TOKENS = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


def parse(text: str) -> tuple[str, ...]:
    """Return the scope tokens in their order, each once; raises InvalidScope for what RFC 6749 section 3.3 does not permit."""
    if _TOKENS.fullmatch(text) is None:
        raise InvalidScope(Reason.PARAMETER_MALFORMED, "scope")
    return tuple(dict.fromkeys(text.split(" ")))


def requested(resource: Resource, asked: str | None) -> tuple[str, ...]:
    """Return the scopes a request means: those it names and the resource knows, else the resource's defaults."""
    return _known(resource, asked) or resource.default_scopes


def allowed(client: Client, resource: Resource, scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the scopes that the client's own `scope` permits (RFC 7591 section 2); one without is not limited.

    An administrator's word counts as written. A metadata document speaks to every server at once: one whose scopes are all habitual,
    or none of this resource, says nothing about it. What a client wrote when it registered itself is no limit: the MCP SDKs register
    with the first challenge's scope and step up with the same registration, and whoever wants more may register again.
    """
    limit = frozenset((client.scope or "").split())
    if client.source is ClientSource.METADATA_DOCUMENT and (limit <= HABITUAL or limit.isdisjoint(resource.scopes)):
        limit = frozenset()
    if not limit or client.source is ClientSource.REGISTERED:
        return scopes
    return tuple(scope for scope in scopes if scope in limit)


def narrowed(resource: Resource, granted: tuple[str, ...], asked: str | None) -> tuple[str, ...]:
    """Return the scopes of a refresh: the part that was asked for, or all that were granted when nothing known was (RFC 6749 section 6).

    Raises InvalidScope when a scope of this resource is asked for that was not granted.
    """
    known = _known(resource, asked)
    if not set(known) <= set(granted):
        raise InvalidScope(Reason.SCOPE_EXCEEDED)
    return known or granted


def _known(resource: Resource, asked: str | None) -> tuple[str, ...]:
    tokens = parse(asked) if asked is not None else ()
    return tuple(s for s in tokens if s in resource.scopes and s != OFFLINE_ACCESS)
