"""Stopping what has not left. A chunk that no worker holds is ended here; of one that is held, its worker is asked to
stop, and the rest is ended when it lets go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from ...domain.canceling import Part, cancel_rest, end, waits
from ...domain.ids import split_notification_id
from ...domain.notifications import DeliveryRecord, NotificationStatus, has_ended, latest, status_of
from ...domain.operations import OperationStatus
from ...domain.packing import pack_records, unpack_recipients, unpack_records
from ...domain.webhooks import EventType
from ...ports import Cancellation, Lease
from . import statements
from .base import Base
from .events import emit_operation

_sql = statements.load("canceling")

Where = dict[str, Any]
"""`account`, `operation` and, of a chunk, `first`; `at` (ms) is when."""


def end_rest(connection: apsw.Connection, where: Where) -> None:
    """Cancels whoever has not ended of a chunk, and ends the chunk."""
    (size,) = connection.execute(_sql.chunk_size, where).fetchone()  # type: ignore[misc] # the caller has seen it
    parts: Any = connection.execute(_sql.parts_with_attempts, where).fetchall()
    records = [record for _, packed in parts for record in unpack_records(packed)]
    ending, recipients = cancel_rest(where["first"], size, records, where["at"])
    _append(connection, where, ending, recipients)
    connection.execute(_sql.end_chunk, where)


def end_operation(connection: apsw.Connection, where: Where) -> None:
    """Ends the operation if this was its last chunk, and says so."""
    for (status,) in connection.execute(_sql.end_operation, where).fetchall():
        done = status == OperationStatus.COMPLETED
        type_ = EventType.OPERATION_COMPLETED if done else EventType.OPERATION_CANCELED
        emit_operation(connection, where["account"], type_, where["operation"], where["at"])


def _append(connection: apsw.Connection, where: Where, records: Sequence[DeliveryRecord], canceled: int) -> None:
    if not records:
        return
    ((part, attempt),) = connection.execute(_sql.count_canceled, {**where, "canceled": canceled}).fetchall()
    values = {**where, "part": part, "attempt": attempt, "packed": pack_records(records)}
    connection.execute(_sql.insert_part, values)


def cancel_all(connection: apsw.Connection, where: Where) -> Cancellation:
    row: Any = connection.execute(_sql.operation_to_cancel, where).fetchone()
    if row is None:
        return Cancellation.UNKNOWN
    status, canceled = row
    if canceled is None and status == OperationStatus.CANCELED:
        return Cancellation.ALREADY
    if canceled is None and status == OperationStatus.COMPLETED:
        return Cancellation.TOO_LATE
    if canceled is None:
        connection.execute(_sql.ask_to_stop, where)
    # Asked again there may be some, too: what a worker held that is no more.
    for (first,) in connection.execute(_sql.waiting_chunks, where).fetchall():
        end_rest(connection, {**where, "first": first})
    end_operation(connection, where)
    return Cancellation.DONE if canceled is None else Cancellation.ALREADY


class _Chunk(msgspec.Struct):
    """The chunk of one recipient, as far as cancelling needs it."""

    first: int
    size: int
    state: int
    attempt: int
    claimed: int
    recipients: bytes
    status: str
    canceled: int | None


def cancel_one(connection: apsw.Connection, where: Where) -> Cancellation:
    sequence = where["sequence"]
    row: Any = connection.execute(_sql.chunk_to_cancel, where).fetchone()
    if row is None or sequence >= row[0] + row[1]:
        return Cancellation.UNKNOWN
    chunk = _Chunk(*row)
    where = {**where, "first": chunk.first}
    parts: Any = connection.execute(_sql.parts_with_attempts, where).fetchall()
    every = [Part(attempt, unpack_records(packed)) for attempt, packed in parts]
    own = [Part(attempt, [r for r in records if r.sequence == sequence]) for attempt, records in every]
    known = latest([record for part in own for record in part.records])
    status, _ = status_of(known)
    if status is NotificationStatus.CANCELED:
        return Cancellation.ALREADY
    if status is not NotificationStatus.QUEUED or chunk.state == 2 or not _has_not_left(chunk, own, sequence):
        return Cancellation.TOO_LATE
    ending = end(sequence, known, where["at"])
    _append(connection, where, ending, 1)
    if chunk.state == 0 and _all_ended(chunk, [*every, Part(chunk.attempt, ending)]):
        connection.execute(_sql.end_chunk, where)
        end_operation(connection, where)
    return Cancellation.DONE


def _has_not_left(chunk: _Chunk, own: Sequence[Part], sequence: int) -> bool:
    if chunk.state == 0:
        return True
    user = bool(unpack_recipients(chunk.recipients)[sequence - chunk.first].user)
    return waits(own, attempt=chunk.attempt, claimed=chunk.claimed, user=user)


def _all_ended(chunk: _Chunk, parts: Sequence[Part]) -> bool:
    known: dict[int, list[DeliveryRecord]] = {}
    for part in parts:
        for record in part.records:
            known.setdefault(record.sequence, []).append(record)
    return len(known) == chunk.size and all(has_ended(latest(records)) for records in known.values())


class Canceling(Base):
    """`ports.CancelStore`."""

    async def cancel_operation(self, account: bytes, operation_id: bytes, at: int) -> Cancellation:
        """Stops whatever of an operation has not left; `at` in ms."""
        where = {"account": account, "operation": operation_id, "at": at}
        return await self._write(lambda c: cancel_all(c, where))

    async def cancel_notification(self, account: bytes, notification_id: bytes, at: int) -> Cancellation:
        """Stops one notification that has not left; the id may carry any slot, `at` is in ms."""
        operation, sequence, _ = split_notification_id(notification_id)
        where = {"account": account, "operation": operation, "sequence": sequence, "at": at}
        return await self._write(lambda c: cancel_one(c, where))

    async def canceled_of(self, chunks: Sequence[Lease]) -> set[bytes]:
        """The ids of those operations of leased chunks that were asked to stop."""
        pairs = sorted({(chunk.account_id.hex(), chunk.operation_id.hex()) for chunk in chunks})
        wanted = msgspec.json.encode(pairs).decode()
        found: Any = await self._read(lambda c: c.execute(_sql.canceled_operations, {"wanted": wanted}).fetchall())
        return {ident for (ident,) in found}
