"""What a server said, read by hyperframe: a parser that is not ours."""

from __future__ import annotations

from hyperframe.frame import Frame


def frames_of(raw: bytes) -> list[Frame]:
    """The complete frames in it."""
    found, at = [], 0
    while at + 9 <= len(raw):
        frame, length = Frame.parse_frame_header(memoryview(raw[at : at + 9]))
        frame.parse_body(memoryview(raw[at + 9 : at + 9 + length]))
        found.append(frame)
        at += 9 + length
    return found
