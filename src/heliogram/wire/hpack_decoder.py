"""Header blocks in (RFC 7541): one decoder for each direction of a connection."""

from __future__ import annotations

from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.huffman import decode as decode_huffman
from heliogram.wire.tables import STATIC_TABLE

DEFAULT_TABLE = 4096
_FIRST_DYNAMIC = len(STATIC_TABLE) + 1
_LARGEST = (1 << 31) - 1
_REMEMBERED = 256  # Huffman strings kept, at most; the memo starts anew beyond it
# Coded bytes: names and small values are shorter and repeat, a provider token is longer and repeats, an id or a
# device token is in between and does not.
_ONCE, _AGAIN = 23, 64
_CODED_ONCE, _CODED_AGAIN = 0x80 | _ONCE, 0x80 | _AGAIN
_PATHS: dict[bytes, bytes] = {}
_PATHS_KEPT = 32_768
# Coded paths, decoded, for all connections of a process: they name devices, and those come again with each campaign.

_AUTHORIZATION = 23 - 15  # what follows the prefix of a literal with this static name

Pair = tuple[bytes, bytes]


def _broken(section: str, detail: str) -> ProtocolError:
    return ProtocolError(ErrorCode.COMPRESSION_ERROR, f"RFC 7541 §{section}", detail)


