"""What a chunk, an operation or a registration should say, as what it is made of tells it: jobs for both stores.

Each returns what it put right, and what it could not and why, one line each.
"""

from __future__ import annotations

from typing import Any

import apsw

from ...domain.endings import Endings
from ...domain.operations import OperationStatus, counts_of
from ...domain.packing import Unpackable, unpack_records
from . import statements
from .canceling import end_operation
from .slots import ALL_SLOTS

_sql = statements.load("repair")
_check = statements.load("check")

Mended = tuple[list[str], list[str]]
LEASED, DONE = 1, 2
_OVER = (OperationStatus.COMPLETED, OperationStatus.CANCELED)


def mend_chunk(connection: apsw.Connection, key: tuple[bytes, bytes, int], at: int) -> Mended:
    """Its counters and how many result parts it has, as its results say."""
    where = {"account": key[0], "operation": key[1], "first": key[2]}
    name = f"chunk {key[2]}"
    row: Any = connection.execute(_sql.chunk_now, where).fetchone()
    if row is None:
        return [], []
    size, state, parts, *counters = row
    rows: list[Any] = connection.execute(_check.parts_of, where).fetchall()
    try:
        found = _counted(rows)
    except Unpackable as error:
        return [], [f"{name}: {error}: what became of its recipients cannot be told"]
    if (parts, *counters) == (len(rows), *found):
        return [], []
    reason = _unclear(rows, size, state, parts, counters, found)
    if reason is not None:
        return [], [f"{name}: {reason}"]
    names = ("sent", "failed", "unaddressable", "canceled")
    connection.execute(_sql.set_chunk, {**where, "parts": len(rows), **dict(zip(names, found, strict=True))})
    done = []
    if tuple(counters) != found:
        done.append(f"{name}: its counters ({', '.join(names)}) were {tuple(counters)}, now {found}, as its results")
    if parts != len(rows):
        done.append(f"{name}: it said that it has {parts} result parts, and has {len(rows)}")
    return done, []


def _counted(rows: list[Any]) -> tuple[int, int, int, int]:
    """How recipients ended, as result parts say. Raises `Unpackable`."""
    endings = Endings()
    ended = [ending for _, packed in rows for ending in endings.take(unpack_records(packed))]
    counts = counts_of((ending.status, ending.unaddressable) for ending in ended)
    return counts.sent, counts.failed, counts.unaddressable, counts.canceled


def _unclear(
    rows: list[Any], size: int, state: int, parts: int, counters: list[int], found: tuple[int, ...]
) -> str | None:
    """Why what is right cannot be told from the results."""
    if state == LEASED:
        return "it is being sent, and its worker writes its counters: check again when it has ended"
    missing = sorted(set(range(1, max(part for part, _ in rows) + 1)) - {part for part, _ in rows}) if rows else []
    if missing or (parts > len(rows) and tuple(counters) != found):
        return "a part of its results is lost, and with it what became of some of its recipients"
    if sum(found) > size or (state == DONE and sum(found) != size):
        return f"its results tell of {sum(found)} recipients, and it has {size}"
    return None


def mend_operation(connection: apsw.Connection, key: tuple[bytes, bytes], at: int) -> Mended:
    """How many recipients it has, whether it is over, and since when, as its chunks say."""
    where = {"account": key[0], "operation": key[1]}
    row: Any = connection.execute(_sql.operation_now, where).fetchone()
    if row is None:
        return [], []
    recipients, status, finished, updated = row
    chunks: list[Any] = connection.execute(_sql.chunks_now, where).fetchall()
    expected = 0
    for first, size, *_, has_recipients in chunks:
        if first != expected or not has_recipients:
            return [], ["a chunk or its recipients are lost"]
        expected += size
    if expected < recipients:
        return [], [f"its chunks hold {expected} of {recipients} recipients: what is missing is lost"]
    done = []
    if expected > recipients:
        done.append(f"it said that it has {recipients} recipients, and has {expected}")
    ended = all(state == DONE for _, _, state, *_ in chunks)
    if status in _OVER and not ended:
        return [], [f"it is {status}, and a chunk of it is not done: workers send that; cancel it if they should not"]
    end = finished
    if status not in _OVER and finished is not None:
        end = None
        done.append(f"it is {status}, and is not over")
    elif status in _OVER and finished is None:
        end = max((chunk[4] for chunk in chunks), default=updated)
        done.append("it is over, and had no end")
    if done:
        connection.execute(_sql.set_operation, {**where, "recipients": expected, "status": status, "finished": end})
    if status not in _OVER and ended:
        end_operation(connection, {**where, "at": at})
        done.append(f"it was {status}, and all of it is done: it is over now")
    return done, []


def mend_registration(connection: apsw.Connection, key: tuple[bytes, bytes], at: int) -> Mended:
    """Its free slots, as its devices say; one without devices goes."""
    where = {"account": key[0], "registration": key[1]}
    row: Any = connection.execute(_sql.registration_now, where).fetchone()
    if row is None:
        return [], []
    rows: list[Any] = connection.execute(_sql.slots_taken, where).fetchall()
    taken = {slot for (slot,) in rows}
    if not taken:
        connection.execute(_sql.delete_registration, where)
        return ["it had no device, and was removed"], []
    kept = [slot for slot in dict.fromkeys(row[0]) if slot in ALL_SLOTS and slot not in taken]
    free = bytes([*kept, *(slot for slot in ALL_SLOTS if slot not in taken and slot not in kept)])
    if free == bytes(row[0]):
        return [], []
    connection.execute(_sql.set_free_slots, {**where, "free": free})
    return [f"its free slots were made anew: {len(taken)} are taken, {len(free)} are free"], []
