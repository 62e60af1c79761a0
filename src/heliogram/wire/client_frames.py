"""What a client session does with each frame off the fast path."""

from __future__ import annotations

from struct import Struct as Layout
from typing import TypeAlias

from msgspec import Struct

from heliogram.wire import frames
from heliogram.wire.checks import FIELD, Checker
from heliogram.wire.client_sender import ClientSender
from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.events import (
    Answered,
    Event,
    GoAway,
    Headers,
    Pong,
    Request,
    Reset,
    SettingsChanged,
    Unprocessed,
)
from heliogram.wire.hpack_decoder import Pair

_EMPTY = 100  # empty DATA frames, beyond one for each answer
_INFORMATIONAL = 16  # 1xx header sections in front of one answer
_OK = (b":status", b"200")
PLAIN = len(b":status200apns-id") + 2 * FIELD  # what a plain answer's list counts beside the id
_STATUS = {b"%d" % status: status for status in range(100, 1000)}  # three digits (RFC 9113 §8.3.2)
_BODILESS = frozenset((204, 304))
FINAL = {text: status for text, status in _STATUS.items() if status >= 200 and status not in _BODILESS}
"""Of the statuses that end an answer those that may have a body."""
Begun: TypeAlias = "tuple[int, list[Pair], int]"


class Unfinished(Struct, gc=False):
    """An answer that is not complete yet."""

    status: int = 0
    headers: Headers = ()
    expected: int = -1  # content-length, or -1
    size: int = 0
    kept: int = 0
    credit: int = frames.DEFAULT_WINDOW
    informational: int = 0
    body: list[bytes] | None = None


