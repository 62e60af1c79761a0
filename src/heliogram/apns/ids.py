"""Ids for pushes that were given none."""

from __future__ import annotations

import random

_COUNTED_BITS = 48


class IdSource:
    """Makes `apns-id`s: 80 random bits, drawn once, and 48 that count.

    APNs takes ids without RFC 4122 version bits (REQ-1), and counting costs a quarter of what drawing each does.
    """

    __slots__ = ("_count", "_prefix", "_random")

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._draw()

    def __repr__(self) -> str:
        return f"<IdSource {self._prefix.decode()}…>"

    def _draw(self) -> None:
        text = b"%020x" % self._random.getrandbits(80)
        self._prefix = b"%b-%b-%b-%b-" % (text[:8], text[8:12], text[12:16], text[16:])
        self._count = self._random.getrandbits(_COUNTED_BITS - 1)

    def next(self) -> bytes:
        """The next id, in the 8-4-4-4-12 form."""
        count = self._count = self._count + 1
        if count >> _COUNTED_BITS:
            self._draw()
            return self.next()
        return self._prefix + b"%012x" % count
