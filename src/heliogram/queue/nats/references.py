"""References as they travel: the chunk's id, its queue (which begins with the account's id) and the attempt."""

from __future__ import annotations

import msgspec

from ...ports import ChunkRef
from ...ports.work import ACCOUNT_BYTES
from .layout import Layout

_ID_BYTES = 16


class BadReference(ValueError):
    """A message is no reference of ours."""


class _Packed(msgspec.Struct, frozen=True, array_like=True):
    id: bytes
    flow: bytes
    attempt: int


_decoder = msgspec.msgpack.Decoder(_Packed)
_encoder = msgspec.msgpack.Encoder()


def pack(ref: ChunkRef) -> bytes:
    """What is published; lane and shard are in the subject."""
    return _encoder.encode(_Packed(ref.id, ref.flow, ref.attempt))


def unpack(layout: Layout, subject: str, data: bytes) -> ChunkRef:
    """A reference from a message. Raises `BadReference` for anything else."""
    try:
        lane, shard = layout.place(subject)
        packed = _decoder.decode(data)
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise BadReference(f"{subject}: {error}") from None
    if len(packed.id) != _ID_BYTES or len(packed.flow) < ACCOUNT_BYTES or packed.attempt < 1:
        raise BadReference(f"{subject}: not a chunk's id, its queue and an attempt")
    return ChunkRef(id=packed.id, lane=lane, shard=shard, flow=packed.flow, attempt=packed.attempt)


def message_id(ref: ChunkRef) -> str:
    """What the broker knows repeats by."""
    return f"{ref.id.hex()}:{ref.attempt}"
