"""The string code of HPACK (RFC 7541 §5.2), both ways.

Decoding is a walk over bytes. A state is a node of the code tree, its table has an entry for each next byte: the
symbols that became complete and the table of the next state. A table is filled when it is first needed (at most 256
tables of 256 entries) and shared by all sessions.
"""

from __future__ import annotations

from typing import TypeAlias

from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.tables import HUFFMAN_LENGTHS

EOS = 256

Table: TypeAlias = "list[tuple[bytes, Table]]"


def _codes() -> tuple[tuple[int, int], ...]:
    """(code, bits) of every symbol: codes of one length are consecutive, in the order of the symbols."""
    codes = [(0, 0)] * len(HUFFMAN_LENGTHS)
    code = previous = 0
    for symbol in sorted(range(len(HUFFMAN_LENGTHS)), key=lambda s: (HUFFMAN_LENGTHS[s], s)):
        bits = HUFFMAN_LENGTHS[symbol]
        code <<= bits - previous
        codes[symbol] = (code, bits)
        code += 1
        previous = bits
    return tuple(codes)


CODES = _codes()


def _tree() -> list[list[int]]:
    """Nodes as [zero branch, one branch]; a branch is a node's index, or ~symbol for a leaf."""
    nodes = [[0, 0]]
    for symbol, (code, bits) in enumerate(CODES):
        at = 0
        for shift in range(bits - 1, 0, -1):
            branch = code >> shift & 1
            if not nodes[at][branch]:
                nodes.append([0, 0])
                nodes[at][branch] = len(nodes) - 1
            at = nodes[at][branch]
        nodes[at][code & 1] = ~symbol
    return nodes


_NODES = _tree()
_TABLES: list[Table] = [[] for _ in _NODES]
_DEAD: Table = []  # where EOS leads: no way out, and no string may end there
_DEAD += [(b"", _DEAD)] * 256


def _final() -> frozenset[int]:
    """Identities of the tables a string may end in: fewer than eight bits, all ones, after the last symbol."""
    found, at = [id(_TABLES[0])], 0
    for _ in range(7):
        at = _NODES[at][1]
        found.append(id(_TABLES[at]))
    return frozenset(found)


_FINAL = _final()


def _fill(table: Table) -> None:
    node = next(index for index, candidate in enumerate(_TABLES) if candidate is table)
    entries: Table = []
    for byte in range(256):
        at, symbols, target = node, bytearray(), _DEAD
        for shift in range(7, -1, -1):
            at = _NODES[at][byte >> shift & 1]
            if at < 0:
                if ~at == EOS:
                    break
                symbols.append(~at)
                at = 0
        else:
            target = _TABLES[at]
        entries.append((bytes(symbols), target))
    table[:] = entries


def short_codes() -> bytes:
    """For each byte that may come next: the symbol it starts with and its bits, or two zeros if it has more than 8."""
    found = bytearray(512)
    for symbol, (code, bits) in enumerate(CODES):
        if bits <= 8:
            first = code << 8 - bits
            found[2 * first : 2 * (first + (1 << 8 - bits))] = bytes((symbol, bits)) * (1 << 8 - bits)
    return bytes(found)


def decode(data: bytes) -> bytes:
    """The string behind a Huffman-coded one; `ProtocolError` for EOS inside or a wrong padding."""
    while True:
        table = _TABLES[0]
        pieces: list[bytes] = []
        add = pieces.append
        try:
            for byte in data:
                symbols, table = table[byte]
                add(symbols)
            break
        except IndexError:  # the first string that comes to this state: start again with its table filled
            _fill(table)
    if id(table) not in _FINAL:
        detail = "a Huffman string holds EOS or ends in a wrong padding"
        raise ProtocolError(ErrorCode.COMPRESSION_ERROR, "RFC 7541 §5.2", detail)
    return b"".join(pieces)


def encode(text: bytes) -> bytes:
    """The Huffman-coded string, padded with ones."""
    value = length = 0
    for byte in text:
        code, bits = CODES[byte]
        value = value << bits | code
        length += bits
    pad = -length % 8
    return (value << pad | (1 << pad) - 1).to_bytes((length + pad) // 8, "big")
