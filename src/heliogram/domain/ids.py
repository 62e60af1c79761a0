"""Ids: UUIDv7 with room for a recipient and a device, written as TypeIDs.

The 128 bits, from the left::

    48 ms since 1970 | 4 version (7) | 12 random | 2 variant | 42 random | 14 recipient sequence | 6 device slot

An operation's id has zeros in the last 20 bits. The notification of its k-th recipient is the same id with k in
the sequence; the `apns-id` of a delivery is the notification's id with the device's slot. So the operation of a
notification is found by masking, without an index, and every attempt of a delivery carries the same `apns-id`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable

SEQUENCE_BITS = 14
SLOT_BITS = 6
MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1
MAX_SLOT = (1 << SLOT_BITS) - 1
_LOW_BITS = SEQUENCE_BITS + SLOT_BITS
_LOW_MASK = (1 << _LOW_BITS) - 1

ACCOUNT = "account"
AUDIT_EVENT = "audit"
API_KEY = "key"
CREDENTIAL = "comms_credential"
DEVICE_REGISTRATION = "comms_device_registration"
NOTIFICATION = "comms_pushnotification"
OPERATION = "comms_operation"
USER = "comms_pushnotificationuser"

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_DIGITS = bytes(
    ord("0123456789abcdefghijklmnopqrstuv"[_ALPHABET.index(chr(code))]) if chr(code) in _ALPHABET else ord("!")
    for code in range(256)
)
"""From the alphabet's letters to the digits that `int` knows, from all else to what is none."""


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_SHIFTS = tuple(range(120, -1, -10))
_HEX_2 = [f"{number:02x}" for number in range(1 << 8)]
_HEX_3 = [f"{number:03x}" for number in range(1 << 12)]


_NUMBERS = struct.Struct("128Q")
"""What is asked for at once."""


class InvalidId(ValueError):
    """The text is not an id of the wanted kind."""


STEP_BACK_MS = 3_600_000
"""By how much a clock may be set back while ids go on where they were: to order, not to be exact, is what they are for.
A clock that is set back by more was wrong before."""


class RandomBits:
    """Random bits of the system, asked for many at a time: each call of the system lets another thread go first. May be
    called in any thread."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._numbers: list[int] = []

    def __repr__(self) -> str:
        return f"RandomBits(left={len(self._numbers)})"

    def __call__(self, bits: int) -> int:
        """A number of so many random bits (1 to 64), which is told once."""
        numbers = self._numbers
        try:
            number = numbers.pop()
        except IndexError:
            numbers = list(_NUMBERS.unpack(self._source(_NUMBERS.size)))
            number = numbers.pop()
            self._numbers = numbers
        return number >> 64 - bits


class IdFactory:
    """Makes ids from an injected clock (milliseconds since 1970) and source of random bits. Later ones of one factory
    sort behind earlier ones of another millisecond, also when the clock was set back by up to `STEP_BACK_MS`."""

    def __init__(self, now_ms: Callable[[], int], random_bits: Callable[[int], int] | None = None) -> None:
        self._now_ms = now_ms
        self._random_bits = RandomBits() if random_bits is None else random_bits
        self._last = 0

    def new(self) -> bytes:
        """A fresh id, 16 bytes, its last 20 bits zero."""
        bits = self._random_bits(54)  # at once: each call asks the system
        now = self._now_ms()
        if now < self._last <= now + STEP_BACK_MS:
            now = self._last
        self._last = now
        return make(now, bits >> 42, bits)


def make(ms: int, rand_a: int, rand_b: int) -> bytes:
    """The id of a moment: `rand_a` has 12 random bits, `rand_b` 42."""
    high = (ms & (1 << 48) - 1) << 16 | 0x7000 | (rand_a & 0xFFF)
    low = 0b10 << 62 | (rand_b & (1 << 42) - 1) << _LOW_BITS
    return (high << 64 | low).to_bytes(16, "big")


def time_of(raw: bytes) -> int:
    """The moment an id was made, in milliseconds since 1970."""
    return int.from_bytes(raw[:6], "big")


def floor_of(ms: int) -> bytes:
    """The lowest id of a moment: what a range of times is cut by."""
    return max(0, min(ms, (1 << 48) - 1)).to_bytes(6, "big") + b"\0" * 10


def notification_id(operation: bytes, sequence: int, slot: int = 0) -> bytes:
    """The id of an operation's recipient (0 to 16,383), or with a slot (1 to 63) of one delivery to it."""
    if not (0 <= sequence <= MAX_SEQUENCE and 0 <= slot <= MAX_SLOT):
        raise ValueError(f"sequence {sequence} or slot {slot} does not fit an id")
    base = int.from_bytes(operation, "big") & ~_LOW_MASK
    return (base | sequence << SLOT_BITS | slot).to_bytes(16, "big")


def split_notification_id(raw: bytes) -> tuple[bytes, int, int]:
    """The operation's id, the recipient's sequence and the device's slot of a notification's id."""
    value = int.from_bytes(raw, "big")
    return (
        (value & ~_LOW_MASK).to_bytes(16, "big"),
        value >> SLOT_BITS & MAX_SEQUENCE,
        value & MAX_SLOT,
    )


def uuid_text(raw: bytes) -> str:
    """The 8-4-4-4-12 lower-case form that `apns-id` takes (REQ-1)."""
    h = raw.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class DeliveryTexts:
    """`uuid_text` of the notifications and deliveries of one operation, which differ in the last 20 bits alone."""

    def __init__(self, operation: bytes) -> None:
        self.shared = uuid_text(notification_id(operation, 0))[: -_LOW_BITS // 4]
        """What all of them begin with; five hexadecimal digits follow."""

    def __repr__(self) -> str:
        return f"DeliveryTexts({self.shared}…)"

    def of(self, sequence: int, slot: int = 0) -> str:
        """The text of `notification_id`; both numbers must fit."""
        low = sequence << SLOT_BITS | slot
        return self.shared + _HEX_3[low >> 8] + _HEX_2[low & 255]  # six times as fast as to format a number


def encode(prefix: str, raw: bytes) -> str:
    """The TypeID text: prefix, underscore, 26 characters of Crockford's base 32 in lower case."""
    value = int.from_bytes(raw, "big")
    pairs = [_PAIRS[value >> shift & 1023] for shift in _SHIFTS]
    return f"{prefix}_{''.join(pairs)}"


def decode(prefix: str, text: str) -> bytes:
    """The 16 bytes of a TypeID; `InvalidId` when it is not one of this prefix."""
    head, _, tail = text.rpartition("_")
    if head != prefix:
        raise InvalidId(f"expected an id that starts with {prefix}_")
    if len(tail) != 26 or tail[0] not in "01234567":
        raise InvalidId(f"expected {prefix}_ and 26 characters, the first of them 0 to 7")
    try:
        value = int(tail.encode("ascii").translate(_DIGITS), 32)
    except ValueError:
        raise InvalidId("an id has only the characters 0-9 and a-z without i, l, o and u") from None
    return value.to_bytes(16, "big")
