"""Accepted sends, as callers see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from ...domain.ids import split_notification_id
from ...domain.notifications import Notification
from ...domain.operations import CHUNK_SIZE, Counts, Lane, NewChunk, Operation, OperationStatus
from ...ports import Listed, NotificationFilter, Window
from . import statements
from .base import OFFLOAD_BYTES, Base, cut_window, id_cursor, offload, page_of
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


def _insert(
    connection: apsw.Connection, account: bytes, operation: Operation, packed: PackedOperation, shard: int
) -> None:
    lane, created = int(operation.lane), operation.created
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
        connection.execute(_sql.insert_chunk, (*key, size, lane, shard, operation.start, operation.updated))
        connection.execute(_sql.insert_recipients, (*key, recipients))
        if fingerprints:
            connection.execute(_sql.insert_fingerprints, (*key, fingerprints))


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


class Operations(Base):
    """`ports.OperationStore`."""

    async def accept(self, account: bytes, operation: Operation, chunks: Sequence[NewChunk], *, shard: int = 0) -> None:
        """Makes an operation and its chunks durable: when this returns, they are on disk.

        Raises `ValueError` when the chunks are not the operation's, `StoreError` when they could not be written.
        """
        packed = await offload(operation.recipients > CHUNK_SIZE, pack_operation, operation, chunks)
        await self._write(lambda c: _insert(c, account, operation, packed, shard))

    async def get_operation(self, account: bytes, operation_id: bytes) -> Operation | None:
        """An operation with its counters."""
        row = await self._read(lambda c: _get(c, account, operation_id))
        return None if row is None else _operation(row)

    async def list_operations(
        self, account: bytes, window: Window, *, status: OperationStatus | None = None
    ) -> Listed[Operation]:
        """Operations, newest first."""
        values: dict[str, Any] = {"account": account, **cut_window(window)}
        if status is not None:
            values["status"] = status.value
        sql = _sql.list_operations if status is None else _sql.list_operations_of_status

        def job(connection: apsw.Connection) -> list[Any]:
            found: Any = connection.execute(sql, values).fetchall()
            return [_get(connection, account, ident) for (ident,) in found]

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
