"""Whether a header section is well formed (RFC 9113 §8.1.1 to §8.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from msgspec import Struct

_CONNECTION = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_REQUEST = {b":method", b":scheme", b":path"}
_REMEMBERED = 256
_FORBIDDEN = frozenset(range(0x21)) | frozenset(range(0x41, 0x5B)) | frozenset(range(0x7F, 0x100))

Pairs = Sequence[tuple[bytes, bytes]]


class Shape(Struct, frozen=True, gc=False):
    """What the names of a section alone say: what is wrong with them (or None), and where some fields stand (or -1)."""

    fault: str | None
    length_at: int
    te_at: int
    path_at: int

    def fits(self, pairs: Pairs) -> bool:
        """The path is not empty (RFC 9113 §8.3.1) and `te` says nothing but "trailers" (§8.2.2)."""
        return bool(pairs[self.path_at][1]) and (self.te_at < 0 or pairs[self.te_at][1] == b"trailers")


def list_size(pairs: Pairs) -> int:
    """The size MAX_HEADER_LIST_SIZE speaks of (RFC 9113 §6.5.2)."""
    return sum(map(len, chain.from_iterable(pairs))) + 32 * len(pairs)


def values_fault(pairs: Pairs) -> str | None:
    """A value must hold no CR, LF or NUL and have no blank at either end (RFC 9113 §8.2.1)."""
    values = [value for _, value in pairs]
    text = b"\n" + b"\n".join(values) + b"\n"
    if text.count(b"\n") != len(values) + 1 or b"\r" in text or b"\0" in text:
        return "a field value holds CR, LF or NUL"
    if b"\n " in text or b" \n" in text or b"\n\t" in text or b"\t\n" in text:
        return "a field value starts or ends with a blank"
    return None


class Shapes:
    """Verdicts on sequences of names, remembered: a client sends the same few over and over."""

    __slots__ = ("_allowed", "_required", "_seen")

    def __init__(self, *, request: bool) -> None:
        self._required = _REQUEST if request else {b":status"}
        self._allowed = self._required | {b":authority"} if request else self._required
        self._seen: dict[tuple[bytes, ...], Shape] = {}

    def of(self, pairs: Pairs) -> Shape:
        names = tuple([name for name, _ in pairs])
        shape = self._seen.get(names)
        if shape is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            shape = self._seen[names] = self._judge(names)
        return shape

    def _judge(self, names: tuple[bytes, ...]) -> Shape:
        at = {name: index for index, name in enumerate(names)}
        return Shape(self._fault(names), at.get(b"content-length", -1), at.get(b"te", -1), at.get(b":path", -1))

    def _fault(self, names: tuple[bytes, ...]) -> str | None:
        pseudo = [name for name in names if name.startswith(b":")]
        if len(set(pseudo)) < len(pseudo):
            return "a pseudo-header field comes twice"
        if not self._required <= set(pseudo) <= self._allowed:
            return "the pseudo-header fields are not those of this kind of message"
        if list(names[: len(pseudo)]) != pseudo:
            return "a pseudo-header field follows a regular one"
        for name in names[len(pseudo) :]:
            if not name or b":" in name or not _FORBIDDEN.isdisjoint(name):
                return "a field name is empty or has a character it may not have"
            if name in _CONNECTION:
                return "a field belongs to HTTP/1 connections"
        if names.count(b"content-length") > 1:
            return "content-length comes twice"
        return None


def content_length(pairs: Pairs, shape: Shape) -> int | None:
    """The announced length, -1 without one, None if it is no number."""
    if shape.length_at < 0:
        return -1
    value = pairs[shape.length_at][1]
    return int(value) if value.isdigit() and len(value) < 16 else None
