"""The client session: many small requests out, short answers in."""

from __future__ import annotations

from typing import Any

from heliogram.wire import frames
from heliogram.wire.client_frames import ClientFrames
from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.events import Answered, Event


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
        self._buffer = b""
        self._error: ProtocolError | None = None
        self._out += [
            frames.PREFACE,
            frames.settings_frame((frames.ENABLE_PUSH, 0), (frames.MAX_HEADER_LIST_SIZE, max_header_list_size)),
        ]
        if receive_window > frames.DEFAULT_WINDOW:
            self._out.append(frames.window_frame(0, receive_window - frames.DEFAULT_WINDOW))

    def __repr__(self) -> str:
        state = "failed" if self._error else "draining" if self.draining else "open" if self._settled else "new"
        limit = "no limit" if self._limit == frames.UNLIMITED else f"limit {self._limit}"
        opened = (self._next - 1) // 2
        return f"<ClientSession {state}, {len(self._open)} in flight, {limit}, {opened} opened, window {self._window}>"

    @property
    def error(self) -> ProtocolError | None:
        """The error that ended the session, also while `feed()` still has to raise it."""
        return self._error

    def take(self) -> bytes:
        """Bytes to write now, b"" when there are none."""
        self._owed = 0
        return super().take()

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

    def feed(self, data: bytes) -> list[Event]:
        """Events out of received bytes.

        `ProtocolError` when the peer broke the protocol; GOAWAY is then queued for `take()` and each later call
        raises the same error. When events came in front of the error in the same bytes they are returned first:
        `error` is set and the next call raises.
        """
        if self._error:
            raise self._error
        if self._buffer:
            data = self._buffer + data
        events: list[Event] = []
        try:
            self._buffer = data[self._frames(data, events) :]
        except ProtocolError as error:
            self._fail(error)
            if not events:
                raise
        return events

    def _fail(self, error: ProtocolError) -> None:
        self._error = error
        self._draining = True
        self._buffer = b""
        self._blocked.clear()
        self._out.append(frames.goaway_frame(0, error.code, str(error).encode()))

    def _frames(self, data: bytes, events: list[Event]) -> int:
        """Handles all complete frames; returns where the first incomplete one starts."""
        at, end = 0, len(data)
        opened, unpack, plain, report = self._open, frames.unpack_frame, self._plain, events.append
        while end - at >= 9:
            high, low, kind, flags, sid = unpack(data, at)
            size = high << 16 | low
            if size > frames.DEFAULT_FRAME:
                raise frames.size_error("4.2", f"a frame of {size} bytes is above our MAX_FRAME_SIZE of 16384")
            start = at + 9
            stop = start + size
            if stop > end:
                break
            at = stop
            if size == self._plain_size and kind == 1 and flags == 5 and data.startswith(plain, start):
                # ":status: 200" and an uncoded literal `apns-id` that enters no table: nothing to decode.
                request = opened.get(sid)
                if (
                    request is not None
                    and request.fields
                    and request.fields[0] == (b"apns-id", data[start + len(plain) : stop])
                    and self._is_plain(sid)
                ):
                    del opened[sid]
                    report(Answered(request.tag, 200, None, b""))
                    continue
            self._handle(kind, flags, sid & frames.MAX_STREAM_ID, data[start:stop], events)
            plain = self._plain
        return at

    def _is_plain(self, sid: int) -> bool:
        """Nothing came on this stream before, its body is out, and no header block is unfinished: no book to clear."""
        return not (sid in self._answers or sid in self._blocked or sid in self._credit or self._block)
