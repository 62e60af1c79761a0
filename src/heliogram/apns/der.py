"""Just enough DER to read the list of topics in a certificate (CERT-2)."""

from __future__ import annotations

from collections.abc import Iterator

SEQUENCE = 0x30
UTF8_STRING = 0x0C


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, content) pairs in `data`. Raises `ValueError` when it is not DER."""
    position = 0
    while position < len(data):
        tag, length, start = _header(data, position)
        position = start + length
        if position > len(data):
            raise ValueError("an element is longer than what holds it")
        yield tag, data[start:position]


def _header(data: bytes, position: int) -> tuple[int, int, int]:
    if position + 2 > len(data):
        raise ValueError("an element is cut short")
    tag, length, start = data[position], data[position + 1], position + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 3 or start + count > len(data):
            raise ValueError("an element has an impossible length")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    return tag, length, start


def topics(data: bytes) -> list[str]:
    """The topics of extension 1.2.840.113635.100.6.3.6, in order: UTF8String, SEQUENCE of kinds, and so on."""
    outer = list(elements(data))
    if len(outer) != 1 or outer[0][0] != SEQUENCE:
        raise ValueError("not one SEQUENCE")
    return [content.decode("utf-8") for tag, content in elements(outer[0][1]) if tag == UTF8_STRING]
