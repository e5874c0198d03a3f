"""http and https URLs as strangers write them, strictly (RFC 3986 section 3; RFC 1123 section 2.1). Pure.

What RFC 3986 and browsers read differently is refused: userinfo, fragments, backslashes, control and non-ASCII characters,
percent-encoded or empty hosts, hosts that end in a number without being an IPv4 address, empty and out-of-range ports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MAX_LENGTH = 2048  # characters

PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"  # RFC 3986 section 3.3
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
    rf"(?P<path>(?:/{PCHAR}*)*)"
    rf"(?:\?(?P<query>(?:{PCHAR}|[/?])*))?"
)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_HIGHEST_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebUrl:
    """A parsed URL, every part as written; `host` without brackets, `port` None and `query` None when absent."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None

    @property
    def effective_port(self) -> int:
        """The port to dial."""
        return self.port or _DEFAULT_PORTS[self.scheme]

    @property
    def target(self) -> str:
        """The request target (RFC 9112 section 3.2.1)."""
        return (self.path or "/") + ("" if self.query is None else f"?{self.query}")

    @property
    def authority(self) -> str:
        """The value of a Host header (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether the host names this machine by one of its three usual names, in lower case."""
        return self.host in LOOPBACK_HOSTS


def parse(text: str) -> WebUrl | None:
    """Return the parts of an absolute http or https URL, or None when it is not one that everybody reads alike."""
    return (
        _parse(text) if len(text) <= MAX_LENGTH else None
    )  # before the cache, which would keep a stranger's long text


@lru_cache(maxsize=1024)  # the same few URLs come with every request; an entry is one URL of MAX_LENGTH at the most
def _parse(text: str) -> WebUrl | None:
    found = _URL.fullmatch(text)
    if found is None:
        return None
    host = found["v6"] or found["name"]
    if not (_is_ipv6(host) if found["v6"] else _is_name_or_ipv4(host)):
        return None
    port = int(found["port"]) if found["port"] else None
    if port is not None and port > _HIGHEST_PORT:
        return None
    return WebUrl(scheme=found["scheme"], host=host, port=port, path=found["path"], query=found["query"])


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except AddressValueError:
        return False
    return True


def _is_name_or_ipv4(host: str) -> bool:
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return False
    if not _NUMBER.fullmatch(labels[-1]):
        return True
    try:
        IPv4Address(host)  # browsers read 127.1 and 0x7f000001 as addresses; nobody else does
    except AddressValueError:
        return False
    return True
