"""The string code of HPACK (RFC 7541 §5.2), both ways.

Decoding is a walk over bytes: a transition, keyed by the state and the next byte, gives the symbols that became
complete and the next state. A state is a node of the code tree. Transitions are worked out when first met (at most
65,536 of them) and shared by all sessions.
"""

from __future__ import annotations

from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.tables import HUFFMAN_LENGTHS

EOS = 256
_SECTION = "RFC 7541 §5.2"


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


def _padding_states() -> frozenset[int]:
    """States in which a string may end: fewer than eight bits, all ones, after the last symbol."""
    states, at = [0], 0
    for _ in range(7):
        at = _NODES[at][1]
        states.append(at << 8)
    return frozenset(states)


_MAY_END = _padding_states()


class _Transitions(dict[int, tuple[bytes, int]]):
    """(state << 8 | byte) -> (complete symbols, next state << 8); filled on demand."""

    def __missing__(self, key: int) -> tuple[bytes, int]:
        at, symbols = key >> 8, bytearray()
        for shift in range(7, -1, -1):
            at = _NODES[at][key >> shift & 1]
            if at < 0:
                if ~at == EOS:
                    raise ProtocolError(ErrorCode.COMPRESSION_ERROR, _SECTION, "a Huffman string holds EOS")
                symbols.append(~at)
                at = 0
        found = self[key] = (bytes(symbols), at << 8)
        return found


_TRANSITIONS = _Transitions()


def decode(data: bytes) -> bytes:
    """The string behind a Huffman-coded one; `ProtocolError` for EOS inside or a wrong padding."""
    state, transitions = 0, _TRANSITIONS
    pieces = []
    for byte in data:
        symbols, state = transitions[state | byte]
        pieces.append(symbols)
    if state not in _MAY_END:
        raise ProtocolError(ErrorCode.COMPRESSION_ERROR, _SECTION, "a Huffman string ends in a wrong padding")
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
