"""Chunks and results on their way into rows and back: what the database's threads need not do."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import structlog

from ...domain.ids import MAX_SEQUENCE, notification_id
from ...domain.notifications import (
    DeliveryRecord,
    Notification,
    NotificationStatus,
    Recipient,
    SendSpec,
    latest,
    status_of,
)
from ...domain.operations import Lane, NewChunk, Operation, OperationStatus
from ...domain.packing import Unpackable, is_packed, pack_recipients, seal, unpack_recipients, unpack_records, unseal
from ...ports import LeasedChunk, PackedLease
from .base import OFFLOAD_BYTES, offload

log = structlog.get_logger(__name__)

_encode_spec = msgspec.msgpack.Encoder().encode
_decode_spec = msgspec.msgpack.Decoder(SendSpec).decode


class PackedChunk(NamedTuple):
    """A chunk ready to be inserted."""

    first: int
    size: int
    packed: bytes
    fingerprints: bytes


class PackedOperation(NamedTuple):
    """An operation ready to be inserted."""

    spec: bytes
    chunks: list[PackedChunk]


class StoredChunk(NamedTuple):
    """A chunk as read, still packed, with what is needed to show its notifications."""

    account: bytes
    operation: bytes
    first: int
    recipients: bytes
    parts: list[bytes]
    spec: bytes
    status: str
    created: int
    send_at_text: str | None = None
    tags: str | None = None

    @property
    def bytes(self) -> int:
        """How much there is to open."""
        return len(self.recipients) + sum(map(len, self.parts))


def fingerprint(user: bytes) -> bytes:
    """Four bytes of a user's id: equal for equal ids, seldom for others."""
    return zlib.crc32(user).to_bytes(4, "big")


def pack_operation(operation: Operation, chunks: Sequence[NewChunk]) -> PackedOperation:
    """Raises `ValueError` when the chunks are not the operation's."""
    check_chunks(operation, chunks)
    return PackedOperation(spec=seal(_encode_spec(operation.spec)), chunks=[_pack(chunk) for chunk in chunks])


def _pack(chunk: NewChunk) -> PackedChunk:
    users = b"".join([fingerprint(recipient.user) for recipient in chunk.recipients if recipient.user])
    return PackedChunk(chunk.first, len(chunk.recipients), pack_recipients(chunk.recipients), users)


def check_chunks(operation: Operation, chunks: Sequence[NewChunk]) -> None:
    """Raises `ValueError` unless the chunks hold the operation's recipients one after another, each chunk's id being
    the notification id of its first."""
    expected = 0
    for chunk in chunks:
        if not chunk.recipients or chunk.first != expected or expected > MAX_SEQUENCE:
            raise ValueError(f"chunk {chunk.id.hex()} begins at {chunk.first}, expected {expected} and a recipient")
        if chunk.id != notification_id(operation.id, chunk.first):
            raise ValueError(f"chunk id {chunk.id.hex()} is not the notification id of its first recipient")
        expected += len(chunk.recipients)
    if expected != operation.recipients or not chunks:
        raise ValueError(f"the chunks hold {expected} recipients, the operation says {operation.recipients}")


def open_spec(packed: bytes) -> SendSpec:
    """What an operation sends. Raises `Unpackable`."""
    try:
        return _decode_spec(unseal(packed))
    except msgspec.MsgspecError as error:
        raise Unpackable(f"what is sent does not decode: {error}") from error


def pack_tags(tags: dict[str, str] | None) -> str | None:
    """An operation's tags as they are kept."""
    return msgspec.json.encode(tags).decode() if tags else None


def open_tags(packed: str | None) -> dict[str, str] | None:
    """An operation's tags, None for none. Raises `Unpackable`."""
    try:
        return None if packed is None else msgspec.json.decode(packed, type=dict[str, str])
    except msgspec.MsgspecError as error:
        raise Unpackable(f"tags do not decode: {error}") from error


def open_records(parts: Iterable[bytes]) -> list[DeliveryRecord]:
    """The records of all parts, in the order they were written."""
    return [record for part in parts for record in unpack_records(part)]


