"""Which addresses a stranger may make us dial, and what a limit counts as one source."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.protocol import public_address


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.215.14",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        "::ffff:8.8.8.8",
        "2002:808:808::1",  # 6to4 of 8.8.8.8
        "64:ff9b::808:808",  # NAT64 of 8.8.8.8
        "64:ff9b:1::808:808",
    ],
)
def test_globally_routable_addresses_are_public(address: str) -> None:
    """Rule D3; RFC 6890."""
    assert public_address.is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - an address, not a bind
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",  # Azure's host agent
        "169.254.169.254",  # cloud metadata
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",  # IPv4-compatible, deprecated
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",  # IPv4-translated
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "64:ff9b:1:abcd::808:808",  # the place of the IPv4 address is the operator's secret
        "100::1",
        "2001:0:7f00:1::1",  # Teredo, its server private
        "2001:0:808:808::80ff:fffe",  # Teredo, its client 127.0.0.1
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4 of 127.0.0.1
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "",
        "localhost",
        "8.8.8",
        "08.8.8.8",
    ],
)
def test_everything_special_or_unreadable_is_not_public(address: str) -> None:
    """Rule D3: IPv4-mapped, 6to4, Teredo and NAT64 are judged by the address inside; RFC 6890, RFC 6052, RFC 8215."""
    assert not public_address.is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_in_every_wrapping(address: ipaddress.IPv4Address) -> None:
    """Rule D3."""
    plain = public_address.is_public(str(address))
    number = int(address)
    wrapped = [
        ipaddress.IPv6Address(0xFFFF << 32 | number),
        ipaddress.IPv6Address(0x2002 << 112 | number << 80),
        ipaddress.IPv6Address((0x64 << 112) | (0xFF9B << 96) | number),
    ]
    assert {public_address.is_public(str(one)) for one in wrapped} == {plain}
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not plain


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::2", False),
        ("nonsense", False),
    ],
)
def test_loopback_is_this_machine(address: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """Rule D3."""
    assert public_address.is_loopback(address) is expected


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("a unix socket", "a unix socket"),
    ],
)
def test_a_limit_counts_an_ipv4_address_or_an_ipv6_customer(address: str, network: str) -> None:
    """Rule D13: one IPv6 customer holds 2**64 addresses."""
    assert public_address.network_of(address) == network
