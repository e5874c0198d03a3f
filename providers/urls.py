"""Which URLs an adapter will call or send a browser to (security rule B7): https; http to loopback in development. Pure."""

from __future__ import annotations

import re
from typing import TypeGuard
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_URL = re.compile(r"[!-\[\]-~]{1,2048}")  # visible ASCII but the backslash, which browsers read as a slash


def is_endpoint(url: object, *, loopback: bool) -> TypeGuard[str]:
    """Whether `url` is an absolute https URL without credentials or fragment; `loopback` also allows http to this machine."""
    if not isinstance(url, str) or not _URL.fullmatch(url) or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and loopback and host in _LOOPBACK)
