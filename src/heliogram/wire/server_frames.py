"""What a server session does with each frame."""

from __future__ import annotations

from heliogram.wire import frames
from heliogram.wire.checks import FIELD, Checker
from heliogram.wire.errors import ErrorCode, ProtocolError
from heliogram.wire.events import ClientGone, Pinged, Pong, Received, ServerEvent, StreamReset
from heliogram.wire.hpack_decoder import Pair
from heliogram.wire.server_sender import ServerSender, Upload

_EMPTY = 100  # empty DATA frames, beyond one for each answer
_RESETS = 200  # streams the client may reset, beyond one for each answer


class ServerFrames(ServerSender):
    """Frame handlers and the state they need; `ServerSession` puts the byte stream in front."""

    def __init__(
        self,
        stream_limit: int,
        initial_window: int,
        max_list: int,
        header_table: int,
        max_body: int,
        window: int,
        update_after: int | None,
    ) -> None:
        super().__init__(stream_limit, max_list, header_table)
        self._header_table: int | None = header_table  # until the client acknowledged it
        self._checker = Checker(request=True)
        self._max_body = max_body
        self._receive = self._receive_full = window
        self._upload_window = initial_window
        # Until the client acknowledged our window it may send as much as the default one allows.
        self._upload_credit = max(initial_window, frames.DEFAULT_WINDOW)
        self._update_after = update_after
        self._receive_low = self._low(window)
        self._resets = 0

    def _low(self, window: int) -> int:
        """What may be left of a window before it is filled up again."""
        return window // 2 if self._update_after is None else max(0, window - self._update_after)

    def _handle(self, kind: int, flags: int, sid: int, payload: bytes, events: list[ServerEvent]) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or sid != self._block[0]):
            raise frames.protocol_error("6.10", f"frame type {kind} came inside a header block")
        if not self._settled and kind != frames.SETTINGS:
            raise frames.protocol_error("3.4", f"the first frame is of type {kind} instead of SETTINGS")
        if kind == frames.HEADERS and flags & ~frames.END_STREAM == frames.END_HEADERS and sid:
            self._on_block(sid, flags, payload, events)
            return
        frames.check_frame(kind, flags, sid, len(payload))
        if kind == frames.DATA:
            self._on_data(flags, sid, payload, events)
        elif kind in (frames.HEADERS, frames.CONTINUATION):
            self._on_headers(kind, flags, sid, payload, events)
        elif kind == frames.WINDOW_UPDATE:
            self._on_window(sid, frames.parse_increment(payload))
        elif kind == frames.RST_STREAM:
            self._on_reset(sid, int.from_bytes(payload, "big"), events)
        elif kind == frames.SETTINGS:
            self._on_settings(flags, payload)
        elif kind == frames.PING:
            self._on_ping(flags, payload, events)
        elif kind == frames.GOAWAY:
            self._gone = True
            events.append(ClientGone(*frames.parse_goaway(payload)))
        elif kind == frames.PRIORITY:
            self._note("priority", sid)
        elif kind == frames.PUSH_PROMISE:
            raise frames.protocol_error("8.4", "a client must not send PUSH_PROMISE")

    # ---- requests

    def _on_block(self, sid: int, flags: int, block: bytes, events: list[ServerEvent]) -> None:
        """A complete header block: opens a stream, or ends one with trailers."""
        pairs = self._decoder.decode(block)  # always: the table must stay in step, whatever becomes of the stream
        if sid <= self._last:
            self._on_trailers(sid, flags, events)
            return
        if not sid & 1:
            raise frames.protocol_error("5.1.1", f"a client must not open stream {sid}: its number is even")
        self._last = sid
        if self._goaway_at is not None and sid > self._goaway_at:
            self._note("after-goaway", sid)
            self._note_ended(sid)
        elif self.open_streams >= self._acknowledged and self.open_streams >= self._effective_limit:
            self._note("stream-limit", sid, str(self._effective_limit))
            self._owe(self._end(sid, ErrorCode.REFUSED_STREAM))
        else:
            self._open(sid, flags, pairs, events)

    def _open(self, sid: int, flags: int, pairs: list[Pair], events: list[ServerEvent]) -> None:
        if len(pairs) * FIELD > self._max_list:  # a kilobyte of references may stand for megabytes: do not look
            self._refuse_fields(sid, flags)
            return
        fault, size, length = self._checker.check(pairs)
        if size > self._max_list:
            self._refuse_fields(sid, flags)
        elif fault:
            self._note("malformed", sid, fault)
            self._owe(self._end(sid, ErrorCode.PROTOCOL_ERROR))
        elif not flags & frames.END_STREAM:
            self._uploads[sid] = Upload(tuple(pairs), length, self._upload_credit)
        elif length > 0:
            self._note("malformed", sid, "content-length announces a body and there is none")
            self._owe(self._end(sid, ErrorCode.PROTOCOL_ERROR))
        else:
            self._unanswered.add(sid)
            events.append(Received(sid, tuple(pairs), b"", 0))

    def _refuse_fields(self, sid: int, flags: int) -> None:
        """More header fields than we take: 431 without asking the caller (RFC 9113 §10.5.1)."""
        self._note("too-long", sid, str(self._max_list))
        self._unanswered.add(sid)
        self.respond(sid, 431, ())
        if not flags & frames.END_STREAM:
            self._owe(self._end(sid, ErrorCode.NO_ERROR))

    def _on_trailers(self, sid: int, flags: int, events: list[ServerEvent]) -> None:
        """Trailers are decoded and dropped; they must end the request (RFC 9113 §8.1)."""
        upload = self._uploads.get(sid)
        if upload is not None:
            if flags & frames.END_STREAM:
                self._complete(sid, upload, events)
            else:
                self._owe(self._end(sid, ErrorCode.PROTOCOL_ERROR))
                self._drop(sid)
        elif sid not in self._ended:
            detail = f"HEADERS came for stream {sid}, which the client has ended"
            raise ProtocolError(ErrorCode.STREAM_CLOSED, "RFC 9113 §5.1", detail)

    def _on_data(self, flags: int, sid: int, payload: bytes, events: list[ServerEvent]) -> None:
        self._check_known(sid, "6.1")
        self._count_received(len(payload))
        body = frames.unpad(frames.DATA, flags, payload) if flags & frames.PADDED else payload
        upload = self._uploads.get(sid)
        if upload is None:
            if sid not in self._ended:
                self._drop(sid)
                self._owe(self._end(sid, ErrorCode.STREAM_CLOSED))
            return
        upload.credit -= len(payload)
        if upload.credit < 0:
            self._drop(sid)
            self._owe(self._end(sid, ErrorCode.FLOW_CONTROL_ERROR))
            return
        if upload.body is None:
            upload.body = []
        upload.size += len(body)
        if upload.kept < self._max_body:
            piece = body[: self._max_body - upload.kept]
            upload.kept += len(piece)
            upload.body.append(piece)
        if flags & frames.END_STREAM:
            self._complete(sid, upload, events)
        elif not payload:
            self._empty += 1
            if self._empty > _EMPTY + self._answered:
                raise frames.calm_error("10.5", f"more than {_EMPTY} empty DATA frames beyond the answers")
        elif upload.credit <= self._low(self._upload_window):
            increment = self._upload_window - upload.credit
            upload.credit += increment
            self._out.append(frames.window_frame(sid, increment))

    def _complete(self, sid: int, upload: Upload, events: list[ServerEvent]) -> None:
        del self._uploads[sid]
        if upload.expected not in (-1, upload.size):
            self._note("malformed", sid, "content-length is not the length of the body")
            self._owe(self._end(sid, ErrorCode.PROTOCOL_ERROR))
            return
        self._unanswered.add(sid)
        events.append(Received(sid, upload.headers, b"".join(upload.body or ()), upload.size))

    def _count_received(self, size: int) -> None:
        """The connection's window: padding counts, and so do frames for streams that are gone (RFC 9113 §6.9)."""
        self._receive -= size
        if self._receive < 0:
            detail = "DATA goes beyond the connection's window"
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "RFC 9113 §6.9.1", detail)
        if size and self._receive <= self._receive_low:
            self._out.append(frames.window_frame(0, self._receive_full - self._receive))
            self._receive = self._receive_full

    # ---- the rest

    def _on_reset(self, sid: int, code: int, events: list[ServerEvent]) -> None:
        """RST_STREAM, with a bound against a client that opens streams only to reset them (RFC 9113 §10.5)."""
        self._check_known(sid, "6.4")
        self._resets += 1
        if self._resets > _RESETS + self._answered:
            raise frames.calm_error("10.5", f"more than {_RESETS} resets beyond the answers")
        if self._drop(sid):
            self._note_ended(sid)
            events.append(StreamReset(sid, code))

    def _on_ping(self, flags: int, payload: bytes, events: list[ServerEvent]) -> None:
        if flags & frames.ACK:
            events.append(Pong(payload))
        else:
            self._owe(frames.frame(frames.PING, frames.ACK, 0, payload))
            events.append(Pinged(payload))

    def _on_settings(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            self._on_acknowledged()
            return
        for key, value in frames.parse_settings(payload):
            if key == frames.INITIAL_WINDOW_SIZE:
                self._resize_windows(value)
            elif key == frames.MAX_FRAME_SIZE:
                self._max_frame = value
            elif key == frames.HEADER_TABLE_SIZE:
                self._resize_table(value)
        self._settled = True
        self._owe(frames.frame(frames.SETTINGS, frames.ACK, 0))
        for sid in list(self._stalled):
            self._revive(sid)

    def _on_acknowledged(self) -> None:
        """The client applied the oldest SETTINGS it had not acknowledged; the first ones carry all our values."""
        if not self._announced:
            return
        self._acknowledged = self._announced.popleft()
        self._upload_credit = self._upload_window
        if self._header_table is not None:
            self._decoder.limit(self._header_table)
            self._header_table = None

    def _on_window(self, sid: int, increment: int) -> None:
        if not sid:
            self._grow(0, increment)
            self._pump()
            return
        self._check_known(sid, "6.9")
        if self._is_open(sid):
            self._grow(sid, increment)
            self._revive(sid)
