"""Where a request truly comes from."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.edge import source_of

TRUSTED = tuple(ipaddress.ip_network(n) for n in ("10.0.0.0/8", "fd00::/8"))
PEER = "10.0.0.1"


def source(forwarded: str, peer: str = PEER) -> str:
    scope: dict[str, Any] = {
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", forwarded.encode("latin-1", "replace"))],
    }
    return source_of(scope, TRUSTED)


@pytest.mark.parametrize(
    ("forwarded", "found"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51234", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
        ("198.51.100.9, 203.0.113.7:51234, 10.2.3.4:80", "203.0.113.7"),
        ("203.0.113.7:1, [fd00::1]:443, 10.2.3.4", "203.0.113.7"),
        ("203.0.113.7, evil:80", PEER),
        ("203.0.113.7, [203.0.113.8]:80", PEER),
        ("203.0.113.7:port", PEER),
        ("203.0.113.7:123456", PEER),
        ("203.0.113.7:", PEER),
        ("[2001:db8::7]x", PEER),
        ("[2001:db8::7", PEER),
        ("203.0.113.7:\u0663", PEER),
        ("", PEER),
    ],
)
def test_a_forwarded_address_may_carry_a_port(forwarded: str, found: str):
    """Rules G2, G3: Azure's gateway and others write one; else every caller behind them would be one source."""
    assert source(forwarded) == found
    assert source(forwarded, peer="203.0.113.99") == "203.0.113.99"


@given(st.ip_addresses(), st.integers(0, 65535))
def test_a_port_changes_nothing_and_hides_no_trusted_hop(address: Any, port: int):
    """Rules G2, G3."""
    written = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    assert source(f"198.51.100.9, {written}") == source(f"198.51.100.9, {address}")


@given(st.text("0123456789abcdef.:[], ", max_size=40))
def test_whatever_is_forwarded_the_source_is_an_address(forwarded: str):
    """Rule G3: a rate limit never keys on a stranger's words."""
    ipaddress.ip_address(source(forwarded))
