"""Where nothing is ever sent: every special-purpose range, in every disguise."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.webhooks.addresses import parse, refusal

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
          "169.253.255.255", "192.0.1.0", "223.255.255.255", "2606:4700:4700::1111", "2a00:1450:4001::1",
          "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]  # fmt: skip
PRIVATE = ["127.0.0.1", "127.255.255.255", "10.0.0.1", "172.16.0.0", "172.31.255.255", "192.168.1.1", "100.64.0.1",
           "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
           "240.0.0.1", "::1", "fc00::1", "fdff::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
           "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "2001::1", "2001:db8::1", "3fff::1",
           "64:ff9b:1::a00:1", "100::1", "4000::1", "fec0::1"]  # fmt: skip
NEVER = ["0.0.0.0", "0.1.2.3", "169.254.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192",
         "224.0.0.1", "239.255.255.255", "255.255.255.255", "::", "fe80::1", "fe80::1%eth0", "ff02::1",
         "fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
         "::ffff:0.0.0.0", "::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "::ffff:0:169.254.169.254"]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    """Also just beside a private range, and as NAT64 of a public one."""
    assert refusal(parse(address), allow_private=False) is None


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_what_is_not_public_is_not(address: str) -> None:
    """Loopback, private, carrier-grade NAT, reserved, in IPv4, IPv6, mapped, NAT64 and 6to4."""
    assert refusal(parse(address), allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_opened_by_a_setting(address: str) -> None:
    """For receivers next door."""
    assert refusal(parse(address), allow_private=True) is None


@pytest.mark.parametrize("address", NEVER)
def test_some_are_never_reached(address: str) -> None:
    """Link-local, multicast, unspecified and metadata services, whatever the setting."""
    assert refusal(parse(address), allow_private=True)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_ipv4_address_is_public_that_the_standard_library_calls_private(number: int) -> None:
    """Ours is the stricter of the two, and an IPv6 dress changes nothing."""
    address = ipaddress.IPv4Address(number)
    verdict = refusal(address, allow_private=False)
    if verdict is None:
        assert address.is_global or address in ipaddress.IPv4Network("192.88.99.0/24")
    for dress in ("::ffff:0:0", "64:ff9b::", "::"):
        disguised = ipaddress.IPv6Address(int(ipaddress.IPv6Address(dress)) | number)
        if int(disguised) > 1:
            assert (refusal(disguised, allow_private=False) is None) == (verdict is None)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 2**128 - 1))
def test_no_ipv6_address_is_public_that_the_standard_library_calls_private(number: int) -> None:
    """Ours is the stricter of the two."""
    address = ipaddress.IPv6Address(number)
    if refusal(address, allow_private=False) is None and address not in ipaddress.IPv6Network("2002::/16"):
        assert address.is_global
