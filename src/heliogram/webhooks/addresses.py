"""Which addresses a webhook may be sent to: none that leads back into the network the service runs in.

The ranges are IANA's special-purpose registries for IPv4 and IPv6, written down so that the answer does not change
with the version of Python.
"""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_NEVER_V4 = (
    ("0.0.0.0/8", "unspecified"),
    ("169.254.0.0/16", "link-local"),
    ("168.63.129.16/32", "a cloud's metadata address"),
    ("100.100.100.200/32", "a cloud's metadata address"),
    ("192.0.0.192/32", "a cloud's metadata address"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
)
_PRIVATE_V4 = (
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved"),
    ("192.0.2.0/24", "reserved for documentation"),
    ("192.88.99.0/24", "reserved"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "reserved for benchmarks"),
    ("198.51.100.0/24", "reserved for documentation"),
    ("203.0.113.0/24", "reserved for documentation"),
    ("240.0.0.0/4", "reserved"),
)
_NEVER_V6 = (
    ("::/128", "unspecified"),
    ("fe80::/10", "link-local"),
    ("fd00:ec2::254/128", "a cloud's metadata address"),
    ("fd20:ce::254/128", "a cloud's metadata address"),
    ("ff00::/8", "multicast"),
)
_PRIVATE_V6 = (
    ("::1/128", "loopback"),
    ("fc00::/7", "private"),
    ("2001::/23", "reserved"),
    ("2001:db8::/32", "reserved for documentation"),
    ("3fff::/20", "reserved for documentation"),
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_CARRIERS = tuple(
    (IPv6Network(network), shift)
    for network, shift in (("::ffff:0:0/96", 0), ("::/96", 0), ("64:ff9b::/96", 0), ("2002::/16", 80))
)
"""Ranges whose addresses carry an IPv4 address: mapped, compatible, NAT64, 6to4."""
_LOCAL_CARRIERS = (IPv6Network("64:ff9b:1::/48"), IPv6Network("::ffff:0:0:0/96"))
"""Ranges that are not public and whose last 32 bits are an IPv4 address: a network's own NAT64 (RFC 8215), SIIT."""


def refusal(address: Address, *, allow_private: bool) -> str | None:
    """Why nothing is sent to an address, in a word or two; None when it may be.

    `allow_private` opens private networks and loopback, and still nothing that is link-local, multicast, unspecified
    or a cloud's metadata service.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "link-local"
        return _refusal_v6(address, allow_private)
    return _refusal_v4(address, allow_private)


def _refusal_v4(address: IPv4Address, allow_private: bool) -> str | None:
    ranges = _NEVER_V4 if allow_private else (*_NEVER_V4, *_PRIVATE_V4)
    return next((what for network, what in ranges if address in IPv4Network(network)), None)


def _refusal_v6(address: IPv6Address, allow_private: bool) -> str | None:
    ranges = _NEVER_V6 if allow_private else (*_NEVER_V6, *_PRIVATE_V6)
    found = next((what for network, what in ranges if address in IPv6Network(network)), None)
    if found is not None:
        return found
    if address == IPv6Address("::1"):
        return None
    for network, shift in _CARRIERS:
        if address in network:
            return _refusal_v4(IPv4Address(int(address) >> shift & 0xFFFFFFFF), allow_private)
    if address in _GLOBAL_V6:
        return None
    if not allow_private:
        return "reserved"
    local = any(address in network for network in _LOCAL_CARRIERS)
    return _refusal_v4(IPv4Address(int(address) & 0xFFFFFFFF), allow_private) if local else None


def parse(text: str) -> Address:
    """An address as text; raises `ValueError`."""
    return ipaddress.ip_address(text)
