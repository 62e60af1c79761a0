"""Ids for pushes that were given none."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

_COUNTED_BITS = 48
_TAIL_BITS = 12
_TAILS = tuple(b"%03x" % tail for tail in range(1 << _TAIL_BITS))


class IdSource:
    """Makes `apns-id`s: 80 random bits, drawn once, and 48 that count.

    APNs takes ids without RFC 4122 version bits (REQ-1), and counting costs a tenth of what drawing each does.
    """

    __slots__ = ("_random", "next")

    next: Callable[[], bytes]
    """The next id, in the 8-4-4-4-12 form."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self.next = self._ids().__next__

    def __repr__(self) -> str:
        return "<IdSource>"

    def _ids(self) -> Iterator[bytes]:
        while True:
            text = b"%020x" % self._random.getrandbits(80)
            prefix = b"%b-%b-%b-%b-" % (text[:8], text[8:12], text[12:16], text[16:])
            first = self._random.getrandbits(_COUNTED_BITS - 1)
            tail = first & ((1 << _TAIL_BITS) - 1)
            for high in range(first >> _TAIL_BITS, 1 << (_COUNTED_BITS - _TAIL_BITS)):
                start = prefix + b"%09x" % high
                for end in _TAILS[tail:]:
                    yield start + end
                tail = 0
