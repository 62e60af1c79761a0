"""Header blocks out (RFC 7541): integers, strings, and an encoder that keeps what requests share in its table."""

from __future__ import annotations

from heliogram.wire import huffman
from heliogram.wire.tables import STATIC_TABLE

DEFAULT_TABLE = 4096
_FIRST_DYNAMIC = len(STATIC_TABLE) + 1
_STATIC_PAIRS = {pair: index for index, pair in enumerate(STATIC_TABLE, 1)}
_STATIC_NAMES: dict[bytes, int] = {}
for _index, (_name, _value) in enumerate(STATIC_TABLE, 1):
    _STATIC_NAMES.setdefault(_name, _index)


def integer(first: int, mask: int, value: int) -> bytes:
    """An integer whose prefix shares its byte with the bits of `first` (§5.1)."""
    if value < mask:
        return bytes((first | value,))
    out = bytearray((first | mask,))
    value -= mask
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# Length bytes of uncoded strings, ready made: on the hot path a lookup instead of a call.
LENGTHS = tuple(integer(0, 0x7F, size) for size in range(1024))


def raw_string(text: bytes) -> bytes:
    """A string without Huffman coding (§5.2)."""
    size = len(text)
    return (LENGTHS[size] if size < 1024 else integer(0, 0x7F, size)) + text


def short_string(text: bytes) -> bytes:
    """The shorter of the two forms (§5.2): for strings that are coded once and sent many times."""
    coded = huffman.encode(text)
    return integer(0x80, 0x7F, len(coded)) + coded if len(coded) < len(text) else raw_string(text)


def literal(name: bytes, value: bytes, *, never: bool = False) -> bytes:
    """A field that enters no table (§6.2.2), or that nobody on the way may ever index (§6.2.3)."""
    index = _STATIC_NAMES.get(name, 0)
    prefix = integer(0x10 if never else 0x00, 0x0F, index)
    return prefix + short_string(value) if index else prefix + short_string(name) + short_string(value)


class Encoder:
    """The dynamic table of our side.

    What comes when the table is full stays out of it: an entry that pushes out another one moves all references, and
    whoever goes round more topics than there is room for would encode every request anew. Such a topic costs about
    20 bytes in each of its requests instead. An eighth of the table is left to names.

    `stamp` is a new object after each change of the table: encoded bytes with references in them are good while the
    stamp they were made under is still the encoder's.
    """

    __slots__ = ("_inserted", "_live", "_max", "_names", "_oldest", "_pairs", "_size", "_smallest", "stamp")

    def __init__(self) -> None:
        self._max = DEFAULT_TABLE
        self._smallest: int | None = None  # least size since the last block, when there is an update to announce
        self._size = 0
        self._inserted = 0  # entries ever inserted; the newest has this number
        self._oldest = 1  # number of the oldest entry still alive
        self._live: dict[int, tuple[bytes, bytes]] = {}
        self._pairs: dict[tuple[bytes, bytes], int] = {}
        self._names: dict[bytes, int] = {}
        self.stamp: object = object()

    def __repr__(self) -> str:
        return f"<Encoder {len(self._live)} entries, {self._size} of {self._max} bytes>"

    def resize(self, limit: int) -> None:
        """The peer's HEADER_TABLE_SIZE; ours stays at 4096 bytes or below. The next block announces it (§4.2)."""
        size = min(limit, DEFAULT_TABLE)
        if size == self._max:
            return
        self._smallest = size if self._smallest is None else min(self._smallest, size)
        self._max = size
        self._evict()

    @property
    def pending(self) -> bool:
        """The next block must start with `updates()`."""
        return self._smallest is not None

    def updates(self) -> bytes:
        """Table size updates for the start of a block: the least size, then the present one if it differs (§4.2)."""
        smallest, self._smallest = self._smallest, None
        if smallest is None:
            return b""
        out = integer(0x20, 0x1F, smallest)
        return out if smallest == self._max else out + integer(0x20, 0x1F, self._max)

    def indexed(self, name: bytes, value: bytes) -> bytes:
        """A field by reference; the first time a literal that enters the table (§6.2.1) if there is room (§6.2.2)."""
        pair = (name, value)
        index = _STATIC_PAIRS.get(pair)
        if index is None and (number := self._pairs.get(pair)) is not None:
            index = _FIRST_DYNAMIC + self._inserted - number
        if index is not None:
            return integer(0x80, 0x7F, index)
        if self._size + len(name) + len(value) + 32 > self._max - self._max // 8:
            return self.named(name) + short_string(value)
        return self._insert(name, value, short_string(value))

    def by_name(self, name: bytes, value: bytes) -> bytes:
        """A field whose name is a reference and whose value is not kept.

        A new name enters the table with its value if there is room.
        """
        size = len(name) + len(value) + 32
        if name in _STATIC_NAMES or name in self._names or self._size + size > self._max:
            return self.named(name) + raw_string(value)
        return self._insert(name, value, raw_string(value))

    def named(self, name: bytes) -> bytes:
        """The start of a literal without indexing (§6.2.2): its name, by reference if some table has it."""
        index = self._name_index(name)
        return integer(0x00, 0x0F, index) if index else b"\x00" + short_string(name)

    def knows(self, name: bytes) -> bool:
        """Whether `named()` is a reference and will stay one while the stamp does."""
        return name in _STATIC_NAMES or name in self._names

    def _name_index(self, name: bytes) -> int:
        if name in _STATIC_NAMES:
            return _STATIC_NAMES[name]
        number = self._names.get(name)
        return 0 if number is None else _FIRST_DYNAMIC + self._inserted - number

    def _insert(self, name: bytes, value: bytes, string: bytes) -> bytes:
        index = self._name_index(name)
        out = integer(0x40, 0x3F, index) if index else b"\x40" + short_string(name)
        self._inserted += 1
        self._size += len(name) + len(value) + 32
        self.stamp = object()
        self._live[self._inserted] = (name, value)
        self._pairs[name, value] = self._names[name] = self._inserted
        return out + string

    def _evict(self) -> None:
        while self._size > self._max:
            pair = self._live.pop(self._oldest)
            self._size -= len(pair[0]) + len(pair[1]) + 32
            if self._pairs.get(pair) == self._oldest:
                del self._pairs[pair]
            if self._names.get(pair[0]) == self._oldest:
                del self._names[pair[0]]
            self._oldest += 1
        self.stamp = object()
