"""Frames by hand, and two sessions joined in memory."""

from __future__ import annotations

from typing import Any

from heliogram.wire import ClientSession, Event, Head, ProtocolError, Request, ServerEvent, ServerSession
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import raw_string

TOKEN = b"0123456789abcdef" * 4
PATH = b"/3/device/" + TOKEN
OK = b"\x88"
ID = b"3f1b9c2a-5d4e-4f6a-8b7c-9d0e1f2a3b4c"

Frame = tuple[int, int, int, bytes]  # type, flags, stream, payload


def plain(name: bytes, value: bytes) -> bytes:
    """A literal field that enters no table."""
    return b"\x00" + raw_string(name) + raw_string(value)


def headers(stream_id: int, block: bytes, *, end: bool = True, flags: int = f.END_HEADERS) -> bytes:
    return f.frame(f.HEADERS, flags | (f.END_STREAM if end else 0), stream_id, block)


def data(stream_id: int, body: bytes = b"", *, end: bool = True) -> bytes:
    return f.frame(f.DATA, f.END_STREAM if end else 0, stream_id, body)


def request_block(path: bytes = PATH, *extra: tuple[bytes, bytes]) -> bytes:
    """A POST without references to the dynamic table."""
    block = b"\x83\x87\x04" + raw_string(path) + b"\x01" + raw_string(b"api.push.apple.com")
    return block + b"".join([plain(name, value) for name, value in extra])


def split(wire: bytes) -> list[Frame]:
    """The frames in a piece of the byte stream; a client's preface is skipped."""
    at = len(f.PREFACE) if wire.startswith(f.PREFACE) else 0
    found = []
    while at < len(wire):
        high, low, kind, flags, stream_id = f.unpack_frame(wire, at)
        end = at + 9 + (high << 16 | low)
        assert end <= len(wire), "a frame is cut"
        found.append((kind, flags, stream_id, wire[at + 9 : end]))
        at = end
    return found


def kinds(wire: bytes) -> list[int]:
    return [kind for kind, *_ in split(wire)]


def settings(*pairs: tuple[int, int]) -> bytes:
    return f.settings_frame(*pairs)


def client(*pairs: tuple[int, int], **options: Any) -> ClientSession:
    """A client whose peer has sent SETTINGS; all it had to write is taken."""
    session = ClientSession(b"api.push.apple.com", **options)
    session.feed(settings(*pairs))
    session.take()
    return session


def server(*pairs: tuple[int, int], **options: Any) -> ServerSession:
    """A server whose client has sent preface, SETTINGS and an acknowledgement; all it had to write is taken."""
    session = ServerSession(**options)
    session.feed(f.PREFACE + settings(*pairs) + f.frame(f.SETTINGS, f.ACK, 0))
    session.take()
    return session


def head(session: ClientSession) -> Head:
    return session.head([(b"apns-topic", b"com.example.app")], sensitive=[(b"authorization", b"bearer abc")])


def push(shared: Head, tag: Any = None, body: bytes = b'{"aps":{}}', own: bytes = ID) -> Request:
    return Request(shared, PATH, ((b"apns-id", own),), body, tag)


def opened(session: ClientSession, *tags: Any, body: bytes = b'{"aps":{}}') -> None:
    """Opens one request for each tag and takes what was written."""
    shared = head(session)
    assert session.submit([push(shared, tag, body) for tag in tags]) == len(tags)
    session.take()


def join(one: ClientSession, other: ServerSession) -> tuple[list[Event], list[ServerEvent]]:
    """Carries bytes both ways until neither side has any."""
    answers: list[Event] = []
    requests: list[ServerEvent] = []
    while True:
        up, down = one.take(), other.take()
        if not up and not down:
            return answers, requests
        requests += other.feed(up)
        answers += one.feed(down)


def failure(session: ClientSession | ServerSession, wire: bytes) -> ProtocolError:
    """The error these bytes cause."""
    try:
        session.feed(wire)
    except ProtocolError as error:
        return error
    raise AssertionError("no ProtocolError")
