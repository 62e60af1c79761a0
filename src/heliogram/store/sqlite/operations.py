"""Accepted sends, as callers see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

from ...domain.backlog import QueueBounds
from ...domain.ids import split_notification_id
from ...domain.notifications import Notification
from ...domain.operations import CHUNK_SIZE, Counts, Lane, NewChunk, Operation, OperationStatus, flow_of
from ...domain.webhooks import EventType
from ...ports import Hold, Listed, NotificationFilter, Window
from . import statements
from .base import OFFLOAD_BYTES, Base, cut_window, id_cursor, offload, page_of
from .events import emit_operation
from .listing import Listing
from .packed import (
    PackedOperation,
    StoredChunk,
    open_notifications,
    open_spec,
    open_tags,
    pack_operation,
    pack_tags,
)

_sql = statements.load("operations")

TAG_SCAN = 10_000
"""The most operations that are looked at for one page of those with some tags."""


def _insert(
    connection: apsw.Connection,
    account: bytes,
    operation: Operation,
    packed: PackedOperation,
    shard: int,
    hold: Hold | None,
    step: int,
) -> None:
    lane, created = int(operation.lane), operation.created
    scheduled = operation.status is OperationStatus.SCHEDULED
    flow = flow_of(account, operation.spec)
    connection.execute(
        _sql.insert_operation,
        (
            account,
            operation.id,
            operation.spec.app_name,
            packed.spec,
            lane,
            operation.recipients,
            operation.status.value,
            created,
            operation.updated,
            operation.send_at,
            operation.send_at_text,
            pack_tags(operation.tags),
        ),
    )
    for first, size, recipients, fingerprints in packed.chunks:
        key = (account, operation.id, first)
        starts = scheduled and first == 0
        held = (0, operation.start, 0, "", 0)
        if hold is not None:
            held = (1, hold.until + step, 1, hold.worker, hold.since + step)
        values = (*key, size, lane, shard, *held, operation.updated, flow, starts)
        connection.execute(_sql.insert_chunk, values)
        connection.execute(_sql.insert_recipients, (*key, recipients))
        if fingerprints:
            connection.execute(_sql.insert_fingerprints, (*key, fingerprints))
    type_ = EventType.OPERATION_SCHEDULED if scheduled else EventType.OPERATION_PROCESSING
    emit_operation(connection, account, type_, operation.id, created)


def _operation(row: Any) -> Operation:
    account, ident, spec, lane, recipients, status, created, updated, finished, *more = row
    send_at, send_at_text, tags, canceled, *counts = more
    return Operation(
        account_id=account,
        id=ident,
        spec=open_spec(spec),
        lane=Lane(lane),
        recipients=recipients,
        status=OperationStatus(status),
        created=created,
        updated=updated,
        finished=finished,
        counts=Counts(*counts),
        send_at=send_at,
        send_at_text=send_at_text,
        tags=open_tags(tags),
        canceled=canceled,
    )


def _get(connection: apsw.Connection, account: bytes, operation_id: bytes) -> Any:
    return connection.execute(_sql.get_operation, {"account": account, "operation": operation_id}).fetchone()


def _with_tags(
    connection: apsw.Connection, values: dict[str, Any], window: Window, tags: dict[str, str]
) -> Listed[Operation]:
    sql = _sql.list_operations_of_status if "status" in values else _sql.list_operations
    found: list[Operation] = []
    looked_at = 0
    last: bytes | None = None
    rows: Any = connection.execute(sql, {**values, "limit": TAG_SCAN + 1})
    for ident, packed in rows:
        if len(found) == window.limit or looked_at == TAG_SCAN:
            return Listed(items=tuple(found), next=last)
        looked_at, last = looked_at + 1, ident
        if packed is not None and tags.items() <= (open_tags(packed) or {}).items():
            found.append(_operation(_get(connection, values["account"], ident)))
    return Listed(items=tuple(found))


class Operations(Base):
    """`ports.OperationStore`."""

    async def accept(
        self,
        account: bytes,
        operation: Operation,
        chunks: Sequence[NewChunk],
        *,
        shard: int = 0,
        bounds: QueueBounds | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Makes an operation and its chunks durable: when this returns, they are on disk.

        Raises `ValueError` when the chunks are not the operation's or may not be held, `QueueFull` when it would pass
        `bounds`, `StoreError` when they could not be written.
        """
        if hold is not None and (len(chunks) != 1 or operation.status is not OperationStatus.PROCESSING):
            raise ValueError("hold: expected one chunk that is due now")
        packed = await offload(operation.recipients > CHUNK_SIZE, pack_operation, operation, chunks)

        def job(connection: apsw.Connection, step: int = 0) -> None:
            if bounds is not None:
                self._doorkeeper.admit(connection, operation, bounds)
            _insert(connection, account, operation, packed, shard, hold, step)

        if hold is not None:
            await self._write_times(job, bare=True)
        else:
            await self._write(job, long=operation.recipients > CHUNK_SIZE)

    async def get_operation(self, account: bytes, operation_id: bytes) -> Operation | None:
        """An operation with its counters."""
        row = await self._read(lambda c: _get(c, account, operation_id))
        return None if row is None else _operation(row)

    async def list_operations(
        self,
        account: bytes,
        window: Window,
        *,
        status: OperationStatus | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Listed[Operation]:
        """Operations, newest first.

        Looking for tags reads at most `TAG_SCAN` operations a page: it may then be short, even empty, with a `next`.
        """
        values: dict[str, Any] = {"account": account, **cut_window(window)}
        if status is not None:
            values["status"] = status.value
        if tags:
            return await self._list(lambda c: _with_tags(c, values, window, dict(tags)))
        sql = _sql.list_operations if status is None else _sql.list_operations_of_status

        def job(connection: apsw.Connection) -> list[Any]:
            found: Any = connection.execute(sql, values).fetchall()
            return [_get(connection, account, ident) for (ident, _) in found]

        rows = await self._list(job)
        return page_of([_operation(row) for row in rows], window, lambda operation: operation.id)

    async def get_notification(self, account: bytes, notification_id: bytes) -> Notification | None:
        """The notification with this id, whichever slot the id carries."""
        operation, sequence, _ = split_notification_id(notification_id)
        where = {"account": account, "operation": operation, "sequence": sequence}

        def job(connection: apsw.Connection) -> StoredChunk | None:
            row: Any = connection.execute(_sql.chunk_of, where).fetchone()
            if row is None or sequence >= row[0] + row[1]:
                return None
            first, _, packed, *told = row
            parts: Any = connection.execute(_sql.parts, {**where, "first": first}).fetchall()
            return StoredChunk(account, operation, first, packed, [p for (p,) in parts], *told)

        chunk = await self._read(job)
        if chunk is None:
            return None
        return (await offload(chunk.bytes >= OFFLOAD_BYTES, open_notifications, chunk, [sequence]))[0]

    async def list_notifications(
        self, account: bytes, window: Window, wanted: NotificationFilter
    ) -> Listed[Notification]:
        """Notifications, newest operation first, within it in the order of recipients.

        A filter that seldom matches ends a page early: it may then be short, even empty, with a `next`.
        """
        if window.after is not None:
            id_cursor(window.after)
        listing = Listing(account, window, wanted)
        return await self._list(listing.run)
