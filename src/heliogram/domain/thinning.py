"""Which records of a chunk say nothing any more: a device that is tried for days leaves one with each attempt."""

from __future__ import annotations

from collections.abc import Sequence

from .endings import Endings
from .notifications import DeliveryRecord, Outcome

BAD_DEVICE_TOKEN = "BadDeviceToken"  # noqa: S105 - APNs' word for a token of the other environment, or of none (LIFE-4)

Place = tuple[int, int]


def thinned(parts: Sequence[Sequence[DeliveryRecord]], told: int) -> list[list[DeliveryRecord]]:
    """Each part without what later parts superseded; the result says, and is retried, as before.

    What stays: the last record of each device; every attempt without an answer, for they are counted; and that a token
    was not of an environment. A recipient that ended with a part after the first `told` keeps all it has: that is still
    to be told, with what was known then.
    """
    last: dict[Place, DeliveryRecord] = {}
    endings = Endings()
    untold: set[int] = set()
    for number, part in enumerate(parts):
        ended = endings.take(part)
        if number >= told:
            untold.update(each.sequence for each in ended)
        for record in part:
            place = record.sequence, record.slot
            known = last.get(place)
            if known is None or record.attempt >= known.attempt:
                last[place] = record
    return [
        [
            record
            for record in part
            if last[record.sequence, record.slot] is record or _counts(record) or record.sequence in untold
        ]
        for part in parts
    ]


def _counts(record: DeliveryRecord) -> bool:
    """Whether a record matters to what is tried next, whatever came after it."""
    return record.outcome is Outcome.UNKNOWN or (record.reason == BAD_DEVICE_TOKEN and not record.final)
