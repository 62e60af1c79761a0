"""When a notification has ended: told once, however many parts its result comes in."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .notifications import DeliveryRecord, NotificationStatus, latest, status_of


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How one recipient of an operation ended, and what was known of its devices just then. `at` is in ms."""

    sequence: int
    status: NotificationStatus
    unaddressable: bool
    deliveries: tuple[DeliveryRecord, ...]
    at: int


class Endings:
    """Reads the result parts of one chunk in order and says which recipients ended with each.

    A recipient ends with the part after which it is first SENT (one device accepted it), FAILED or CANCELED. What
    comes later changes that no more: the chunk's counters are counted by the same rule.
    """

    def __init__(self) -> None:
        self._records: dict[int, list[DeliveryRecord]] = {}
        self._ended: set[int] = set()

    def __repr__(self) -> str:
        return f"Endings(recipients={len(self._records)}, ended={len(self._ended)})"

    def take(self, part: Iterable[DeliveryRecord]) -> list[Ending]:
        """The recipients that ended with this part, in the order of the part's records."""
        touched: dict[int, None] = {}
        for record in part:
            if record.sequence not in self._ended:
                self._records.setdefault(record.sequence, []).append(record)
                touched[record.sequence] = None
        return [ending for sequence in touched if (ending := self._end(sequence)) is not None]

    def _end(self, sequence: int) -> Ending | None:
        known = latest(self._records[sequence])
        status, unaddressable = status_of(known)
        if status is NotificationStatus.QUEUED:
            return None
        self._ended.add(sequence)
        del self._records[sequence]
        return Ending(
            sequence=sequence,
            status=status,
            unaddressable=unaddressable,
            deliveries=tuple(known),
            at=max(record.at for record in known),
        )
