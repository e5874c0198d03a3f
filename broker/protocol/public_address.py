"""Which addresses the public Internet routes (RFC 6890 and IANA's special-purpose registries). Pure; rules D3, D4, D13.

An IPv6 address that carries an IPv4 address is judged by the one inside: IPv4-mapped (RFC 4291), 6to4 (RFC 3056),
Teredo (RFC 4380), NAT64 under the well-known prefix (RFC 6052) and the local-use prefix (RFC 8215). What cannot be read with
certainty is not public.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that IANA has allocated (RFC 4291 section 2.4)
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/96"))

# Special-purpose networks that Python 3.11 counts as global, and Azure's host agent on an address that looks public.
SPECIAL_V4 = tuple(IPv4Network(n) for n in ("192.88.99.0/24", "168.63.129.16/32"))
SPECIAL_V6 = tuple(IPv6Network(n) for n in ("2001::/23", "2001:db8::/32", "3fff::/20"))


def is_public(address: str) -> bool:
    """Tell whether an address is globally routable, and so is every IPv4 address inside it; False for what is no address."""
    parsed = _parse(address)
    if isinstance(parsed, IPv4Address):
        return _public_v4(parsed)
    if parsed is None:
        return False
    inside = _inside(parsed)
    if inside:
        return all(_public_v4(v4) for v4 in inside)
    return parsed in GLOBAL_UNICAST and not any(parsed in network for network in SPECIAL_V6)


def is_loopback(address: str) -> bool:
    """Tell whether an address is this machine: 127.0.0.0/8, ::1, or the first mapped into IPv6."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed is not None and parsed.is_loopback


@lru_cache(maxsize=1024)  # an address is short
def network_of(address: str) -> str:
    """Return what a limit for one source counts by: the IPv4 address, or the /64 that one IPv6 customer holds (rule D13)."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((int(parsed) >> 64 << 64, 64)))
    return address[:64] if parsed is None else str(parsed)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _public_v4(address: IPv4Address) -> bool:
    special = address.is_multicast or address.is_reserved or any(address in network for network in SPECIAL_V4)
    return address.is_global and not special


def _inside(address: IPv6Address) -> tuple[IPv4Address, ...]:
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo  # server and client: packets reach both
    if any(address in network for network in TRANSLATED):
        return (IPv4Address(int(address) & 0xFFFFFFFF),)
    return ()
