"""Notifications APNs keeps for a device that cannot have them now (LIFE-6, LIFE-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from .deliverylog import Delivery
from .lockscreen import Arrival
from .tables import StoreBy

if TYPE_CHECKING:
    from .device import DeviceToken

LONGEST = 30 * 86_400
"""Seconds a notification is kept at most, and when no ``apns-expiration`` says less."""


class Stored(msgspec.Struct, frozen=True):
    """One notification that waits. ``until``: seconds since the epoch; ``token`` None: it came by a channel."""

    arrival: Arrival
    token: DeviceToken | None
    delivery: Delivery
    until: float


class Store:
    """What waits for one device, in the order in which it came: one for each app, the newest (LIFE-6)."""

    __slots__ = ("_items", "looks_at")

    def __init__(self) -> None:
        self._items: dict[tuple[str | bytes, ...], Stored] = {}
        self.looks_at: float | None = None

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<Store waiting={len(self)}>"

    def put(self, stored: Stored, by: StoreBy) -> Stored | None:
        """Keep it; what it takes the place of comes back."""
        key = _key(stored, by)
        replaced = self._items.pop(key, None)
        self._items[key] = stored
        return replaced

    def items(self) -> list[Stored]:
        """Oldest first."""
        return list(self._items.values())

    def drop(self, gone: list[Stored]) -> None:
        """Forget these."""
        ids = {id(each) for each in gone}
        self._items = {key: each for key, each in self._items.items() if id(each) not in ids}

    def next_end(self) -> float | None:
        """When the first of them expires."""
        return min((each.until for each in self._items.values()), default=None)


def keep_until(arrival: Arrival) -> float:
    """Until when it may be stored, seconds since the epoch: ``apns-expiration``, at most 30 days; 0: not at all."""
    longest = arrival.received_at + LONGEST
    return longest if arrival.expiration is None else min(float(int(arrival.expiration)), longest)


def _key(stored: Stored, by: StoreBy) -> tuple[str | bytes, ...]:
    arrival, token = stored.arrival, stored.token
    if token is None or arrival.channel is not None:
        return ("channel", arrival.channel or b"", arrival.topic)
    if by == "topic":
        return ("topic", arrival.topic)
    if by == "collapse-id":
        return ("app", token.app.bundle_id, arrival.collapse_id or b"")
    return ("app", token.app.bundle_id)
