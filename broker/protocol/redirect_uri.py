"""Redirect URIs (RFC 6749 section 3.1.2, RFC 8252 sections 7.1 and 7.3, RFC 9700 section 4.1.3; security rules C1 to C4). Pure.

Compared as strings. Only the port may vary, and only for http on 127.0.0.1, [::1] and localhost, each matching only itself.
Allowed are https, loopback http, and the private-use schemes that the administrator listed. Everything that browsers and
RFC 3986 read differently, and every scheme that runs or reads something in the browser, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import unquote_plus

from broker.oauth import InvalidRedirectUri, Reason
from broker.protocol import web_url
from broker.protocol.web_url import MAX_LENGTH, PCHAR, WebUrl

# Parameters of the authorization response: a redirect URI that brings its own forges the answer (rule C4).
RESPONSE_PARAMETERS = frozenset({"code", "state", "iss", "error", "response"})

# No list of the administrator's allows these: they run, read or send something instead of opening an application.
_RUN = frozenset({"javascript", "livescript", "mocha", "vbscript", "data", "intent", "shell", "ms-its", "res"})
_READ = frozenset({"about", "blob", "cid", "file", "filesystem", "jar", "mhtml", "mid", "view-source", "wyciwyg"})
_SEND = frozenset({"ftp", "gopher", "mailto", "sftp", "sms", "smsto", "ssh", "tel", "telnet", "ws", "wss"})
FORBIDDEN_SCHEMES = _RUN | _READ | _SEND | {"http", "https"}  # http and https have rules of their own

_PRIVATE_USE = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*):"
    r"(?://[A-Za-z0-9._~-]*(?::[0-9]{1,5})?(?=[/?]|\Z)|(?!//))"  # no userinfo
    rf"(?P<path>(?:{PCHAR}|/)*)"
    rf"(?:\?(?P<query>(?:{PCHAR}|[/?])*))?"
)


def matches(registered: Sequence[str], presented: str) -> bool:
    """Tell whether a presented redirect URI is one of the registered ones (rules C1, C2; RFC 8252 section 7.3).

    A URI that is malformed or of a forbidden scheme matches nothing, registered or not.
    """
    url = web_url.parse(presented)
    if url is None and _private_use(presented) is None:
        return False
    if presented in registered:
        return True
    if url is None or not _loopback_http(url):
        return False
    return any(_same_but_port(url, web_url.parse(candidate)) for candidate in registered)


def check(uri: str, schemes: tuple[str, ...]) -> None:
    """Refuse a redirect URI that must never be used; asked at registration and again at use (rules C3, C4).

    `schemes` are the private-use schemes that the administrator allows. Raises InvalidRedirectUri.
    """
    refusal = _refusal(uri, schemes)
    if refusal is not None:
        raise InvalidRedirectUri(Reason.REDIRECT_URI_REFUSED, refusal)


@lru_cache(maxsize=512)  # the same few come with every request; an entry is one long URL at the most
def _refusal(uri: str, schemes: tuple[str, ...]) -> str | None:
    url = web_url.parse(uri)
    if url is not None:
        if url.scheme == "http" and not _loopback_http(url):
            return "http beyond loopback"
        query = url.query
    else:
        private = _private_use(uri)
        if private is None:
            return "malformed or forbidden"
        if private["scheme"] not in schemes:
            return "scheme not listed"
        query = private["query"]
    return "carries a response parameter" if _answers_itself(query) else None


def permitted(uris: Iterable[str], schemes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the redirect URIs of a registration that may be used, in their order.

    A well-formed private-use URI whose scheme is not listed is left out (RFC 7591 section 2 lets the server substitute):
    Cursor registers one beside the https and loopback URIs that it can use as well. Any other fault, and an empty result,
    raises InvalidRedirectUri.
    """
    kept = []
    for uri in uris:
        private = _private_use(uri)
        if private is not None and private["scheme"] not in schemes:
            continue
        check(uri, schemes)
        kept.append(uri)
    if not kept:
        raise InvalidRedirectUri(Reason.REDIRECT_URI_REFUSED, "none is permitted")
    return tuple(kept)


def is_loopback(uri: str) -> bool:
    """Tell whether a redirect URI leads to this machine: http on 127.0.0.1, [::1] or localhost."""
    url = web_url.parse(uri)
    return url is not None and _loopback_http(url)


def private_scheme(uri: str) -> str | None:
    """Return the scheme of a private-use redirect URI (RFC 8252 section 7.1), None for http and https."""
    private = _private_use(uri)
    return private["scheme"] if private else None


def _loopback_http(url: WebUrl) -> bool:
    return url.scheme == "http" and url.loopback


def _same_but_port(url: WebUrl, registered: WebUrl | None) -> bool:
    return (
        registered is not None
        and _loopback_http(registered)
        and url.host == registered.host
        and (url.path or "/") == (registered.path or "/")  # VS Code registers both spellings
        and url.query == registered.query
    )


def _private_use(uri: str) -> re.Match[str] | None:
    found = _PRIVATE_USE.fullmatch(uri) if len(uri) <= MAX_LENGTH else None
    return None if found is None or found["scheme"] in FORBIDDEN_SCHEMES else found


def _answers_itself(query: str | None) -> bool:
    names = (unquote_plus(pair.partition("=")[0]) for pair in re.split("[&;]", query or ""))
    return not RESPONSE_PARAMETERS.isdisjoint(names)
