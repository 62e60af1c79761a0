"""Frames (RFC 9113 §4, §6): layout, constants, and checks that need no session."""

from __future__ import annotations

from struct import Struct, error, iter_unpack

from heliogram.wire.errors import ErrorCode, ProtocolError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6

DEFAULT_WINDOW = 65535
DEFAULT_FRAME = 16384
MAX_WINDOW = MAX_STREAM_ID = UNLIMITED = (1 << 31) - 1
LARGEST_FRAME = (1 << 24) - 1

# Length as 8 and 16 bits, type, flags, stream: `unpack_frame(data, offset)` and `pack_frame(...)`.
_LAYOUT = Struct(">BHBBI")
unpack_frame = _LAYOUT.unpack_from
pack_frame = _LAYOUT.pack
_SETTING = Struct(">HI")


def protocol_error(section: str, detail: str) -> ProtocolError:
    """A PROTOCOL_ERROR, the code most rules of RFC 9113 ask for."""
    return ProtocolError(ErrorCode.PROTOCOL_ERROR, f"RFC 9113 §{section}", detail)


def size_error(section: str, detail: str) -> ProtocolError:
    return ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"RFC 9113 §{section}", detail)


def calm_error(section: str, detail: str) -> ProtocolError:
    """The peer makes us work or remember more than a bound of ours allows (RFC 9113 §10.5)."""
    return ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"RFC 9113 §{section}", detail)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    size = len(payload)
    return pack_frame(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def settings_frame(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join([_SETTING.pack(key, value) for key, value in pairs]))


def window_frame(stream_id: int, increment: int) -> bytes:
    return pack_frame(0, 4, WINDOW_UPDATE, 0, stream_id) + increment.to_bytes(4, "big")


def reset_frame(stream_id: int, code: int) -> bytes:
    return pack_frame(0, 4, RST_STREAM, 0, stream_id) + code.to_bytes(4, "big")


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


def header_frames(stream_id: int, flags: int, block: bytes, max_frame: int) -> bytes:
    """HEADERS with as many CONTINUATION frames as the peer's frame size asks for (RFC 9113 §6.10)."""
    if len(block) <= max_frame:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[at : at + max_frame] for at in range(0, len(block), max_frame)]
    out = [frame(HEADERS, flags, stream_id, parts[0])]
    out += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    out.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(out)


def request_frames(sid: int, block: bytes, body: bytes) -> bytes:
    """Both frames of a request none of whose parts needs more than one."""
    size = len(body)
    if not size:
        return pack_frame(0, len(block), HEADERS, 5, sid) + block
    return pack_frame(0, len(block), HEADERS, 4, sid) + block + pack_frame(0, size, DATA, 1, sid) + body


def unpad(kind: int, flags: int, payload: bytes) -> bytes:
    """The payload of DATA or HEADERS without padding and priority fields (RFC 9113 §6.1, §6.2)."""
    section = "6.1" if kind == DATA else "6.2"
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise size_error(section, "a padded frame is too short for its pad length")
        start, end = 1, end - payload[0]
    if kind == HEADERS and flags & WITH_PRIORITY:
        start += 5
        if start > len(payload):
            raise size_error(section, "HEADERS is too short for its priority fields")
    if end < start:
        raise protocol_error(section, "the padding is longer than the frame")
    return payload[start:end]


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Pairs of a SETTINGS frame, in order, each value within its range (RFC 9113 §6.5.2); unknown ones are kept."""
    try:
        pairs: list[tuple[int, int]] = list(iter_unpack(">HI", payload))
    except error:
        raise size_error("6.5", f"SETTINGS of {len(payload)} bytes is no multiple of 6") from None
    for key, value in pairs:
        if key == ENABLE_PUSH and value > 1:
            raise protocol_error("6.5.2", f"ENABLE_PUSH is {value}; it must be 0 or 1")
        if key == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            detail = f"INITIAL_WINDOW_SIZE is {value}, above 2^31-1"
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "RFC 9113 §6.5.2", detail)
        if key == MAX_FRAME_SIZE and not DEFAULT_FRAME <= value <= LARGEST_FRAME:
            raise protocol_error("6.5.2", f"MAX_FRAME_SIZE is {value}; it must be 16384 to 16777215")
    return pairs


_SIZES = {RST_STREAM: (4, "6.4"), PING: (8, "6.7"), WINDOW_UPDATE: (4, "6.9"), PRIORITY: (5, "6.3")}
_SECTIONS = {DATA: "6.1", HEADERS: "6.2", PRIORITY: "6.3", RST_STREAM: "6.4", CONTINUATION: "6.10"}
_CONNECTION = {SETTINGS: "6.5", PING: "6.7", GOAWAY: "6.8"}


def check_frame(kind: int, flags: int, stream_id: int, size: int) -> None:
    """Fixed lengths, and whether the type belongs to a stream or to the connection (RFC 9113 §6)."""
    if kind in _SIZES and size != _SIZES[kind][0]:
        raise size_error(_SIZES[kind][1], f"frame type {kind} has {size} bytes instead of {_SIZES[kind][0]}")
    if kind in _SECTIONS and not stream_id:
        raise protocol_error(_SECTIONS[kind], f"frame type {kind} came on stream 0")
    if kind in _CONNECTION and stream_id:
        raise protocol_error(_CONNECTION[kind], f"frame type {kind} came on stream {stream_id}")
    if kind == SETTINGS and flags & ACK and size:
        raise size_error("6.5", "a SETTINGS acknowledgement carries a payload")
    if kind == GOAWAY and size < 8:
        raise size_error("6.8", f"GOAWAY of {size} bytes is shorter than 8")


def parse_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """(last stream id, error code, debug data) of a GOAWAY frame that `check_frame` passed."""
    last = int.from_bytes(payload[:4], "big") & MAX_STREAM_ID
    return last, int.from_bytes(payload[4:8], "big"), payload[8:]


def parse_increment(payload: bytes) -> int:
    """The increment of a WINDOW_UPDATE; zero ends the connection, on a stream too (RFC 9113 §6.9, §5.4.1)."""
    increment = int.from_bytes(payload, "big") & MAX_WINDOW
    if not increment:
        raise protocol_error("6.9", "WINDOW_UPDATE adds nothing")
    return increment
