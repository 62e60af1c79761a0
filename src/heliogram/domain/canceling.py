"""Cancelling: which recipients of a chunk have not left, and the records that end them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from .notifications import DeliveryRecord, NotificationStatus, Outcome, has_ended, latest, status_of


class Part(NamedTuple):
    """A result part as it was written: by which attempt at the chunk, and its records."""

    attempt: int
    records: list[DeliveryRecord]


class Canceled(NamedTuple):
    """The records that end recipients, and how many of these count as canceled: one that was sent to one device and
    waits for another stays sent."""

    records: list[DeliveryRecord]
    recipients: int


def cancel_rest(first: int, size: int, records: Iterable[DeliveryRecord], at: int) -> Canceled:
    """Ends every recipient of a chunk that has not ended; `records` are all that were written of it."""
    known = by_sequence(records)
    ending: list[DeliveryRecord] = []
    recipients = 0
    for sequence in range(first, first + size):
        so_far = latest(known.get(sequence, []))
        if has_ended(so_far):
            continue
        recipients += status_of(so_far)[0] is NotificationStatus.QUEUED
        ending += end(sequence, so_far, at)
    return Canceled(ending, recipients)


def end(sequence: int, known: Sequence[DeliveryRecord], at: int) -> list[DeliveryRecord]:
    """The records that end a recipient now: one for each device that waits for another attempt, saying still why it
    had to; one without a device when none waits. `known` is the latest record of each device."""
    waiting = [record for record in known if not record.final]
    if not waiting:
        return [DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.CANCELED, final=True, at=at)]
    return [
        msgspec.structs.replace(
            record, outcome=Outcome.CANCELED, final=True, at=at, retry_at=None, of=len(known), unique_id=""
        )
        for record in waiting
    ]


def waits(parts: Sequence[Part], *, attempt: int, claimed: int, user: bool) -> bool:
    """Whether a recipient of a chunk that a worker holds waits for a later attempt, so that nothing of it is or will be
    sent while the chunk is held.

    `parts` are this recipient's own records. The worker's attempt was claimed at `claimed` (ms); it sends what was due
    then. What it has recorded itself it will not send again, unless at once. A user may have got devices since the
    attempt before, so for one the worker must have recorded all it found.
    """
    newest = latest([record for part in parts for record in part.records])
    own = [record for part in parts if part.attempt == attempt for record in part.records]
    if not newest or has_ended(newest):
        return False
    # One that is to be tried again with no wait at all goes on within the same attempt.
    done_with = {record.slot for record in latest(own) if record.final or (record.retry_at or 0) > record.at}
    if user and (not own or len(newest) < max(own, key=lambda record: record.at).of):
        return False
    return all(record.final or record.slot in done_with or _is_later(record, claimed) for record in newest)


def _is_later(record: DeliveryRecord, claimed: int) -> bool:
    """Whether an attempt that began then leaves it alone. One that waits for its credential goes on when that works."""
    return not record.held and record.waits(claimed)


def by_sequence(records: Iterable[DeliveryRecord]) -> dict[int, list[DeliveryRecord]]:
    """Records by recipient, in their order."""
    found: defaultdict[int, list[DeliveryRecord]] = defaultdict(list)
    for record in records:
        found[record.sequence].append(record)
    return found
