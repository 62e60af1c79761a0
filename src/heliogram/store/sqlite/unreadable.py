"""Chunks that cannot be read any more, because a page of theirs is damaged: put aside, so that the rest of their lane
goes on.

Nobody can be sent to of whom nothing is known: whoever has not ended fails, with `UNREADABLE` as the reason. Where not
even that can be written, the chunk waits.
"""

from __future__ import annotations

from typing import Any

import apsw
import structlog
from msgspec.structs import replace

from ...domain.ids import notification_id
from ...domain.notifications import DeliveryRecord, NotificationStatus, Outcome, latest, status_of
from ...domain.packing import Unpackable, pack_records, unpack_recipients, unpack_records
from . import statements
from .canceling import Where, end_operation
from .packed import open_spec

log = structlog.get_logger(__name__)
_sql = statements.load("unreadable")

UNREADABLE = "Unreadable: the database is damaged, and nobody knows who was to get it: see heliogram check"
LOOKS = 2_000
"""The most due chunks that are looked at for those that cannot be read."""
PUT_OFF_MS = 600_000

Key = tuple[bytes, bytes, int]
"""Account, operation and first sequence of a chunk."""


def due_keys(connection: apsw.Connection, lane: int, shard: int, now: int) -> list[Key]:
    """The chunks that are due, as far as the index tells."""
    values = {"lane": lane, "shard": shard, "now": now, "limit": LOOKS}
    keys: list[Any] = connection.execute(_sql.due_keys, values).fetchall()
    return keys


def read_chunk(connection: apsw.Connection, key: Key) -> None:
    """Reads all that a claim reads of a chunk. Raises `Unpackable`, or what SQLite raises for a damaged page: a job of
    its own for each, for SQLite commits no transaction that has met one."""
    where = _where(key)
    recipients: Any = connection.execute(_sql.recipients, where).get
    operation: Any = connection.execute(_sql.operation, where).fetchone()
    parts: Any = connection.execute(_sql.parts, where).fetchall()
    if recipients is None or operation is None:
        raise Unpackable("rows of the chunk are not there")
    unpack_recipients(recipients)
    open_spec(operation[0])
    for (packed,) in parts:
        unpack_records(packed)


def fail_unreadable(connection: apsw.Connection, *, key: Key, now: int) -> bool:
    """Ends a chunk; False when it has ended already. Its operation ends, if this was the last of it."""
    return _fail(connection, key, now, told=True)


def count_unreadable(connection: apsw.Connection, *, key: Key, now: int) -> bool:
    """As `fail_unreadable`, where what was recorded cannot be read, either: the counters alone tell of it."""
    return _fail(connection, key, now, told=False)


def _fail(connection: apsw.Connection, key: Key, now: int, *, told: bool) -> bool:
    where = {**_where(key), "at": now}
    chunk: Any = connection.execute(_sql.chunk, where).fetchone()
    if chunk is None:
        return False
    size, sent, failed, unaddressable, canceled, parts, attempt = chunk
    rest = size - sent - failed - unaddressable - canceled
    records = _endings(connection, where, size, rest) if told else []
    if records:
        parts += 1
        packed = {"parts": parts, "attempt": attempt, "packed": pack_records(records)}
        connection.execute(_sql.insert_part, {**where, **packed})
    connection.execute(_sql.fail_rest, {**where, "parts": parts})
    connection.execute(_sql.begin_operation, where)
    end_operation(connection, where)
    log.error("chunk.unreadable", chunk=notification_id(key[1], key[2]).hex(), failed=rest)
    return True


def _endings(connection: apsw.Connection, where: Where, size: int, rest: int) -> list[DeliveryRecord]:
    """A last record for each device and each recipient that had not ended; none when what was recorded of them does not
    open, or is not what the counters say: then these alone tell how many failed."""
    known: dict[int, list[DeliveryRecord]] = {}
    rows: Any = connection.execute(_sql.parts, where).fetchall()
    try:
        for (packed,) in rows:
            for record in unpack_records(packed):
                known.setdefault(record.sequence, []).append(record)
    except Unpackable:
        return []
    at, failing, endings = where["at"], 0, list[DeliveryRecord]()
    for sequence in range(where["first"], where["first"] + size):
        records = latest(known.get(sequence, []))
        failing += status_of(records)[0] is NotificationStatus.QUEUED
        endings += [
            replace(record, final=True, at=at, retry_at=None, held=False, reason=UNREADABLE)
            for record in records
            if not record.final
        ]
        if not records:
            endings.append(
                DeliveryRecord(
                    sequence=sequence, slot=0, outcome=Outcome.NOT_SENT, final=True, at=at, reason=UNREADABLE
                )
            )
    return endings if failing == rest else []


def put_off(connection: apsw.Connection, *, key: Key, now: int) -> bool:
    """Lets a chunk wait that cannot even be ended; False when it has ended."""
    connection.execute(_sql.put_off, {**_where(key), "due": now + PUT_OFF_MS})
    if not connection.changes():
        return False
    log.error("chunk.unreadable", chunk=notification_id(key[1], key[2]).hex(), again_in=PUT_OFF_MS // 1000)
    return True


def _where(key: Key) -> Where:
    return dict(zip(("account", "operation", "first"), key, strict=True))
