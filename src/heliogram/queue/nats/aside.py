"""References that came, and have no slot here because their account or queue has all it may have.

What hangs leaves slots to others, who are to go past thousands that wait: nothing here looks at each of them but where
all go.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from ...ports import ChunkRef
from ...ports.work import ACCOUNT_BYTES


class Delivered(NamedTuple):
    """A reference that came, what to answer to, and when (s)."""

    ref: ChunkRef
    reply: str
    at: float


IsShort = Callable[[Delivered], bytes | None]
"""The account or queue that has all it may have, None when there is a slot for it."""


class Aside:
    """Those that were put aside, by the account or queue for whose want of a slot it was, and by their queues."""

    def __init__(self) -> None:
        self._all: OrderedDict[str, tuple[Delivered, bytes]] = OrderedDict()  # by what is answered to, the first first
        self._short: dict[bytes, dict[bytes, deque[Delivered]]] = {}

    def __repr__(self) -> str:
        return f"Aside({len(self)}, short={len(self._short)})"

    def __len__(self) -> int:
        return len(self._all)

    def add(self, message: Delivered, short: bytes) -> None:
        """Puts one aside, for which this account or queue has no slot."""
        self._all[message.reply] = message, short
        self._short.setdefault(short, {}).setdefault(message.ref.flow, deque()).append(message)

    def oldest(self) -> Delivered | None:
        """The one that was put aside first."""
        return next((message for message, _ in self._all.values()), None)

    def pop(self) -> tuple[Delivered, bytes]:
        """Takes it out; with what was short. Raises `StopIteration` when there is none."""
        found = next(iter(self._all.values()))
        self._remove(*found)
        return found

    def take(self, is_short: IsShort) -> Delivered | None:
        """Takes out the first that may have a slot now."""
        able = [found for short, flows in self._short.items() if (found := _first(short, flows, is_short)) is not None]
        if not able:
            return None
        message = min(able, key=lambda each: each.at)
        self._remove(*self._all[message.reply])
        return message

    def has(self, *names: bytes) -> bool:
        """Whether any waits for a slot of these accounts or queues."""
        return any(name in self._short for name in names)

    def clear(self) -> list[Delivered]:
        """Takes out all."""
        found = [message for message, _ in self._all.values()]
        self._all.clear()
        self._short.clear()
        return found

    def _remove(self, message: Delivered, short: bytes) -> None:
        """The first of its queue."""
        del self._all[message.reply]
        flows = self._short[short]
        flows[message.ref.flow].popleft()
        if not flows[message.ref.flow]:
            del flows[message.ref.flow]
        if not flows:
            del self._short[short]


def _first(short: bytes, flows: dict[bytes, deque[Delivered]], is_short: IsShort) -> Delivered | None:
    """The first of those that `short` had no slot for, and that may have one now."""
    found: Delivered | None = None
    for waiting in flows.values():
        name = is_short(waiting[0])
        if name is None:
            if found is None or waiting[0].at < found.at:
                found = waiting[0]
        elif name == short and len(short) == ACCOUNT_BYTES:
            return None  # nobody of the account has one
    return found
