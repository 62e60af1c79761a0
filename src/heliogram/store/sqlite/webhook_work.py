"""What webhooks are still to be told, and what became of the telling."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import apsw
import structlog

from ...domain.endings import Ending, Endings
from ...domain.ids import notification_id
from ...domain.notifications import Recipient, SendSpec
from ...domain.packing import Unpackable, unpack_recipients, unpack_records
from ...domain.webhooks import DOWN_AFTER, MAX_DEAD, OF_NOTIFICATIONS, Event, subject_of
from ...ports import Batch, Ended, Failure, Feed, Place, WebhookWork
from . import statements
from .base import OFFLOAD_BYTES, Base, offload
from .packed import open_spec
from .webhooks import one, open_webhook

log = structlog.get_logger(__name__)
_sql = statements.load("webhooks")

EVENTS_AT_ONCE = 200
PARTS_AT_ONCE = 16
_NEVER = 2**62


class _Chunk(NamedTuple):
    """A chunk with parts that are to be told, still packed: all its parts up to the last of them."""

    operation: bytes
    first: int
    recipients: bytes
    spec: bytes
    tags: str | None
    parts: list[tuple[int, bytes]]


class _Ending(NamedTuple):
    """A recipient that ended, and in which chunk."""

    chunk: _Chunk
    recipient: Recipient
    ending: Ending


class _Events(NamedTuple):
    """Rows of events, whether there are more, and the place after them."""

    rows: list[Any]
    more: bool
    last: int


class _Parts(NamedTuple):
    """The same of result parts: their numbers, and the chunks they are of."""

    chunks: list[_Chunk]
    sequences: list[int]
    more: bool
    last: int


class _Read(NamedTuple):
    """What one snapshot holds after a place."""

    events: _Events
    parts: _Parts


def _read_events(connection: apsw.Connection, account: bytes, after: int, wanted: bool) -> _Events:
    values = {"account": account, "after": after, "limit": EVENTS_AT_ONCE + 1}
    if not wanted:
        last: Any = connection.execute(_sql.last_event, {"account": account, "after": after}).get
        return _Events([], False, last or after)
    rows: list[Any] = connection.execute(_sql.events_after, values).fetchall()
    kept = rows[:EVENTS_AT_ONCE]
    return _Events(kept, len(rows) > len(kept), kept[-1][0] if kept else after)


def _read_parts(connection: apsw.Connection, account: bytes, after: int, wanted: bool) -> _Parts:
    values: dict[str, Any] = {"account": account, "after": after, "limit": PARTS_AT_ONCE + 1}
    if not wanted:
        last: Any = connection.execute(_sql.last_part, {"account": account, "after": after}).get
        return _Parts([], [], False, last or after)
    rows: list[Any] = connection.execute(_sql.parts_after, values).fetchall()
    kept = rows[:PARTS_AT_ONCE]
    newest: dict[tuple[bytes, int], int] = {}
    for _, operation, first, part in kept:
        newest[operation, first] = part
    chunks = [_read_chunk(connection, account, *chunk, part) for chunk, part in newest.items()]
    sequences = [row[0] for row in kept]
    last_read = sequences[-1] if sequences else after
    return _Parts([chunk for chunk in chunks if chunk is not None], sequences, len(rows) > len(kept), last_read)


def _read_chunk(connection: apsw.Connection, account: bytes, operation: bytes, first: int, part: int) -> _Chunk | None:
    """None when it, or the first of its parts, was removed in the meantime: what had ended cannot be told any more."""
    where = {"account": account, "operation": operation, "first": first, "part": part}
    told = one(connection, _sql.chunk_told, where)
    if told is None:
        return None
    parts: list[Any] = connection.execute(_sql.parts_up_to, where).fetchall()
    if len(parts) != part:
        return None
    return _Chunk(operation, first, told[0], told[1], told[2], parts)


def _endings(chunk: _Chunk) -> dict[int, list[_Ending]]:
    """Who ended with each part of a chunk."""
    recipients, endings = unpack_recipients(chunk.recipients), Endings()
    found = {}
    for sequence, packed in chunk.parts:
        ended = endings.take(unpack_records(packed))
        found[sequence] = [_Ending(chunk, recipients[each.sequence - chunk.first], each) for each in ended]
    return found


def _ended(read: _Read, after: Place) -> list[Ended]:
    """The notifications that ended with the unread parts and were not told, in the order of the parts."""
    by_part: dict[int, list[_Ending]] = {}
    specs: dict[bytes, tuple[SendSpec, str | None]] = {}
    for chunk in read.parts.chunks:
        try:
            specs[chunk.operation] = open_spec(chunk.spec), chunk.tags
            by_part |= _endings(chunk)
        except Unpackable as error:  # what is damaged can be told to nobody; it must not keep the rest waiting
            log.error(
                "webhook.chunk_unreadable", chunk=notification_id(chunk.operation, chunk.first).hex(), error=str(error)
            )
    told, before, skip = [], after.result, after.offset
    for sequence in read.parts.sequences:
        part = by_part.get(sequence, [])
        for number, (chunk, recipient, ending) in enumerate(part, 1):
            if number <= skip:
                continue
            spec, tags = specs[chunk.operation]
            whole = number == len(part)
            told.append(
                Ended(
                    result=sequence if whole else before,
                    offset=0 if whole else number,
                    operation_id=chunk.operation,
                    app_name=spec.app_name,
                    tags=None if tags is None else json.loads(tags),
                    recipient=recipient,
                    ending=ending,
                )
            )
        before, skip = sequence, 0
    return told


def _open_event(row: Any) -> tuple[int, Event]:
    sequence, ident, type_, at, data = row
    content = json.loads(data)
    return sequence, Event(id=ident, type=type_, at=at, subject=subject_of(content), data=content)


def _feed(read: _Read, after: Place) -> Feed:
    return Feed(
        events=tuple(_open_event(row) for row in read.events.rows),
        ended=tuple(_ended(read, after)),
        to=Place(event=read.events.last, result=read.parts.last),
        more_events=read.events.more,
        more_ended=read.parts.more,
    )


def _work(row: Any) -> WebhookWork:
    webhook = open_webhook(row[:13])
    sealed, event, result, offset, failures, held_until, kept, due, new_events, new_parts = row[13:]
    return WebhookWork(
        webhook=webhook,
        sealed=sealed,
        place=Place(event=event, result=result, offset=offset),
        failures=failures,
        held_until=held_until,
        kept=kept,
        due=due,
        news=bool(new_events or (new_parts and webhook.wanted & OF_NOTIFICATIONS)),
    )


def _move(connection: apsw.Connection, where: dict[str, Any], before: Place, to: Place, skipped: int) -> bool:
    values = {
        **where,
        "event": to.event,
        "result": to.result,
        "offset": to.offset,
        "was_event": before.event,
        "was_result": before.result,
        "was_offset": before.offset,
        "skipped": skipped,
    }
    connection.execute(_sql.move_on, values)
    return connection.changes() > 0


def _refused(connection: apsw.Connection, where: dict[str, Any], failure: Failure) -> None:
    values = {**where, "at": failure.at, "error": failure.error, "held_until": failure.held_until}
    connection.execute(_sql.failed, values)
    if failure.due is None:
        bound_dead(connection, where)


def _taken(connection: apsw.Connection, where: dict[str, Any], at: int, down: int) -> None:
    row = one(connection, _sql.failures_of, where)
    connection.execute(_sql.succeeded, {**where, "at": at})
    if row is not None and row[0] >= down:
        connection.execute(_sql.all_due, {**where, "at": at})


def bound_dead(connection: apsw.Connection, where: dict[str, Any]) -> None:
    """Keeps the dead letters of a webhook within their bound; what goes is counted."""
    rows: list[Any] = connection.execute(_sql.dead_past, {**where, "most": MAX_DEAD}).fetchall()
    drop(connection, where, rows)


def drop(connection: apsw.Connection, where: dict[str, Any], batches: list[Any]) -> None:
    """Removes batches (id, events) that were never taken, and counts their events."""
    for batch, events in batches:
        connection.execute(_sql.delete_batch, {**where, "batch": batch})
        connection.execute(_sql.count_skipped, {**where, "skipped": events})


class WebhookTelling(Base):
    """The pump's half of `ports.WebhookStore`."""

    async def webhook_work(self) -> list[WebhookWork]:
        """The active webhooks of all accounts that have something to be told, or something to be tried again."""
        rows: list[Any] = await self._read(lambda c: c.execute(_sql.work).fetchall())
        found = [_work(row) for row in rows]
        return [work for work in found if work.news or work.kept]

    async def webhook_work_of(self, account: bytes, webhook_id: bytes) -> WebhookWork | None:
        """How one active webhook stands; None when it is gone or not active."""
        where = {"account": account, "webhook": webhook_id}
        row = await self._read(lambda c: one(c, _sql.work_of, where))
        return None if row is None else _work(row)

    async def webhook_feed(self, account: bytes, after: Place, *, events: bool, results: bool) -> Feed:
        """What comes after a place, at most 200 events and 16 result parts."""

        def job(connection: apsw.Connection) -> _Read:
            return _Read(
                _read_events(connection, account, after.event, events),
                _read_parts(connection, account, after.result, results),
            )

        read = await self._list(job)
        size = sum(len(packed) for chunk in read.parts.chunks for _, packed in chunk.parts)
        return await offload(size >= OFFLOAD_BYTES, _feed, read, after)

    async def due_batch(self, account: bytes, webhook_id: bytes, now: int | None) -> Batch | None:
        """The batch that is longest due; without `now` the one that falls due first."""
        values = {"account": account, "webhook": webhook_id, "now": _NEVER if now is None else now}
        row = await self._read(lambda c: one(c, _sql.first_due, values))
        if row is None:
            return None
        ident, body, events, created, attempts = row
        return Batch(id=ident, body=body, events=events, created=created, attempts=attempts)

    async def batch_taken(
        self, account: bytes, webhook_id: bytes, before: Place, to: Place, *, at: int | None, skipped: int = 0
    ) -> bool:
        """Moves a webhook's place on. False when it was not `before` any more."""
        where = {"account": account, "webhook": webhook_id}

        def job(connection: apsw.Connection) -> bool:
            moved = _move(connection, where, before, to, skipped)
            if moved and at is not None:
                _taken(connection, where, at, DOWN_AFTER)
            return moved

        return await self._write(job)

    async def batch_refused(
        self,
        account: bytes,
        webhook_id: bytes,
        before: Place,
        to: Place,
        batch: Batch,
        failure: Failure,
        *,
        skipped: int = 0,
    ) -> bool:
        """Moves a webhook's place on past a batch that is kept. False when its place was not `before` any more."""
        where = {"account": account, "webhook": webhook_id}
        values = {
            **where,
            "batch": batch.id,
            "body": batch.body,
            "events": batch.events,
            "attempts": batch.attempts + 1,
            "due": failure.due,
            "error": failure.error,
            "created": batch.created,
            "at": failure.at,
        }

        def job(connection: apsw.Connection) -> bool:
            moved = _move(connection, where, before, to, skipped)
            if moved:
                connection.execute(_sql.insert_batch, values)
                _refused(connection, where, failure)
            return moved

        return await self._write(job)

    async def kept_batch_taken(self, account: bytes, webhook_id: bytes, batch_id: bytes, at: int) -> None:
        """A kept batch was taken: it goes, and if the receiver was down, the others are due now."""
        where = {"account": account, "webhook": webhook_id}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.delete_batch, {**where, "batch": batch_id})
            _taken(connection, where, at, DOWN_AFTER)

        await self._write(job)

    async def kept_batch_refused(self, account: bytes, webhook_id: bytes, batch_id: bytes, failure: Failure) -> None:
        """A kept batch was not taken again."""
        where = {"account": account, "webhook": webhook_id}
        values = {**where, "batch": batch_id, "due": failure.due, "error": failure.error, "at": failure.at}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.put_off, values)
            _refused(connection, where, failure)

        await self._write(job)

    async def webhook_reached(self, account: bytes, webhook_id: bytes, at: int) -> None:
        """The receiver took something outside of its turn: what was held back is due now."""
        where = {"account": account, "webhook": webhook_id}
        await self._write(lambda c: _taken(c, where, at, DOWN_AFTER))

    async def disable_webhook(self, account: bytes, webhook_id: bytes, reason: str, at: int) -> None:
        """The receiver wants no more: what waited becomes dead letters."""
        where = {"account": account, "webhook": webhook_id}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.disable, {**where, "reason": reason, "at": at})
            connection.execute(_sql.all_dead, {**where, "at": at})
            bound_dead(connection, where)

        await self._write(job)
