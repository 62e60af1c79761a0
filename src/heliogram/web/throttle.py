"""Failed sign-ins, counted for each address."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

from ..ports import Clock

MAX_FAILURES = 10
WINDOW_SECONDS = 300.0
MAX_ADDRESSES = 10_000
PREFIX = 64
"""Of an IPv6 address: whoever has one has all that begin with the same 64 bits."""


class SignInThrottle:
    """After ten failures an address waits until five minutes have passed since the first of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __repr__(self) -> str:
        return f"SignInThrottle(addresses={len(self._failures)})"

    def wait(self, address: str) -> int:
        """Seconds until the address may try again; 0 when it may now."""
        since, count = self._failures.get(counted(address), (0.0, 0))
        left = since + WINDOW_SECONDS - self._clock.monotonic()
        return math.ceil(left) if count >= MAX_FAILURES and left > 0 else 0

    def failed(self, address: str) -> None:
        """One more wrong key from there."""
        now, place = self._clock.monotonic(), counted(address)
        since, count = self._failures.pop(place, (now, 0))
        if since + WINDOW_SECONDS <= now:
            since, count = now, 0
        self._failures[place] = since, count + 1
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """A good key: the count begins anew."""
        self._failures.pop(counted(address), None)


def counted(address: str) -> str:
    """What an address counts as: itself, of IPv6 its network."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, PREFIX), strict=False))
        found = found.ipv4_mapped  # as a socket of both families has it: else all of IPv4 were one network
    return str(found)
