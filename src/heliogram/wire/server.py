"""The server session: requests in, answers out. It shares frames and HPACK with the client session, nothing else."""

from __future__ import annotations

import re

from heliogram.wire import frames
from heliogram.wire.errors import ProtocolError
from heliogram.wire.events import Received, ServerEvent
from heliogram.wire.server_frames import ServerFrames

_HTTP1 = re.compile(rb"([A-Z]{1,10} \S{0,200}) HTTP/1\.")


class ServerSession(ServerFrames):
    """HTTP/2 from the server's side, without I/O.

    Give what the client sent to `feed()`, write what `take()` gives after every call. The defaults are what APNs has
    shown (CONN-13). All bounds are in bytes but `stream_limit`. `connection_window` is how much body the client may
    send on the whole connection before a WINDOW_UPDATE, `update_after` how much of a window is used up before one goes
    out (half of it by default).
    """

    def __init__(
        self,
        *,
        stream_limit: int = 1000,
        initial_window: int = 65535,
        max_frame: int = 16384,
        max_header_list: int = 8000,
        header_table: int = 4096,
        max_body: int = 8192,
        connection_window: int = 65535,
        update_after: int | None = None,
    ) -> None:
        if not frames.DEFAULT_FRAME <= max_frame <= frames.LARGEST_FRAME:
            raise ValueError(f"max_frame is {max_frame}; it must be 16384 to 16777215")
        if not frames.DEFAULT_WINDOW <= connection_window <= frames.MAX_WINDOW:
            raise ValueError(f"connection_window is {connection_window}; it must be 65535 to 2147483647")
        if not 1 <= initial_window <= frames.MAX_WINDOW:
            raise ValueError(f"initial_window is {initial_window}; it must be 1 to 2147483647")
        super().__init__(
            stream_limit, initial_window, max_header_list, header_table, max_body, connection_window, update_after
        )
        self._frame_limit = max_frame
        self._greeted = False
        self._announced.append(stream_limit)
        self._out.append(
            frames.settings_frame(
                (frames.HEADER_TABLE_SIZE, header_table),
                (frames.MAX_CONCURRENT_STREAMS, stream_limit),
                (frames.INITIAL_WINDOW_SIZE, initial_window),
                (frames.MAX_FRAME_SIZE, max_frame),
                (frames.MAX_HEADER_LIST_SIZE, max_header_list),
            )
        )
        if connection_window > frames.DEFAULT_WINDOW:
            self._out.append(frames.window_frame(0, connection_window - frames.DEFAULT_WINDOW))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "draining" if self._goaway_at is not None or self._gone else "open"
        return f"<ServerSession {state}, {self.open_streams} open of {self._limit}, last stream {self._last}>"

    def _fail(self, error: ProtocolError) -> None:
        super()._fail(error)
        self._out.append(frames.goaway_frame(self._last, error.code, error.detail.encode()))

    def _greet(self, data: bytes) -> int:
        """Checks the preface as far as it is here; returns where it ends, or 0 (RFC 9113 §3.4)."""
        start = data[: len(frames.PREFACE)]
        if not frames.PREFACE.startswith(start):
            # The wording a provider sees when it speaks HTTP/1 to APNs (CONN-12).
            line = _HTTP1.match(data[:256])
            asked = line[1].decode("ascii", "replace") if line else ""
            raise frames.protocol_error("3.4", f"Unexpected HTTP/1.x request: {asked}" if line else "bad preface")
        self._greeted = len(start) == len(frames.PREFACE)
        return len(start) if self._greeted else 0

    def _frames(self, data: bytes, events: list[ServerEvent]) -> int:
        """Handles the preface and all complete frames; returns where the first incomplete one starts."""
        at, end = 0, len(data)
        if not self._greeted:
            at = self._greet(data)
            if not self._greeted:
                return 0
        unpack, uploads = frames.unpack_frame, self._uploads
        while end - at >= 9:
            high, low, kind, flags, sid = unpack(data, at)
            size = high << 16 | low
            if size > self._frame_limit:
                limit = self._frame_limit
                raise frames.size_error("4.2", f"a frame of {size} bytes is above our MAX_FRAME_SIZE of {limit}")
            start = at + 9
            stop = start + size
            if stop > end:
                break
            at = stop
            if kind == 1 and flags == 4 and 0 < sid <= frames.MAX_STREAM_ID and self._settled and self._block is None:
                self._on_block(sid, 4, data[start:stop], events)
                continue
            if kind == 0 and flags == 1 and self._block is None:
                upload = uploads.get(sid)
                # The body in one frame, as nearly every push has it.
                if (
                    upload is not None
                    and upload.body is None
                    and upload.expected in (-1, size)
                    and size <= upload.credit
                ):
                    del uploads[sid]
                    self._unanswered.add(sid)
                    self._count_received(size)
                    body = data[start : min(stop, start + self._max_body)]
                    events.append(Received(sid, upload.headers, body, size))
                    continue
            self._handle(kind, flags, sid & frames.MAX_STREAM_ID, data[start:stop], events)
        return at
