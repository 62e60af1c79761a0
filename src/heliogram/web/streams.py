"""How many figures may go on by themselves at once, and whose."""

from __future__ import annotations

from collections import OrderedDict

MAX_STREAMS = 100
"""Open streams of one node; a browser that finds no place asks again."""


class Seat:
    """The place of one stream. `taken`: it is another's now, and the stream ends at its next picture."""

    __slots__ = ("account", "taken")

    def __init__(self, account: str) -> None:
        self.account = account
        self.taken = False

    def __repr__(self) -> str:
        return f"Seat(taken={self.taken})"


class Streams:
    """Who has a place. One account may have all while nobody else wants one; when none is left, an account gets the
    oldest place of the one that has most, until it has as many. So however many streams one opens, another finds a
    place, and the places are shared alike among those who want them."""

    def __init__(self, most: int = MAX_STREAMS) -> None:
        self._most = most
        self._open = 0
        self._seats: dict[str, OrderedDict[Seat, None]] = {}

    def __repr__(self) -> str:
        return f"Streams(open={self._open}/{self._most}, accounts={len(self._seats)})"

    @property
    def open(self) -> int:
        """How many are."""
        return self._open

    def has_room(self, account: str) -> bool:
        """Whether the account would find a place."""
        return self._open < self._most or self._richest(account) is not None

    def take(self, account: str) -> Seat | None:
        """A place, to be given back; None when there is none."""
        if self._open >= self._most:
            richest = self._richest(account)
            if richest is None:
                return None
            oldest = next(iter(self._seats[richest]))
            oldest.taken = True
            self._remove(oldest)
        seat = Seat(account)
        self._seats.setdefault(account, OrderedDict())[seat] = None
        self._open += 1
        return seat

    def give(self, seat: Seat) -> None:
        """The stream is over."""
        if not seat.taken:
            self._remove(seat)

    def _remove(self, seat: Seat) -> None:
        mine = self._seats[seat.account]
        del mine[seat]
        if not mine:
            del self._seats[seat.account]
        self._open -= 1

    def _richest(self, account: str) -> str | None:
        """Who has most, if that is more than the account would have with one more of its own."""
        name = max(self._seats, key=lambda each: len(self._seats[each]))
        return name if len(self._seats[name]) > len(self._seats.get(account, ())) + 1 else None
