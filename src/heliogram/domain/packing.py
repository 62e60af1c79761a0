"""How recipients and results are packed: MessagePack, compressed with zstd when that pays.

The first byte names the form, so that a later one can stand beside it: 1 plain, 2 zstd, 3 the CRC-32 of one of these,
in four bytes, before it. SQLite has no checksums of its own: without one, a bit that flips on the disk would send
something else, or to somebody else.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence

import msgspec

from .errors import Unreadable
from .notifications import DeliveryRecord, Recipient

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_PLAIN = b"\x01"
_ZSTD = b"\x02"
_SUMMED = b"\x03"
_SUM = 5
"""Bytes in front of what is summed."""
_WORTH_COMPRESSING = 256
_MAX_UNPACKED = 64 << 20

_encoder = msgspec.msgpack.Encoder()
_recipients = msgspec.msgpack.Decoder(list[Recipient])
_records = msgspec.msgpack.Decoder(list[DeliveryRecord])


class Unpackable(Unreadable, ValueError):
    """The stored bytes are not what was packed: the database is damaged or of another version."""


def _pack(value: object) -> bytes:
    raw = _encoder.encode(value)
    if len(raw) < _WORTH_COMPRESSING:
        return seal(_PLAIN + raw)
    return seal(_ZSTD + zstd.compress(raw, 1))


def seal(body: bytes) -> bytes:
    """`body` with its checksum in front."""
    return _SUMMED + zlib.crc32(body).to_bytes(4, "big") + body


def unseal(data: bytes) -> bytes:
    """What `seal` was given; what has no checksum, as it is. Raises `Unpackable`."""
    if data[:1] != _SUMMED:
        return data
    body = data[_SUM:]
    if zlib.crc32(body) != int.from_bytes(data[1:_SUM], "big"):
        raise Unpackable("packed rows are not what was written: their checksum says otherwise")
    return body


def is_packed(data: bytes) -> bool:
    """Whether the form is one of those that are known."""
    return data[:1] in (_PLAIN, _ZSTD, _SUMMED)


def _unpack(data: bytes) -> bytes:
    data = unseal(data)
    form, body = data[:1], data[1:]
    if form == _PLAIN:
        return body
    if form == _ZSTD:
        try:
            return zstd.ZstdDecompressor().decompress(body, _MAX_UNPACKED)
        except zstd.ZstdError as error:
            raise Unpackable(f"packed rows do not open: {error}") from error
    raise Unpackable(f"packed rows begin with {form!r}, expected 1, 2 or 3")


def pack_recipients(recipients: Sequence[Recipient]) -> bytes:
    """A chunk's recipients as bytes."""
    return _pack(recipients)


def unpack_recipients(data: bytes) -> list[Recipient]:
    """A chunk's recipients; raises `Unpackable`."""
    try:
        return _recipients.decode(_unpack(data))
    except msgspec.MsgspecError as error:
        raise Unpackable(f"packed recipients do not decode: {error}") from error


def pack_records(records: Sequence[DeliveryRecord]) -> bytes:
    """A result part as bytes."""
    return _pack(records)


def unpack_records(data: bytes) -> list[DeliveryRecord]:
    """A result part's records; raises `Unpackable`."""
    try:
        return _records.decode(_unpack(data))
    except msgspec.MsgspecError as error:
        raise Unpackable(f"packed results do not decode: {error}") from error
