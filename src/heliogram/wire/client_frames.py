"""What a client session does with each frame off the fast path."""

from __future__ import annotations

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
from heliogram.wire.hpack_decoder import Decoder, Pair

_UNTAKEN = 1000  # replies the peer may make us queue between two `take()` calls
_CONTINUATIONS = 32  # frames a header block may be cut into
_EMPTY = 100  # empty DATA frames, beyond one for each answer
_INFORMATIONAL = 16  # 1xx header sections in front of one answer


class _Answer:
    """An answer that is not complete yet."""

    __slots__ = ("body", "credit", "expected", "headers", "informational", "kept", "size", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = ()
        self.body: list[bytes] = []
        self.kept = 0
        self.size = 0
        self.expected = -1
        self.credit = frames.DEFAULT_WINDOW
        self.informational = 0


class ClientFrames(ClientSender):
    """Frame handlers and the state they need; `ClientSession` puts the byte stream in front."""

    def __init__(
        self, authority: bytes, scheme: bytes, stream_limit: int, window: int, max_list: int, max_body: int
    ) -> None:
        super().__init__(authority, scheme, stream_limit)
        self._decoder = Decoder()
        self._checker = Checker(request=False)
        self._max_list = max_list
        self._max_body = max_body
        self._receive = self._receive_full = window
        self._block: tuple[int, int, list[bytes]] | None = None  # stream, flags and parts of an unfinished block
        self._answers: dict[int, _Answer] = {}
        self._owed = self._empty = 0
        # What stood in front of the id in the last plain answer, the answer's length, and the table it was made under.
        self._plain = b""
        self._plain_size = -1
        self._plain_generation = -1

    def _handle(self, kind: int, flags: int, sid: int, payload: bytes, events: list[Event]) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or sid != self._block[0]):
            raise frames.protocol_error("6.10", f"frame type {kind} came inside a header block")
        if not self._settled and kind not in (frames.SETTINGS, frames.GOAWAY):
            raise frames.protocol_error("3.4", f"the first frame is of type {kind} instead of SETTINGS")
        frames.check_frame(kind, flags, sid, len(payload))
        if kind == frames.DATA:
            self._on_data(flags, sid, payload, events)
        elif kind in (frames.HEADERS, frames.CONTINUATION):
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

    def _owe(self, reply: bytes) -> None:
        """Queues a reply the peer provoked, within a bound."""
        self._owed += 1
        if self._owed > _UNTAKEN:
            raise frames.calm_error("10.5", f"more than {_UNTAKEN} replies were asked for at once")
        self._out.append(reply)

    def _check_known(self, sid: int, section: str) -> None:
        """A stream we never opened is idle, and one with an even number can never be (RFC 9113 §5.1)."""
        if sid >= self._next or not sid & 1:
            raise frames.protocol_error(section, f"a frame came for stream {sid}, which is idle")

    # ---- answers

    def _on_headers(self, kind: int, flags: int, sid: int, payload: bytes, events: list[Event]) -> None:
        """HEADERS and CONTINUATION: collects a block within bounds, then decodes it (RFC 9113 §4.3, §6.10)."""
        if kind == frames.CONTINUATION:
            if self._block is None:
                raise frames.protocol_error("6.10", "CONTINUATION without an unfinished header block")
            _, first_flags, parts = self._block
            parts.append(payload)
        else:
            self._check_known(sid, "6.2")
            first_flags, parts = flags, [frames.unpad(kind, flags, payload)]
        if len(parts) > _CONTINUATIONS or sum(map(len, parts)) > max(frames.DEFAULT_FRAME, 2 * self._max_list):
            raise frames.calm_error("10.5.1", "a header block is too long or cut into too many frames")
        if not flags & frames.END_HEADERS:
            self._block = (sid, first_flags, parts)
            return
        self._block = None
        block = b"".join(parts)
        generation = self._decoder.generation
        pairs = self._decoder.decode(block)  # always: the table must stay in step, whatever becomes of the stream
        if self._decoder.generation != self._plain_generation:
            self._plain_size = -1
        request = self._open.get(sid)
        if request is None:
            return
        if sid in self._answers and self._answers[sid].status:
            self._on_trailers(sid, first_flags, events)
            return
        if self._decoder.generation == generation and kind == frames.HEADERS and flags == 5:
            self._learn_plain(block, pairs, generation)
        self._on_answer(sid, request, first_flags, pairs, events)

    def _learn_plain(self, block: bytes, pairs: list[Pair], generation: int) -> None:
        """Remembers how this peer writes ":status: 200" with an `apns-id`, if it does so without coding the id."""
        if len(pairs) != 2 or pairs[0] != (b":status", b"200") or pairs[1][0] != b"apns-id":
            return
        value = pairs[1][1]
        cut = len(block) - len(value)
        if len(value) < 0x7F and block[:1] == b"\x88" and block[cut - 1 :] == bytes((len(value),)) + value:
            self._plain, self._plain_size, self._plain_generation = block[:cut], len(block), generation

    def _on_answer(self, sid: int, request: Request, flags: int, pairs: list[Pair], events: list[Event]) -> None:
        if len(pairs) * FIELD > self._max_list:  # a kilobyte of references may stand for megabytes: do not look
            self._give_up(sid, ErrorCode.ENHANCE_YOUR_CALM, events)
            return
        found = self._checker.check(pairs)
        if found.size > self._max_list:
            self._give_up(sid, ErrorCode.ENHANCE_YOUR_CALM, events)
            return
        status = None if found.fault else _status(pairs)
        if status is None:
            self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        answer = self._answers.get(sid) or _Answer()
        if status < 200:
            answer.informational += 1
            self._answers[sid] = answer
            if flags & frames.END_STREAM or answer.informational > _INFORMATIONAL:
                self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        answer.status, answer.headers = status, tuple(pairs[1:])
        answer.expected = -1 if status in (204, 304) else found.length
        if not flags & frames.END_STREAM:
            self._answers[sid] = answer
            return
        plain = status == 200 and len(pairs) == 2 and request.fields[:1] == (pairs[1],) and pairs[1][0] == b"apns-id"
        self._finish(sid, answer, events, plain=plain)

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
        if self._receive <= self._receive_full // 2:
            self._out.append(frames.window_frame(0, self._receive_full - self._receive))
            self._receive = self._receive_full

    def _finish(self, sid: int, answer: _Answer, events: list[Event], *, plain: bool = False) -> None:
        if answer.expected >= 0 and answer.expected != answer.size:
            self._give_up(sid, ErrorCode.PROTOCOL_ERROR, events)
            return
        if sid in self._blocked:  # the peer answered without wanting the rest of the body
            self._owe(frames.reset_frame(sid, ErrorCode.CANCEL))
        self._answers.pop(sid, None)
        self._empty = max(0, self._empty - 1)
        request = self._forget(sid)
        if request is not None:
            headers = None if plain else answer.headers
            events.append(Answered(request.tag, answer.status, headers, b"".join(answer.body)))
        self._pump()

    def _give_up(self, sid: int, code: ErrorCode, events: list[Event]) -> None:
        """A stream error (RFC 9113 §5.4.2): RST_STREAM to the peer, `Reset` to the caller."""
        self._owe(frames.reset_frame(sid, code))
        self._answers.pop(sid, None)
        request = self._forget(sid)
        if request is not None:
            events.append(Reset(request.tag, code))
        self._pump()

    # ---- the rest

    def _on_reset(self, sid: int, code: int, events: list[Event]) -> None:
        """RST_STREAM; a second one, or one after the answer, is of no interest (CONN-17)."""
        self._check_known(sid, "6.4")
        self._answers.pop(sid, None)
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
            self._answers.pop(sid, None)
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
                self._stream_window = value
                if any(value + credit > frames.MAX_WINDOW for credit in self._credit.values()):
                    detail = "INITIAL_WINDOW_SIZE takes a stream's window above 2^31-1"
                    raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "RFC 9113 §6.9.2", detail)
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
        """WINDOW_UPDATE; a stream's windows above 2^31-1 end the connection too, as RFC 9113 §5.4.1 allows."""
        if not sid:
            self._window += increment
            reached = self._window
        else:
            self._check_known(sid, "6.9")
            if sid not in self._open:
                return
            self._credit[sid] = self._credit.get(sid, 0) + increment
            reached = self._stream_window + self._credit[sid]
        if reached > frames.MAX_WINDOW:
            detail = f"WINDOW_UPDATE takes a window to {reached}, above 2^31-1"
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "RFC 9113 §6.9.1", detail)
        self._pump()


def _status(pairs: list[Pair]) -> int | None:
    """The status code, None unless it has three digits (RFC 9113 §8.3.2)."""
    value = pairs[0][1]
    return int(value) if len(value) == 3 and value.isdigit() and value >= b"100" else None
