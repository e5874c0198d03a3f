"""Resource indicators (RFC 8707 section 2): which MCP server a token is for. Pure; rule C11.

A request is matched tolerant of what URL libraries change (case of scheme and host, default port, one trailing slash); the token
then names the resource exactly as it was registered. There is always one audience, never none and never two.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations

from broker.model import Resource
from broker.oauth import InvalidTarget, Reason

_DEFAULT_PORTS = {"http": 80, "https": 443}
# RFC 3986 section 3 with an authority; no user information, no fragment, no character that a URL library would repair.
_ABSOLUTE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)"
    r"(?::(?P<port>[0-9]{0,5}))?"
    r"(?P<path>/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?"
    r"(?P<query>\?[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?"
)


def canonical(url: str) -> str | None:
    """Return the form that two spellings of one resource share; None for what is not an absolute URL without fragment."""
    found = _ABSOLUTE.fullmatch(url)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS.get(scheme)
    shown_port = "" if port == _DEFAULT_PORTS.get(scheme) else f":{port}"
    return (
        f"{scheme}://{found['host'].lower()}{shown_port}{(found['path'] or '').removesuffix('/')}{found['query'] or ''}"
    )


def choose(resources: Sequence[Resource], asked: Sequence[str], *, default: str | None) -> Resource:
    """Return the one resource that a request means.

    Parameters: `asked` holds every `resource` parameter; `default` is the URL taken where there is none (the client's, or the
    configured one). Without either, the only registered resource is meant. Raises InvalidTarget.
    """
    if asked:
        return _named(resources, asked)
    if default is not None:
        return _find(resources, default)
    if len(resources) != 1:
        raise InvalidTarget(Reason.RESOURCE_AMBIGUOUS if resources else Reason.RESOURCE_UNKNOWN)
    return resources[0]


def collisions(resources: Sequence[Resource]) -> list[tuple[Resource, Resource]]:
    """Return every pair that a request could not tell apart; a configuration with one does not start."""
    return [(a, b) for a, b in combinations(resources, 2) if _registered(a.url) == _registered(b.url)]


def _named(resources: Sequence[Resource], asked: Sequence[str]) -> Resource:
    found = _find(resources, asked[0])
    for other in asked[1:]:  # RFC 8707 lets `resource` repeat; one token has one audience
        if _find(resources, other).url != found.url:
            raise InvalidTarget(Reason.RESOURCE_AMBIGUOUS)
    return found


def _find(resources: Sequence[Resource], url: str) -> Resource:
    for resource in resources:
        if resource.url == url:
            return resource
    wanted = canonical(url)
    if wanted is not None:
        for resource in resources:
            if _registered(resource.url) == wanted:
                return resource
    raise InvalidTarget(Reason.RESOURCE_UNKNOWN)


@lru_cache(maxsize=4096)
def _registered(url: str) -> str:
    """Return a registered URL's canonical form; one that has none only matches itself. Never called with a stranger's text."""
    return canonical(url) or url