class ClientFrames(ClientSender):
    """Frame handlers and the state they need; `ClientSession` puts the byte stream in front."""

    def __init__(
        self, authority: bytes, scheme: bytes, stream_limit: int, window: int, max_list: int, max_body: int
    ) -> None:
        super().__init__(authority, scheme, stream_limit, max_list)
        self._checker = Checker(request=False)
        self._max_body = max_body
        self._receive = self._receive_full = window
        self._receive_low = window // 2
        self._answers: dict[int, Unfinished] = {}
        # The last plain answer: what stood in front of its id, its length, the table it was made under, and how such
        # a frame is laid out. Nothing is remembered while the length is -1.
        self._plain = b""
        self._plain_size = -1
        self._plain_generation = -1
        self._plain_front = b""
        self._plain_layout = Layout("")

    def _handle(self, kind: int, flags: int, sid: int, payload: bytes, events: list[Event]) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or sid != self._block[0]):
            raise frames.protocol_error("6.10", f"frame type {kind} came inside a header block")
        if not self._settled and kind not in (frames.SETTINGS, frames.GOAWAY):
            raise frames.protocol_error("3.4", f"the first frame is of type {kind} instead of SETTINGS")
        frames.check_frame(kind, flags, sid, len(payload))
        if kind == frames.DATA:
            self._on_data(flags, sid, payload, events)
        elif kind in (frames.HEADERS, frames.CONTINUATION):
            if kind == frames.HEADERS:
                self._check_known(sid, "6.2")
            self._on_headers(kind, flags, sid, payload, events)
        elif kind == frames.RST_STREAM:
            self._on_reset(sid, int.from_bytes(payload, "big"), events)
        elif kind == frames.SETTINGS:
            self._on_settings(flags, payload, events)
        elif kind == frames.WINDOW_UPDATE:
            self._on_window(sid, frames.parse_increment(payload))
        elif kind == frames.PING:
            self._on_ping(flags, payload, events)
        elif kind == frames.GOAWAY:
            self._on_goaway(payload, events)
        elif kind == frames.PUSH_PROMISE:
            raise frames.protocol_error("8.4", "PUSH_PROMISE came though ENABLE_PUSH is 0")

    # ---- answers

    def _on_block(self, sid: int, flags: int, block: bytes, events: list[Event], begun: Begun | None = None) -> None:
        """A complete header block: the start of an answer, the whole of it, or its trailers.

        `begun` is where the twin stopped in it, what it had read, and the generation of the table before that.
        """
        decoder = self._decoder
        # Always: the table must stay in step, whatever becomes of the stream.
        if begun is None:
            generation = decoder.generation
            pairs = decoder.decode(block)
        else:
            at, pairs, generation = begun
            decoder.decode(block, at, pairs)
        if decoder.generation != self._plain_generation:
            self._plain_size = -1
        request = self._open.get(sid)
        if request is None:
            return
        if (
            flags & 1
            and len(pairs) == 2
            and pairs[1] == (request.fields[0] if request.fields else None)
            and pairs[0] == _OK
            and pairs[1][0] == b"apns-id"
            and len(pairs[1][1]) <= self._max_list - PLAIN
            and not (sid in self._answers or sid in self._blocked or sid in self._credit)
        ):
            # The pair is our own, so there is nothing to check in it; and there is no book to clear.
            del self._open[sid]
            if self._empty:
                self._empty -= 1
            events.append(Answered(request.tag, 200, None, b""))
            if flags == 5 and decoder.generation == generation and block.endswith(pairs[1][1]):
                self._learn_plain(block, pairs[1][1])
            return
        if sid in self._answers and self._answers[sid].status:
            self._on_trailers(sid, flags, events)
        else:
            self._on_answer(sid, request, flags, pairs, events)

    def _learn_plain(self, block: bytes, own: bytes) -> None:
        """Remembers how this peer writes ":status: 200" with an `apns-id`, if it does so without coding the id.

        Such a block leaves the table as it is. It is one if another id in the same place is read as that other id.
        """
        size = len(own)
        cut = len(block) - size
        if not 0 < size < 0x7F or block[cut - 1 :] != bytes((size,)) + own:
            return
        lead, other = block[:cut], b"\x82" * size  # bytes that would change no table, wherever they stood
        try:
            pairs = self._decoder.decode(lead + other)
        except ProtocolError:
            return
        if pairs != [_OK, (b"apns-id", other)]:
            return
        self._plain, self._plain_size, self._plain_generation = lead, len(block), self._decoder.generation
        self._plain_front = frames.pack_frame(0, len(block), frames.HEADERS, 5, 0)[:5]
        self._plain_layout = Layout(f">5sI{cut}s{size}s")

    def _on_answer(self, sid: int, request: Request, flags: int, pairs: list[Pair], events: list[Event]) -> None:
        if len(pairs) * FIELD > self._max_list:  # a kilobyte of references may stand for megabytes: do not look
            self._give_up(sid, ErrorCode.ENHANCE_YOUR_CALM, events)
            return
        fault, size, length = self._checker.check(pairs)
        if size > self._max_list:
            self._give_up(sid, ErrorCode.ENHANCE_YOUR_CALM, events)
            return
        status = None if fault else _STATUS.get(pairs[0][1])
        if status is None:
            self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        if status < 200:
            answer = self._answers.get(sid) or Unfinished()
            answer.informational += 1
            self._answers[sid] = answer
            if flags & frames.END_STREAM or answer.informational > _INFORMATIONAL:
                self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        answer = Unfinished(status, tuple(pairs[1:]), -1 if status in _BODILESS else length)
        if not flags & frames.END_STREAM:
            self._answers[sid] = answer
            return
        found = answer.headers
        plain = status == 200 and len(found) == 1 and found[0][0] == b"apns-id" and found == request.fields[:1]
        self._finish(sid, answer, events, plain=plain)

    def _on_body(self, sid: int, answer: Unfinished, body: bytes, events: list[Event]) -> bool:
        """The whole body in one frame without padding; False, and nothing done, where there is more to look at."""
        size = len(body)
        if not answer.status or answer.body is not None or size > self._max_body:
            return False
        if answer.expected not in (-1, size) or sid in self._blocked or sid in self._credit:
            return False
        self._count_received(size)
        del self._answers[sid]
        if self._empty:
            self._empty -= 1
        request = self._open.pop(sid)
        events.append(Answered(request.tag, answer.status, answer.headers, body))
        return True

    def _on_trailers(self, sid: int, flags: int, events: list[Event]) -> None:
        """Trailers are decoded and dropped; they must end the stream (RFC 9113 §8.1)."""
        if flags & frames.END_STREAM:
            self._finish(sid, self._answers[sid], events)
        else:
            self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)

    def _on_data(self, flags: int, sid: int, payload: bytes, events: list[Event]) -> None:
        self._check_known(sid, "6.1")
        self._count_received(len(payload))
        body = frames.unpad(frames.DATA, flags, payload) if flags & frames.PADDED else payload
        answer = self._answers.get(sid)
        if answer is None or not answer.status:
            if sid in self._open:
                self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        answer.credit -= len(payload)
        answer.size += len(body)
        if answer.body is None:
            answer.body = []
        if answer.kept < self._max_body:
            piece = body[: self._max_body - answer.kept]
            answer.kept += len(piece)
            answer.body.append(piece)
        if flags & frames.END_STREAM:
            self._finish(sid, answer, events)
        elif not payload:
            self._empty += 1
            if self._empty > _EMPTY:
                raise frames.calm_error("10.5", f"more than {_EMPTY} empty DATA frames")
        elif answer.credit <= frames.DEFAULT_WINDOW // 2:
            self._out.append(frames.window_frame(sid, frames.DEFAULT_WINDOW - answer.credit))
            answer.credit = frames.DEFAULT_WINDOW

    def _count_received(self, size: int) -> None:
        """The connection's window: padding counts, and so do frames for streams that are gone (RFC 9113 §6.9).

        Credit goes back when half is used: more than 32,767 bytes are left when a frame of at most 16,384 arrives,
        so no peer can overdraw this window or a stream's.
        """
        self._receive -= size
        if self._receive <= self._receive_low:
            self._out.append(frames.window_frame(0, self._receive_full - self._receive))
            self._receive = self._receive_full

    def _forget(self, sid: int) -> Request | None:
        self._answers.pop(sid, None)
        return super()._forget(sid)

    def _finish(self, sid: int, answer: Unfinished, events: list[Event], *, plain: bool = False) -> None:
        if answer.expected not in (-1, answer.size):
            self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        if sid in self._blocked:  # the peer answered without wanting the rest of the body
            self._owe(frames.reset_frame(sid, ErrorCode.CANCEL))
        if self._empty:
            self._empty -= 1
        request = self._forget(sid)
        if request is not None:
            headers = None if plain else answer.headers
            events.append(Answered(request.tag, answer.status, headers, b"".join(answer.body or ())))
        if self._blocked:
            self._pump()

    def _give_up(self, sid: int, code: ErrorCode, events: list[Event]) -> None:
        """A stream error (RFC 9113 §5.4.2): RST_STREAM to the peer, `Reset` to the caller."""
        self._owe(frames.reset_frame(sid, code))
        request = self._forget(sid)
        if request is not None:
            events.append(Reset(request.tag, code))
        self._pump()

    # ---- the rest

    def _on_reset(self, sid: int, code: int, events: list[Event]) -> None:
        """RST_STREAM; a second one, or one after the answer, is of no interest (CONN-17)."""
        self._check_known(sid, "6.4")
        request = self._forget(sid)
        if request is None:
            return
        if code == ErrorCode.REFUSED_STREAM:
            events.append(Unprocessed(request.tag, "REFUSED_STREAM", code))
        else:
            events.append(Reset(request.tag, code))
        self._pump()

    def _on_goaway(self, payload: bytes, events: list[Event]) -> None:
        event = GoAway(*frames.parse_goaway(payload))
        self._draining = True
        if self._goaway is None or (event.debug and not self._goaway.debug):
            self._goaway = event
        events.append(event)
        for sid in [sid for sid in self._open if sid > event.last_stream_id]:
            request = self._forget(sid)
            if request is not None:
                events.append(Unprocessed(request.tag, "GOAWAY", event.code))
        self._pump()

    def _on_ping(self, flags: int, payload: bytes, events: list[Event]) -> None:
        if flags & frames.ACK:
            events.append(Pong(payload))
        else:
            self._owe(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_settings(self, flags: int, payload: bytes, events: list[Event]) -> None:
        if flags & frames.ACK:
            return
        limit = self._limit if self._settled else frames.UNLIMITED
        for key, value in frames.parse_settings(payload):
            if key == frames.MAX_CONCURRENT_STREAMS:
                limit = min(value, frames.UNLIMITED)
            elif key == frames.INITIAL_WINDOW_SIZE:
                self._resize_windows(value)
            elif key == frames.MAX_FRAME_SIZE:
                self._max_frame = value
            elif key == frames.HEADER_TABLE_SIZE:
                self._encoder.resize(value)
            elif key == frames.MAX_HEADER_LIST_SIZE:
                self._list_limit = min(value, frames.UNLIMITED)
                self._encoder.stamp = object()  # every head has its room worked out anew
            elif key == frames.ENABLE_PUSH and value:
                raise frames.protocol_error("6.5.2", "a server must not set ENABLE_PUSH to 1")
        self._settled = True
        self._owe(frames.frame(frames.SETTINGS, frames.ACK, 0))
        if limit != self._limit:
            self._limit = limit
            events.append(SettingsChanged(limit))
        self._pump()

    def _on_window(self, sid: int, increment: int) -> None:
        """A WINDOW_UPDATE; for a stream whose body is sent to its end, END_STREAM with it, it says nothing.

        What was sent is not known any more then, so that credit for it would seem to be above all limits, and nothing
        is left that a window could hold back (RFC 9113 §6.9, §6.9.1).
        """
        if sid:
            self._check_known(sid, "6.9")
            if sid not in self._blocked:
                return
        self._grow(sid, increment)
        self._pump()
