"""What became of each accepted push: the delivery log of the push console (LIFE-11, LIFE-12)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from .errors import Missing
from .lockscreen import Arrival, stamp

KEPT_SECONDS = 7 * 86_400
"""How long the log can be asked for a push (LIFE-12)."""

RECEIVED = "Received by APNs"
DELIVERED = "Delivered to Device"
DELIVERED_STORED = "Delivered to Device (From Storage)"
STORED_OFFLINE = "Stored \u2013 Device Offline"
STORED_POWER = "Stored \u2013 Power Considerations"
UNREGISTERED = "Discarded \u2013 Token Unregistered"
UNREGISTERED_STORED = "Discarded \u2013 Token Unregistered (From Storage)"
EXPIRED = "Discarded \u2013 Expired"
DISABLED = "Discarded \u2013 Disabled"
DISABLED_STORED = "Discarded \u2013 Disabled (From Storage)"

STATES = (
    RECEIVED,
    DELIVERED,
    DELIVERED_STORED,
    STORED_OFFLINE,
    STORED_POWER,
    UNREGISTERED,
    UNREGISTERED_STORED,
    EXPIRED,
    DISABLED,
    DISABLED_STORED,
)
"""The states of LIFE-11, in the console's words."""


class Delivery(msgspec.Struct, gc=False):
    """One push, for one device: ``state`` as it was accepted, what came ``later``, what ``replaced`` it in storage."""

    arrival: Arrival
    device_id: str
    state: str
    later: tuple[tuple[float, str], ...] = ()
    replaced: Arrival | None = None

    def step(self, state: str, at: float) -> None:
        """Something more has become of it."""
        self.later += ((at, state),)


class DeliveryState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One data point; storing and delivering later are two (LIFE-11)."""

    at: str
    state: str


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A delivery as people read it. ``replaced_by``: the id of the push that took its place in storage (LIFE-6)."""

    unique_id: str | None
    apns_id: str
    device_id: str
    topic: str
    push_type: str | None
    states: list[DeliveryState]
    replaced_by: str | None


class DeliveryLog:
    """The latest ``limit`` pushes of seven days, found by ``apns-unique-id``, or by ``apns-id`` where there is none.

    ``append`` takes a Delivery: the short way for the plain case. Nothing is indexed, so that writing costs little.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._items: deque[Delivery] = deque(maxlen=limit)
        self._clock = clock
        self.append = self._items.append

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"<DeliveryLog kept={len(self)} limit={self._items.maxlen}>"

    def add(self, arrival: Arrival, device_id: str, state: str) -> Delivery:
        """APNs has accepted a push and this has become of it. Broadcasts, having no one device, are not in the log."""
        delivery = Delivery(arrival, device_id, state)
        if arrival.channel is None:
            self._items.append(delivery)
        return delivery

    def find(self, unique_id: str) -> DeliveryRecord:
        """By ``apns-unique-id`` (in the production environment, which has none: ``apns-id``). Raises Missing."""
        wanted = unique_id.encode("utf-8", "replace")
        for known in reversed(self._items):
            if (known.arrival.unique_id or known.arrival.apns_id) == wanted and not self._too_old(known):
                return _readable(known)
        raise Missing(
            f"no push {unique_id} in the delivery log of 7 days; ask with the apns-unique-id of its answer",
            field="uniqueId",
        )

    def of_device(self, device_id: str, limit: int) -> list[DeliveryRecord]:
        """The latest ``limit`` pushes for one device, newest first."""
        found: list[DeliveryRecord] = []
        for known in reversed(self._items):
            if len(found) == limit:
                break
            if known.device_id == device_id and not self._too_old(known):
                found.append(_readable(known))
        return found

    def clear(self) -> None:
        self._items.clear()

    def _too_old(self, known: Delivery) -> bool:
        return known.arrival.received_at < self._clock() - KEPT_SECONDS


def _readable(known: Delivery) -> DeliveryRecord:
    arrival, replaced = known.arrival, known.replaced
    points = [(arrival.received_at, RECEIVED), (arrival.received_at, known.state), *known.later]
    return DeliveryRecord(
        unique_id=_text(arrival.unique_id),
        apns_id=_text(arrival.apns_id) or "",
        device_id=known.device_id,
        topic=_text(arrival.topic) or "",
        push_type=_text(arrival.push_type),
        states=[DeliveryState(at=stamp(at), state=state) for at, state in points],
        replaced_by=None if replaced is None else _text(replaced.unique_id or replaced.apns_id),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