class Decoder:
    """Turns header blocks into pairs and keeps the dynamic table.

    `generation` changes with every change of the table: what was learned about encoded bytes holds until then.
    """

    __slots__ = (
        "_allowed",
        "_dynamic",
        "_max",
        "_must_shrink",
        "_run",
        "_run_generation",
        "_run_pairs",
        "_seen",
        "_size",
        "generation",
    )

    def __init__(self, max_table: int = DEFAULT_TABLE) -> None:
        # One list for both tables, so that an index of the wire is an index here. A new entry goes in front of the
        # older ones, which moves at most 128 pointers.
        self._dynamic: list[Pair] = [(b"", b""), *STATIC_TABLE]
        self._size = 0
        self._max = DEFAULT_TABLE  # what the peer's encoder uses now
        self._allowed = max(DEFAULT_TABLE, max_table)  # what it may use
        self._must_shrink = False
        self._seen: dict[bytes, bytes] = {}
        self.generation = 0
        # The fields that last stood behind `:path`, coded and decoded, and the table they were read with.
        self._run = b""
        self._run_pairs: list[Pair] = []
        self._run_generation = -1

    def __repr__(self) -> str:
        entries = len(self._dynamic) - _FIRST_DYNAMIC
        return f"<Decoder {entries} entries, {self._size} of {self._max} bytes>"

    @property
    def names(self) -> set[bytes]:
        """The names that stand in the dynamic table."""
        return {name for name, _ in self._dynamic[_FIRST_DYNAMIC:]}

    def limit(self, max_table: int) -> None:
        """The peer acknowledged our HEADER_TABLE_SIZE: its next block must say so if its table is larger (§4.2)."""
        self._allowed = max_table
        self._must_shrink = self._max > max_table

    def decode(self, block: bytes, at: int = 0, pairs: list[Pair] | None = None) -> list[Pair]:
        """The pairs of one complete block; `ProtocolError(COMPRESSION_ERROR)` when it cannot be decoded.

        `pairs` are those that were read before `at`, if somebody else has begun with this block.
        """
        begun, pairs = pairs is not None, [] if pairs is None else pairs
        add = pairs.append
        table = self._dynamic
        end = len(block)
        try:
            if not begun and ((end and block[0] & 0xE0 == 0x20) or self._must_shrink):
                at = self._updates(block)
            while at < end:
                byte = block[at]
                if 0x80 < byte < 0xFF:
                    add(table[byte & 0x7F])
                    at += 1
                elif byte >= 0x80:
                    index, at = self._integer(block, at, 0x7F)
                    add(self._entry(index))
                else:
                    at = self._literal(block, at, pairs)
                    if byte & 0xEF == 0x04:
                        at = self._behind_path(block, at, pairs)
        except IndexError:
            raise _broken("2.3.3", "a header block ends early or names an entry the table does not have") from None
        return pairs

    def _behind_path(self, block: bytes, at: int, pairs: list[Pair]) -> int:
        """References and `authorization` behind a path: a client repeats them byte for byte, so they are kept."""
        run = self._run
        if run and self._run_generation == self.generation and block.startswith(run, at):
            pairs += self._run_pairs
            return at + len(run)
        start, first, end = at, len(pairs), len(block)
        while at < end:
            if 0x80 < block[at] < 0xFF:
                pairs.append(self._dynamic[block[at] & 0x7F])
                at += 1
            elif block[at] & 0xEF == 0x0F and block[at + 1] == _AUTHORIZATION:
                at = self._literal(block, at, pairs)
            else:
                break
        self._run, self._run_pairs, self._run_generation = block[start:at], pairs[first:], self.generation
        return at

    def _entry(self, index: int) -> Pair:
        if not index:
            raise _broken("6.1", "index 0 is not used")
        return self._dynamic[index]

    def _literal(self, block: bytes, at: int, pairs: list[Pair]) -> int:
        """Decodes the literal at `at` (§6.2) and returns where the next field starts."""
        first = block[at]
        if first & 0x40:
            mask = 0x3F
        elif first & 0x20:
            raise _broken("4.2", "a table size update follows a field")
        else:
            mask = 0x0F
        index = first & mask
        if index == mask:
            index, at = self._integer(block, at, mask)
        else:
            at += 1
        if index:
            name = self._dynamic[index][0]
        else:
            name, at = self._string(block, at)
        length = block[at]
        if length < 0x7F:  # the common cases of `_string`, spared a call
            start = at + 1
            at = start + length
            value = block[start:at]
            if len(value) != length:
                raise IndexError
        elif _CODED_ONCE <= length < _CODED_AGAIN:
            start = at + 1
            at = start + length - 0x80
            if at > len(block):
                raise IndexError
            value = _path(block[start:at]) if 4 <= index <= 5 else decode_huffman(block[start:at])
        else:
            value, at = self._string(block, at)
        pair = (name, value)
        pairs.append(pair)
        if mask == 0x3F:
            self._insert(pair)
        return at

    def _string(self, block: bytes, at: int) -> tuple[bytes, int]:
        first = block[at]
        length = first & 0x7F
        if length == 0x7F:
            length, start = self._integer(block, at, 0x7F)
        else:
            start = at + 1
        end = start + length
        if end > len(block):
            raise IndexError
        text = block[start:end]
        if first < 0x80:
            return text, end
        if _ONCE <= length < _AGAIN:
            return decode_huffman(text), end
        seen = self._seen.get(text)
        if seen is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            seen = self._seen[text] = decode_huffman(text)
        return seen, end

    @staticmethod
    def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
        """An integer with a prefix (§5.1) of at most 2^31-1, and where it ends."""
        value = block[at] & mask
        at += 1
        if value < mask:
            return value, at
        shift = 0
        while True:
            byte = block[at]
            at += 1
            value += (byte & 0x7F) << shift
            if value > _LARGEST or shift > 28:
                raise _broken("5.1", "an integer is above 2^31-1 or has more than five bytes")
            if byte < 0x80:
                return value, at
            shift += 7

    def _updates(self, block: bytes) -> int:
        """Table size updates at the start of a block (§6.3); returns where the fields start."""
        at = 0
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size, at = self._integer(block, at, 0x1F)
            if size > self._allowed:
                raise _broken("6.3", f"a table size of {size} is above the allowed {self._allowed}")
            self._must_shrink = False
            if size != self._max:
                self._max = size
                self._evict(0)
                self.generation += 1
        if self._must_shrink:
            raise _broken("4.2", f"the table must shrink to {self._allowed} and no size update came")
        return at

    def _insert(self, pair: Pair) -> None:
        size = len(pair[0]) + len(pair[1]) + 32
        if self._size + size > self._max:
            self._evict(size)
        self.generation += 1
        if size <= self._max:
            self._dynamic.insert(_FIRST_DYNAMIC, pair)
            self._size += size

    def _evict(self, wanted: int) -> None:
        """Makes room for `wanted` bytes by dropping the oldest entries (§4.3, §4.4)."""
        table, most = self._dynamic, self._max - wanted
        size = self._size
        while size > most and len(table) > _FIRST_DYNAMIC:
            name, value = table.pop()
            size -= len(name) + len(value) + 32
        self._size = size


def _path(coded: bytes) -> bytes:
    """The string behind a Huffman-coded one that comes again, sooner or later."""
    path = _PATHS.get(coded)
    if path is None:
        if len(_PATHS) >= _PATHS_KEPT:
            _PATHS.clear()
        path = _PATHS[coded] = decode_huffman(coded)
    return path
