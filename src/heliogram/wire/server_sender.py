"""The sending half of a server session: answers, resets, GOAWAY, and the limits and windows they obey."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from heliogram.wire import frames
from heliogram.wire.events import Headers, ServerEvent
from heliogram.wire.hpack_decoder import Decoder
from heliogram.wire.hpack_encoder import DEFAULT_TABLE, LENGTHS, integer, literal, raw_string
from heliogram.wire.session import Session

_UNACKNOWLEDGED = 1000  # streams a client may open before it has seen our first SETTINGS
_REMEMBERED = 1000  # streams we ended and still expect late frames on
_NAMES = 256  # response field names kept encoded
_NOTES = 100  # notes kept until they are taken

_STATUS = {200: b"\x88", 204: b"\x89", 206: b"\x8a", 304: b"\x8b", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}
_STATUS |= {code: b"\x08\x03%d" % code for code in range(100, 600) if code not in _STATUS}


class Note(Struct, frozen=True, gc=False):
    """Something the client did that ended in no event: "malformed", "stream-limit", "too-long", "after-goaway" for a
    request that was refused here, "priority" for a frame that was ignored. `stream_id` is the first stream it concerns.
    """

    kind: str
    stream_id: int
    detail: str


class Upload(Struct, gc=False):
    """A request whose headers are here and whose body is not complete."""

    headers: Headers
    expected: int  # content-length, or -1
    credit: int  # bytes the client may still send on this stream
    size: int = 0
    kept: int = 0
    body: list[bytes] | None = None


class ServerSender(Session[ServerEvent]):
    """State and methods for what leaves; `ServerFrames` adds what arrives."""

    def __init__(self, stream_limit: int, max_list: int, header_table: int) -> None:
        super().__init__(Decoder(header_table), max_list)
        self._uploads: dict[int, Upload] = {}
        self._unanswered: set[int] = set()
        # Answers whose body waits for the connection's window, oldest first, and those that wait for their own: apart,
        # so that a flood of WINDOW_UPDATE does not walk the ones it cannot move.
        self._sending: dict[int, bytes] = {}
        self._stalled: dict[int, bytes] = {}
        self._ended: dict[int, None] = {}  # streams we ended by RST_STREAM, the latest only
        self._last = 0
        self._limit = stream_limit
        self._acknowledged = max(stream_limit, _UNACKNOWLEDGED)
        self._announced: deque[int] = deque()  # one entry for each SETTINGS not yet acknowledged
        self._update = b""  # a table size update that the next header block must start with
        self._names: dict[bytes, bytes] = {}
        self._answered = 0
        self._goaway_at: int | None = None
        self._gone = False
        self.notes: list[Note] = []

    # ---- questions

    def take_notes(self) -> list[Note]:
        """What the client did since the last call that ended in no event, at most a hundred notes."""
        taken, self.notes = self.notes, []
        return taken

    def _note(self, kind: str, sid: int, detail: str = "") -> None:
        if len(self.notes) < _NOTES:
            self.notes.append(Note(kind, sid, detail))

    @property
    def said_goaway(self) -> bool:
        """Whether we have sent GOAWAY."""
        return self._goaway_at is not None

    @property
    def table_generation(self) -> int:
        """Changes whenever the client puts something into the header table."""
        return self._decoder.generation

    @property
    def table_names(self) -> set[bytes]:
        """The names of the fields that the client has in the header table now."""
        return self._decoder.names

    @property
    def open_streams(self) -> int:
        """Streams that hold a request or an answer not yet complete."""
        return len(self._uploads) + len(self._unanswered) + len(self._sending) + len(self._stalled)

    def _is_open(self, sid: int) -> bool:
        return sid in self._unanswered or sid in self._uploads or sid in self._sending or sid in self._stalled

    @property
    def _highest(self) -> int:
        return self._last

    @property
    def last_stream_id(self) -> int:
        """The highest stream the client opened, 0 before the first."""
        return self._last

    @property
    def stream_limit(self) -> int:
        """The limit last announced; the client may not have acknowledged it yet."""
        return self._limit

    @property
    def closed(self) -> bool:
        """Nothing more will happen: a connection error, or GOAWAY from either side and no stream left."""
        return self._error is not None or ((self._gone or self._goaway_at is not None) and not self.open_streams)

    @property
    def _effective_limit(self) -> int:
        """Limits in flight count as soon as they are higher, and only when acknowledged if they are lower."""
        limit = self._acknowledged
        for announced in self._announced:
            if announced > limit:
                limit = announced
        return limit

    # ---- sending

    def respond(self, stream_id: int, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes = b"") -> None:
        """Answers a received request; dropped in silence when the stream is gone.

        `ValueError` for a status outside 200 to 599. `headers` are sent as literals that enter no table.
        """
        start = _STATUS.get(status)
        if start is None or status < 200:
            raise ValueError(f"status is {status}; it must be 200 to 599")
        if stream_id not in self._unanswered:
            return
        self._unanswered.discard(stream_id)
        self._answered += 1
        block = self._update + start
        self._update = b""
        names = self._names
        for name, value in headers:
            prefix = names.get(name)
            if prefix is None:
                prefix = self._learn(name)
            size = len(value)
            block += prefix + (LENGTHS[size] + value if size < 1024 else raw_string(value))
        width, size = len(block), len(body)
        if width > frames.DEFAULT_FRAME:
            self._out.append(frames.header_frames(stream_id, 0 if size else 1, block, self._max_frame))
        else:
            self._out.append(frames.pack_frame(0, width, 1, 4 if size else 5, stream_id) + block)
        if size:
            self._sending[stream_id] = body
            if len(self._sending) == 1 or self._window > 0:
                self._send(stream_id)
        else:
            self._credit.pop(stream_id, None)

    def _learn(self, name: bytes) -> bytes:
        if len(self._names) >= _NAMES:
            self._names.clear()
        prefix = self._names[name] = literal(name, b"")[:-1]
        return prefix

    def _send(self, sid: int) -> None:
        """Sends of one answer's body what the windows allow (RFC 9113 §6.9)."""
        body = self._sending[sid]
        at, end = 0, len(body)
        credit = self._credit.get(sid, 0)
        while at < end:
            size = min(end - at, self._window, self._stream_window + credit, self._max_frame)
            if size <= 0:
                self._credit[sid] = credit
                if self._stream_window + credit > 0:
                    self._sending[sid] = body[at:]
                else:
                    del self._sending[sid]
                    self._stalled[sid] = body[at:]
                return
            flags = frames.END_STREAM if at + size == end else 0
            self._out.append(frames.frame(frames.DATA, flags, sid, body[at : at + size]))
            self._window -= size
            credit -= size
            at += size
        del self._sending[sid]
        self._credit.pop(sid, None)

    def _revive(self, sid: int) -> None:
        """This stream's window grew: its answer moves on, or joins those that wait for the connection's."""
        body = self._stalled.get(sid)
        if body is not None and self._stream_window + self._credit.get(sid, 0) > 0:
            del self._stalled[sid]
            self._sending[sid] = body
            if self._window > 0:
                self._send(sid)

    def _pump(self) -> None:
        """The connection's window grew: the answers that wait for it move on, oldest first."""
        for sid in list(self._sending):
            if self._window <= 0:
                return
            self._send(sid)

    def reset(self, stream_id: int, code: int) -> None:
        """Ends a stream by RST_STREAM; without effect when it is gone."""
        if self._drop(stream_id):
            self._out.append(self._end(stream_id, code))

    def _end(self, sid: int, code: int) -> bytes:
        """An RST_STREAM; late frames on the stream will be tolerated."""
        self._note_ended(sid)
        return frames.reset_frame(sid, code)

    def _note_ended(self, sid: int) -> None:
        if len(self._ended) >= _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._ended[sid] = None

    def _drop(self, sid: int) -> bool:
        """Takes a stream out of all books; False if it was in none."""
        self._credit.pop(sid, None)
        if sid in self._unanswered:
            self._unanswered.discard(sid)
            return True
        return any(book.pop(sid, None) is not None for book in (self._uploads, self._sending, self._stalled))

    def goaway(self, code: int = 0, debug: bytes = b"", last_stream_id: int | None = None) -> None:
        """Queues GOAWAY (RFC 9113 §6.8). Streams above `last_stream_id` (the highest opened by default) are dropped."""
        last = self._last if last_stream_id is None else last_stream_id
        if self._goaway_at is not None:
            last = min(last, self._goaway_at)  # it must never grow
        self._goaway_at = last
        for sid in [*self._uploads, *self._unanswered, *self._sending, *self._stalled]:
            if sid > last:
                self._drop(sid)
        self._out.append(frames.goaway_frame(last, code, debug))

    def set_stream_limit(self, limit: int) -> None:
        """Announces a new MAX_CONCURRENT_STREAMS; streams above it are refused once the client has acknowledged it."""
        self._limit = limit
        self._announced.append(limit)
        self._out.append(frames.settings_frame((frames.MAX_CONCURRENT_STREAMS, limit)))

    def _resize_table(self, limit: int) -> None:
        """The client's HEADER_TABLE_SIZE: our table stays empty, a lower limit must be confirmed (RFC 7541 §4.2)."""
        if limit < DEFAULT_TABLE:
            self._update = integer(0x20, 0x1F, 0)
