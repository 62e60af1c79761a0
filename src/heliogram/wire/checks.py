"""Whether a header section is well formed (RFC 9113 §8.1.1 to §8.3), and a name may be sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

_CONNECTION = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_REQUEST = {b":method", b":scheme", b":path"}
_REMEMBERED = 256
FIELD = 32
"""What a field counts in a list beyond its name and value (RFC 9113 §6.5.2)."""
_strip = bytes.strip  # gives the same object back when there is nothing to strip
_FORBIDDEN = frozenset(range(0x21)) | frozenset(range(0x41, 0x5B)) | frozenset(range(0x7F, 0x100))

Pairs = Sequence[tuple[bytes, bytes]]


class Shape(Struct, frozen=True, gc=False):
    """What the names of a section say: what is wrong with them, what they count, where some fields stand (or -1)."""

    fault: str | None
    size: int
    length_at: int
    te_at: int
    path_at: int


Finding: TypeAlias = tuple[str | None, int, int]
"""Why a section is malformed, or None; its size (RFC 9113 §6.5.2); the content-length it announces, or -1."""


class Checker:
    """Judges header sections. Verdicts on sequences of names are remembered: a peer sends the same few again."""

    __slots__ = ("_allowed", "_blanks", "_required", "_seen")

    def __init__(self, *, request: bool) -> None:
        self._blanks = request
        self._required = _REQUEST if request else {b":status"}
        self._allowed = self._required | {b":authority"} if request else self._required
        self._seen: dict[tuple[bytes, ...], Shape] = {}

    @property
    def known(self) -> dict[tuple[bytes, ...], Shape]:
        """What is remembered of sequences of names."""
        return self._seen

    def check(self, pairs: Pairs) -> Finding:
        if not pairs:
            return "the header section is empty", 0, -1
        names, values = zip(*pairs)  # noqa: B905 - a pair has two items, and asking costs a third of it
        shape = self._seen.get(names)
        if shape is None:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            shape = self._seen[names] = self._judge(names)
        text = b"".join(values)
        fault, length = shape.fault, -1
        # Most answers hold no blank at all. Requests do, behind "bearer": for them the question would be in vain.
        if 0 in text or (
            (self._blanks or text.split() != [text])
            and (10 in text or 13 in text or tuple(map(_strip, values)) != values)
        ):
            fault = "a field value holds CR, LF or NUL, or starts or ends with a blank"
        elif not values[shape.path_at]:
            fault = ":path is empty"
        elif shape.te_at >= 0 and values[shape.te_at] != b"trailers":
            fault = "te says something else than trailers"
        elif shape.length_at >= 0:
            announced = values[shape.length_at]
            if announced.isdigit() and len(announced) < 16:
                length = int(announced)
            else:
                fault = "content-length is no number"
        return fault, shape.size + len(text), length

    def _judge(self, names: tuple[bytes, ...]) -> Shape:
        at = {name: index for index, name in enumerate(names)}
        size = sum(map(len, names)) + FIELD * len(names)
        path_at = at.get(b":path", at.get(b":status", 0))
        return Shape(self._fault(names), size, at.get(b"content-length", -1), at.get(b"te", -1), path_at)

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


def check_name(name: bytes) -> None:
    """`ValueError` for a field name that may not be sent in a request (RFC 9113 §8.2)."""
    if not name or name.startswith(b":") or name != name.lower() or any(b <= 0x20 or b >= 0x7F for b in name):
        raise ValueError(f"the field name {name!r} must be lower case ASCII and not start with a colon")
    if name in _CONNECTION:
        raise ValueError(f"the field {name!r} belongs to HTTP/1 connections; leave it out")
