"""The client session: many small requests out, short answers in."""

from __future__ import annotations

from typing import Any

from heliogram import _accel
from heliogram.wire import frames
from heliogram.wire.checks import Shape
from heliogram.wire.client_frames import FINAL, PLAIN, ClientFrames, Unfinished
from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.events import Answered, Event, Request
from heliogram.wire.hpack_decoder import Decoder
from heliogram.wire.huffman import short_codes

_read_answers = _accel.twin(
    "read_answers", Answered, Request, 200, b"", Unfinished, Decoder, Shape, Unfinished(), FINAL, short_codes()
)


class ClientSession(ClientFrames):
    """HTTP/2 from the client's side, without I/O.

    Write what `take()` gives after every `submit`, `feed` and `close`; give what the peer sent to `feed()`. The
    preface, SETTINGS and WINDOW_UPDATE are queued from the start. `initial_stream_limit` holds until the peer's
    first SETTINGS. `receive_window` is the connection's (65,535 to 2^31-1 bytes); `max_header_list_size` and
    `max_body` (bytes) bound an answer.
    """

    def __init__(
        self,
        authority: bytes,
        *,
        scheme: bytes = b"https",
        initial_stream_limit: int = 1,
        receive_window: int = 1 << 20,
        max_header_list_size: int = 16384,
        max_body: int = 65536,
    ) -> None:
        if not frames.DEFAULT_WINDOW <= receive_window <= frames.MAX_WINDOW:
            raise ValueError(f"receive_window is {receive_window}; it must be 65535 to 2147483647")
        super().__init__(authority, scheme, initial_stream_limit, receive_window, max_header_list_size, max_body)
        self._out += [
            frames.PREFACE,
            frames.settings_frame((frames.ENABLE_PUSH, 0), (frames.MAX_HEADER_LIST_SIZE, max_header_list_size)),
        ]
        if receive_window > frames.DEFAULT_WINDOW:
            self._out.append(frames.window_frame(0, receive_window - frames.DEFAULT_WINDOW))
        # What the twin of `_frames` works with.
        open_books = (self._open, self._answers, self._blocked, self._credit)
        windows = (self._receive_low, frames.DEFAULT_WINDOW // 2)
        bounds = (max_header_list_size, max_header_list_size - PLAIN, max_body, *windows)
        self._books = (*open_books, self._decoder, self._checker.known, *bounds)

    def __repr__(self) -> str:
        state = "failed" if self._error else "draining" if self.draining else "open" if self._settled else "new"
        limit = "no limit" if self._limit == frames.UNLIMITED else f"limit {self._limit}"
        opened = (self._next - 1) // 2
        return f"<ClientSession {state}, {len(self._open)} in flight, {limit}, {opened} opened, window {self._window}>"

    def close(self) -> None:
        """Queues GOAWAY(NO_ERROR): no more submits, open streams may still finish."""
        if not self._draining:
            self._draining = True
            self._out.append(frames.goaway_frame(0, ErrorCode.NO_ERROR))

    def abandon(self) -> list[Any]:
        """The transport is gone: the tags of all open requests, oldest first. Nothing is left to send or to answer."""
        tags = [request.tag for request in self._open.values()]
        for book in (self._open, self._answers, self._credit, self._blocked, self._out):
            book.clear()
        self._buffer = b""
        self._block = None
        self._draining = True
        return tags

    def _fail(self, error: ProtocolError) -> None:
        super()._fail(error)
        self._draining = True
        self._blocked.clear()
        self._out.append(frames.goaway_frame(0, error.code, str(error).encode()))

    def _frames(self, data: bytes, events: list[Event]) -> int:
        """Handles all complete frames; returns where the first incomplete one starts."""
        at, end = 0, len(data)
        unpack, answers = frames.unpack_frame, self._answers
        while end - at >= 9:
            if _read_answers is not None and self._settled and self._block is None and not self._empty:
                at = self._on_row(data, at, events)
                if end - at < 9:
                    break
            high, low, kind, flags, sid = unpack(data, at)
            size = high << 16 | low
            if size > frames.DEFAULT_FRAME:
                raise frames.size_error("4.2", f"a frame of {size} bytes is above our MAX_FRAME_SIZE of 16384")
            start = at + 9
            stop = start + size
            if stop > end:
                break
            if kind == 1:
                # HEADERS that are a whole block, without padding or priority, of a stream we opened.
                if flags | 1 == 5 and self._block is None and sid in self._open and self._settled:
                    if size == self._plain_size and (after := self._on_plain(data, at, events)) > at:
                        at = after
                    else:
                        at = stop
                        self._on_block(sid, flags, data[start:stop], events)
                    continue
            elif kind == 0 and flags == 1 and self._block is None:
                answer = answers.get(sid)
                if answer is not None and self._on_body(sid, answer, data[start:stop], events):
                    at = stop
                    continue
            at = stop
            self._handle(kind, flags, sid & frames.MAX_STREAM_ID, data[start:stop], events)
        return at

    def _on_row(self, data: bytes, at: int, events: list[Event]) -> int:
        """Has the twin read the answers from `at` on, up to what it does not know; returns where they end."""
        books, decoder = self._books, self._decoder
        while True:
            plain = (self._plain_front, self._plain, self._plain_size)
            at, self._receive, rest = _read_answers(data, at, events, books, *plain, self._receive)
            if decoder.generation != self._plain_generation:
                self._plain_size = -1
            if rest is None:
                return at
            self._on_block(rest[0], rest[1], rest[2], events, rest[3:])

    def _on_plain(self, data: bytes, at: int, events: list[Event]) -> int:
        """Handles the plain answers from `at` on, as many as there are in a row; returns where they end.

        All they can differ in is the stream and the id, so there is nothing to decode; an answer that does not
        repeat the id of its request, or whose stream is in some book, ends the row.
        """
        layout, front, lead = self._plain_layout, self._plain_front, self._plain
        opened, answers, blocked, credit = self._open, self._answers, self._blocked, self._credit
        report, width = events.append, layout.size
        whole = (len(data) - at) // width * width
        for start, sid, before, own in layout.iter_unpack(memoryview(data)[at : at + whole]):
            if before != lead or start != front:
                break
            request = opened.get(sid)
            if request is None or not request.fields or request.fields[0] != (b"apns-id", own):
                break
            if sid in blocked or sid in credit or sid in answers:
                break
            del opened[sid]
            report(Answered(request.tag, 200, None, b""))
            at += width
        return at
