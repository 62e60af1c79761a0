"""Failed sign-ins, counted for each address."""

from __future__ import annotations

import math
from collections import OrderedDict

from ..ports import Clock

MAX_FAILURES = 10
WINDOW_SECONDS = 300.0
MAX_ADDRESSES = 10_000


class SignInThrottle:
    """After ten failures an address waits until five minutes have passed since the first of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __repr__(self) -> str:
        return f"SignInThrottle(addresses={len(self._failures)})"

    def wait(self, address: str) -> int:
        """Seconds until the address may try again; 0 when it may now."""
        since, count = self._failures.get(address, (0.0, 0))
        left = since + WINDOW_SECONDS - self._clock.monotonic()
        return math.ceil(left) if count >= MAX_FAILURES and left > 0 else 0

    def failed(self, address: str) -> None:
        """One more wrong key from there."""
        now = self._clock.monotonic()
        since, count = self._failures.pop(address, (now, 0))
        if since + WINDOW_SECONDS <= now:
            since, count = now, 0
        self._failures[address] = since, count + 1
        while len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """A good key: the count begins anew."""
        self._failures.pop(address, None)