def packed_lease(
    key: tuple[bytes, bytes, int],
    *,
    lane: int,
    shard: int,
    flow: bytes,
    attempt: int,
    row: tuple[bytes, bytes, int, int | None],
    parts: list[bytes],
    wanted: Mapping[str, Any],
) -> PackedLease:
    """A chunk that was leased. `key`: its account, operation and first recipient. `row`: its recipients, what is sent,
    when it was accepted, and to be sent, if that was said. `wanted`: the moment of the claim, and the lease's end."""
    account, operation, first = key
    packed, spec, created, send_at = row
    return PackedLease(
        account_id=account,
        id=notification_id(operation, first),
        operation_id=operation,
        lane=Lane(lane),
        shard=shard,
        flow=flow,
        attempt=attempt,
        until=wanted["until"],
        first=first,
        recipients=packed,
        parts=parts,
        spec=spec,
        created=created,
        start=created if send_at is None else send_at,
        claimed=wanted["now"],
    )


def is_sound(chunk: PackedLease) -> bool:
    """Whether a chunk's rows are what was written, as far as their checksums tell."""
    try:
        for packed in (chunk.recipients, chunk.spec, *chunk.parts):
            unseal(packed)
    except Unpackable:
        return False
    return all(is_packed(packed) for packed in (chunk.recipients, *chunk.parts))


async def open_leases(packed: Sequence[PackedLease]) -> list[LeasedChunk]:
    """Claimed chunks as they are worked on; many bytes are opened in a thread. One that does not open is left out, and
    comes again when its lease has run out."""
    return await offload(sum(chunk.size for chunk in packed) >= OFFLOAD_BYTES, _open_all, packed)


def _open_all(packed: Sequence[PackedLease]) -> list[LeasedChunk]:
    opened = []
    for chunk in packed:
        try:
            opened.append(_open(chunk))
        except Unpackable as error:
            log.error("chunk.unreadable", chunk=chunk.id.hex(), error=str(error))
    return opened


def _open(chunk: PackedLease) -> LeasedChunk:
    return LeasedChunk(
        account_id=chunk.account_id,
        id=chunk.id,
        operation_id=chunk.operation_id,
        lane=chunk.lane,
        shard=chunk.shard,
        flow=chunk.flow,
        attempt=chunk.attempt,
        until=chunk.until,
        first=chunk.first,
        recipients=unpack_recipients(chunk.recipients),
        records=open_records(chunk.parts),
        spec=open_spec(chunk.spec),
        created=chunk.created,
        start=chunk.start,
        claimed=chunk.claimed,
    )


def open_notifications(chunk: StoredChunk, wanted: Iterable[int] | None = None) -> list[Notification]:
    """A chunk's notifications, or those of the wanted sequences, in order."""
    recipients = unpack_recipients(chunk.recipients)
    records: defaultdict[int, list[DeliveryRecord]] = defaultdict(list)
    for record in open_records(chunk.parts):
        records[record.sequence].append(record)
    spec = open_spec(chunk.spec)
    sequences = range(chunk.first, chunk.first + len(recipients)) if wanted is None else wanted
    return [_notification(chunk, spec, n, recipients[n - chunk.first], records.get(n, [])) for n in sequences]


def _notification(
    chunk: StoredChunk, spec: SendSpec, sequence: int, recipient: Recipient, records: list[DeliveryRecord]
) -> Notification:
    deliveries = latest(records)
    status, unaddressable = status_of(deliveries)
    if not records:
        status = _unstarted(chunk.status)
    return Notification(
        account_id=chunk.account,
        id=notification_id(chunk.operation, sequence),
        operation_id=chunk.operation,
        recipient=recipient,
        spec=spec,
        status=status,
        unaddressable=unaddressable,
        deliveries=tuple(deliveries),
        created=chunk.created,
        send_at_text=chunk.send_at_text,
        tags=open_tags(chunk.tags),
        updated=max((record.at for record in deliveries), default=chunk.created),
    )


def _unstarted(operation: str) -> NotificationStatus:
    """The status of a recipient that nothing was recorded for."""
    if operation == OperationStatus.SCHEDULED:
        return NotificationStatus.SCHEDULED
    if operation == OperationStatus.CANCELED:
        return NotificationStatus.CANCELED
    return NotificationStatus.QUEUED
