"""What must hold for every input, shared by the hypothesis tests and by the coverage-guided `scripts/fuzz`.

Each target takes any bytes. The first is a mode (see `Mode`), the rest what a peer sends. A target returns when all is
well and raises for a broken promise: `ProtocolError` is the only exception a session may raise, every tag that was
submitted ends once and no more, and what is queued, buffered or remembered stays within its bounds.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable, Iterator
from pathlib import Path

from support import frames as s

from heliogram.wire import (
    Answered,
    ClientSession,
    ErrorCode,
    Event,
    ProtocolError,
    Received,
    Request,
    Reset,
    ServerEvent,
    ServerSession,
    Unprocessed,
)
from heliogram.wire import frames as f
from heliogram.wire.hpack_decoder import Decoder

LARGEST_INPUT = 8192
_QUEUED = 1 << 20
"""Bytes a session may have to write after one input of at most `LARGEST_INPUT` bytes."""
_STREAMS = (0, 1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 255, 256, 0x7FFFFFFF, 0x80000001, 0xFFFFFFFF)
_BODIES = (b'{"aps":{}}', b"", b"x" * 100, b"y" * 1500)
_HUGE = b"z" * 65500
_PUSHES = 16
_PIECES = 32
_SETTLED = f.settings_frame((f.MAX_CONCURRENT_STREAMS, 8), (f.INITIAL_WINDOW_SIZE, 1000))


class Mode(enum.IntFlag):
    """The first byte of an input."""

    FRAMED = 1
    """The rest is records (type, flags, stream's index, length, payload) that are made frames: lengths are right."""
    SETTLED = 2
    """The connection is up before the input comes."""
    CUT = 4
    """The input comes in pieces, whose size is the next byte."""
    ACTIVE = 8
    """The user of the session goes on between the pieces: more requests, cancels, pings, resets, new limits."""
    HUGE = 16
    """The client has bodies as large as the connection's window."""


def _frames(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(data):
        kind, flags, stream, size = data[at : at + 4]
        at += 4
        # A type above 15 asks for a payload of 128 times the length: the large ones.
        payload = data[at : at + size]
        at += size
        if kind & 0x80:
            payload *= 128
        yield f.frame(kind & 0x0F, flags, _STREAMS[stream & 0x0F], payload[: f.DEFAULT_FRAME + 1])


def _pieces(mode: Mode, data: bytes) -> list[bytes]:
    step = 0
    if mode & Mode.CUT:
        step, data = data[0] + 1 if data else 1, data[1:]
    wire = b"".join(_frames(data)) if mode & Mode.FRAMED else data
    if not step:
        return [wire]
    step = max(step, -(-len(wire) // _PIECES))
    return [wire[at : at + step] for at in range(0, len(wire), step)]


def _split(data: bytes) -> tuple[Mode, list[bytes]]:
    data = data[:LARGEST_INPUT]
    mode = Mode(data[0] & 0x1F) if data else Mode(0)
    return mode, _pieces(mode, data[1:])


# ---- the client session


def _ended(events: list[Event]) -> Iterator[int]:
    for event in events:
        if isinstance(event, Answered | Reset | Unprocessed):
            tag: int = event.tag
            yield tag


class _Client:
    def __init__(self, mode: Mode) -> None:
        self.session = ClientSession(b"host", initial_stream_limit=4)
        self.active = bool(mode & Mode.ACTIVE)
        self.bodies = (*_BODIES[:3], _HUGE) if mode & Mode.HUGE else _BODIES
        secret = ((b"authorization", b"bearer abc"),)
        self.head = self.session.head([(b"apns-topic", b"com.example.app")], sensitive=secret)
        self.submitted = 0
        self.ended: list[int] = []
        self.turns = 0
        if mode & Mode.SETTLED:
            self.session.feed(_SETTLED)
        self.submit(4)

    def submit(self, count: int) -> None:
        tags = range(self.submitted, min(_PUSHES, self.submitted + count))
        batch = [
            Request(self.head, b"/3/device/ab", ((b"apns-id", b"%08d" % tag),), self.bodies[tag % 4], tag)
            for tag in tags
        ]
        try:
            self.submitted += self.session.submit(batch)
        except ValueError as error:
            if "MAX_HEADER_LIST_SIZE" not in str(error):
                raise

    def turn(self) -> None:
        self.turns += 1
        if self.turns % 3 == 0:
            tag = self.submitted - 1
            if self.session.cancel(tag):
                self.ended.append(tag)
        elif self.turns % 16 == 1:
            self.session.ping(b"12345678")
        if self.turns & 1:
            self.submit(2)
        self.bounds()

    def bounds(self) -> None:
        session = self.session
        assert len(session.take()) <= _QUEUED
        assert len(session._buffer) <= f.DEFAULT_FRAME + 9
        assert session.inflight + len(self.ended) == self.submitted
        assert set(session._answers) <= set(session._open)
        assert set(session._blocked) <= set(session._open)
        assert set(session._credit) <= set(session._open)
        assert all(answer.kept <= 65536 for answer in session._answers.values())
        assert session._decoder._size <= f.LARGEST_FRAME


def client(data: bytes) -> str:
    """A client session under any bytes; says how the input ended."""
    mode, pieces = _split(data)
    user = _Client(mode)
    session = user.session
    outcome = "fine"
    try:
        for piece in pieces:
            user.ended += _ended(session.feed(piece))
            if session.error is not None:
                raise session.error
            if user.active:
                user.turn()
    except ProtocolError as error:
        outcome = _told(session, error)
    user.bounds()
    left = session.abandon()
    assert sorted([*user.ended, *left]) == list(range(user.submitted)), "a tag was lost or came twice"
    return outcome


def _told(session: ClientSession | ServerSession, error: ProtocolError) -> str:
    """After an error: it stays, and the peer is told by GOAWAY with its code."""
    assert session.error is error
    assert isinstance(error.code, ErrorCode)
    assert error.section.startswith("RFC ")
    again: ProtocolError | None = None
    try:
        session.feed(b"anything")
    except ProtocolError as raised:
        again = raised
    assert again is error, "a failed session took more bytes"
    wire = session.take()
    assert wire.find(f.pack_frame(0, 0, f.GOAWAY, 0, 0)[3:]) >= 0, "no GOAWAY"
    return error.section


# ---- the server session


class _Server:
    def __init__(self, mode: Mode) -> None:
        self.session = ServerSession(stream_limit=5, initial_window=2000, max_body=3000)
        self.active = bool(mode & Mode.ACTIVE)
        self.received: set[int] = set()
        self.turns = 0
        if mode & Mode.SETTLED:
            self.session.feed(f.PREFACE + f.settings_frame() + f.frame(f.SETTINGS, f.ACK, 0))

    def digest(self, events: list[ServerEvent]) -> None:
        for event in events:
            if isinstance(event, Received):
                assert event.stream_id not in self.received, "a request came twice"
                assert len(event.body) == min(event.size, 3000)
                self.received.add(event.stream_id)
                if event.stream_id % 4 == 1:
                    self.session.respond(event.stream_id, 200, ((b"apns-id", b"abc"),))
                elif event.stream_id % 8 == 3:
                    self.session.respond(event.stream_id, 400, (), b'{"reason":"BadTopic"}' * 100)

    def turn(self) -> None:
        self.turns += 1
        if self.turns % 4 == 0:
            self.session.reset(self.session.last_stream_id, 7)
        if self.turns % 8 == 5:
            self.session.set_stream_limit(self.turns % 3)
        if self.turns == 40:
            self.session.goaway(0, b"bye")
        self.bounds()

    def bounds(self) -> None:
        session = self.session
        assert len(session.take()) <= _QUEUED
        assert len(session._buffer) <= f.DEFAULT_FRAME + 9
        assert session.open_streams <= 1000
        assert all(upload.kept <= 3000 for upload in session._uploads.values())
        assert set(session._credit) <= {*session._uploads, *session._unanswered, *session._sending, *session._stalled}
        assert session._decoder._size <= 4096


def server(data: bytes) -> str:
    """A server session under any bytes; says how the input ended."""
    mode, pieces = _split(data)
    user = _Server(mode)
    session = user.session
    outcome = "fine"
    try:
        for piece in pieces:
            user.digest(session.feed(piece))
            if session.error is not None:
                raise session.error
            if user.active:
                user.turn()
    except ProtocolError as error:
        outcome = _told(session, error)
    user.bounds()
    return outcome


# ---- the HPACK decoder


def hpack(data: bytes) -> str:
    """A decoder under blocks of any bytes, cut at 0xFF 0x00; the table stays within its size."""
    data = data[:LARGEST_INPUT]
    decoder = Decoder()
    if data[:1] == b"\x01":
        decoder.limit(100)
    for block in data[1:].split(b"\xff\x00"):
        try:
            pairs = decoder.decode(block)
        except ProtocolError as error:
            if error.code is not ErrorCode.COMPRESSION_ERROR:
                raise AssertionError("a decoder knows one kind of error") from error
            return error.section
        # A reference costs one byte and may name 4 KiB; a coded byte makes at most 8/5 of one.
        assert len(pairs) <= len(block)
        assert decoder._size <= 4096
        assert decoder._size == sum(len(name) + len(value) + 32 for name, value in decoder._dynamic[62:])
        assert all(len(value) <= max(4096, 2 * len(block)) for _, value in pairs)
    return "fine"


TARGETS: dict[str, Callable[[bytes], str]] = {"client": client, "server": server, "hpack": hpack}


# ---- the corpus

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
_BLOCK = b"\x88" + s.plain(b"apns-id", s.ID)
_DOWN = (
    f.settings_frame((f.MAX_CONCURRENT_STREAMS, 50)),
    s.headers(1, _BLOCK),
    s.headers(3, b"\x08\x03410" + b"\x40\x07apns-id\x24" + s.ID, end=False) + s.data(3, b'{"reason":"Unregistered"}'),
    f.frame(f.HEADERS, 1, 5, _BLOCK[:3]) + f.frame(f.CONTINUATION, 4, 5, _BLOCK[3:]),
    f.frame(f.PING, 0, 0, b"12345678") + f.reset_frame(7, 7),
    f.window_frame(0, 1000) + f.window_frame(7, 1000),
    f.settings_frame((f.HEADER_TABLE_SIZE, 0), (f.INITIAL_WINDOW_SIZE, 10), (f.MAX_HEADER_LIST_SIZE, 100)),
    f.goaway_frame(3, 0, b'{"reason":"Shutdown"}'),
)
_UP = (
    s.headers(1, s.request_block(), end=False) + s.data(1, b"{}"),
    s.headers(3, s.request_block(s.PATH, (b"content-length", b"0"))),
    f.frame(f.HEADERS, 0x28, 5, b"\x01" + bytes(5) + s.request_block()[:9] + b"\0")
    + f.frame(f.CONTINUATION, 4, 5, s.request_block()[9:])
    + f.frame(f.DATA, 9, 5, b"\x03{}" + bytes(3)),
    s.headers(7, s.request_block(), end=False) + s.data(7, b"a", end=False) + s.headers(7, s.plain(b"x", b"y")),
    f.frame(f.PING, 1, 0, b"12345678") + s.headers(9, s.request_block(), end=False) + f.reset_frame(9, 8),
    f.settings_frame((f.HEADER_TABLE_SIZE, 0), (f.INITIAL_WINDOW_SIZE, 10)) + f.window_frame(0, 1000),
    f.goaway_frame(0, 0, b"bye"),
)
_BLOCKS = (
    s.request_block(),
    b"\x3f\xe1\x1f" + b"\x40\x01a\x01b\xbe",
    b"\x20\x48\x03410\x7f\x00\x01x",
    b"\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    b"\x10\x0dauthorization\x0abearer abc" + b"\x82\x86\x84",
)


def seeds(target: str) -> list[bytes]:
    """Inputs to start from: valid traffic in every mode, or valid header blocks."""
    if target == "hpack":
        return [b"\0" + b"\xff\x00".join(_BLOCKS), *(bytes((mode,)) + block for block in _BLOCKS for mode in (0, 1))]
    parts = _DOWN if target == "client" else _UP
    greeting = b"" if target == "client" else f.PREFACE + f.settings_frame() + f.frame(f.SETTINGS, 1, 0)
    found = []
    for mode in (0, Mode.CUT | Mode.ACTIVE, Mode.SETTLED, Mode.SETTLED | Mode.ACTIVE | Mode.CUT):
        start = bytes((mode, 20)) if mode & Mode.CUT else bytes((mode,))
        hello = b"" if mode & Mode.SETTLED else greeting
        found += [start + hello + part for part in parts] + [start + hello + b"".join(parts)]
    for mode in (Mode.FRAMED | Mode.SETTLED, Mode.FRAMED | Mode.SETTLED | Mode.ACTIVE, Mode.FRAMED):
        records = [_record(*one) for part in parts for one in s.split(part)]
        found += [bytes((mode,)) + record for record in records] + [bytes((mode,)) + b"".join(records)]
    return found


def _record(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return bytes((kind, flags, _STREAMS.index(stream), len(payload))) + payload


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept, one a line in base64."""
    path = CORPUS / f"{target}.txt"
    return [base64.b64decode(line) for line in path.read_text("ascii").split()] if path.exists() else []
