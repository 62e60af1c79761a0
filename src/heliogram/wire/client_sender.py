"""The sending half of a client session: encodes requests, honours the peer's limits and windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

from heliogram import _accel
from heliogram.wire import frames
from heliogram.wire.checks import FIELD, check_name
from heliogram.wire.errors import ErrorCode
from heliogram.wire.events import NO_MOLD, Event, GoAway, Head, Headers, Packs, Request
from heliogram.wire.frames import request_frames
from heliogram.wire.hpack_decoder import Decoder
from heliogram.wire.hpack_encoder import LENGTHS, Encoder, literal, raw_string
from heliogram.wire.session import Session

_PATH = len(b":path") + FIELD
_MOLDS = 16  # combinations of lengths that are kept
_MOLD_SIZES = 256  # lengths of bodies that each has a function for
_NAMES = 64  # names without a place in the table that are kept ready made
_open_fast = _accel.twin("open_fast", Head, Request)


class ClientSender(Session[Event]):
    """State and methods for what leaves; `ClientFrames` adds what arrives."""

    def __init__(self, authority: bytes, scheme: bytes, stream_limit: int, max_list: int) -> None:
        super().__init__(Decoder(), max_list)
        self._authority = authority
        self._scheme = scheme
        self._encoder = Encoder()
        self._prefixes: dict[bytes, bytes] = {}  # names already encoded, true under the stamp below
        self._stamp: object = self._encoder.stamp
        self._longest_name = 0
        self._hidden: tuple[tuple[bytes, bytes], bytes] | None = None  # the last sensitive pair, and it encoded
        self._packs: dict[tuple[int, int, int, int], Packs] = {}
        self._open: dict[int, Request] = {}
        self._next = 1
        self._limit = stream_limit
        self._list_limit = frames.UNLIMITED
        self._blocked: dict[int, bytes] = {}  # bodies not sent to their end, oldest first
        self._draining = False
        self._goaway: GoAway | None = None

    # ---- questions

    @property
    def free(self) -> int:
        """Streams that `submit` would open now; 0 while draining or while a body waits for a window."""
        if self.draining or self._blocked:
            return 0
        return max(0, min(self._limit - len(self._open), (frames.MAX_STREAM_ID + 2 - self._next) // 2))

    @property
    def inflight(self) -> int:
        """Open streams."""
        return len(self._open)

    @property
    def stream_limit(self) -> int:
        """The live limit on open streams; 2**31-1 when the peer sets none."""
        return self._limit

    @property
    def window(self) -> int:
        """Bytes of body the connection may still send."""
        return self._window

    @property
    def window_blocked(self) -> bool:
        """A body waits for a WINDOW_UPDATE."""
        return bool(self._blocked)

    @property
    def draining(self) -> bool:
        """No stream will be opened any more: GOAWAY received, `close()` called, or stream ids used up."""
        return self._draining or self._next > frames.MAX_STREAM_ID

    @property
    def settled(self) -> bool:
        """The peer's first SETTINGS has arrived."""
        return self._settled

    @property
    def last_goaway(self) -> GoAway | None:
        """The first GOAWAY that carried debug data, else the first (CONN-21)."""
        return self._goaway

    @property
    def _highest(self) -> int:
        return self._next - 2

    # ---- sending

    def head(
        self,
        pairs: Iterable[tuple[bytes, bytes]],
        *,
        method: bytes = b"POST",
        sensitive: Iterable[tuple[bytes, bytes]] = (),
    ) -> Head:
        """Header pairs many requests share, encoded once and then sent as one-byte references.

        `sensitive` pairs are literals that nobody may index (RFC 7541 §6.2.3). `ValueError` for a name that is empty,
        has upper case letters or a colon in front, or belongs to a connection (RFC 9113 §8.2), and for a value with
        CR, LF or NUL.
        """
        shared, hidden = tuple(pairs), tuple(sensitive)
        for name, value in shared + hidden:
            check_name(name)
            if any(byte in value for byte in b"\r\n\0"):
                raise ValueError(f"the value of {name!r} holds CR, LF or NUL; remove it")
        return Head(self, method, shared, hidden)

    def submit(self, batch: Sequence[Request], start: int = 0) -> int:
        """Opens requests of `batch` from `start` on, in order, and returns how many it opened.

        It stops at the stream limit, while a body waits for a window, and when draining. A body above the window or
        the frame size is opened and the rest follows as windows open. `ValueError` when the first request it would
        open exceeds the peer's MAX_HEADER_LIST_SIZE, names a field wrongly or has a head of another session; a later
        one of that kind ends the batch in front of it.
        """
        count = min(self.free, len(batch) - start)
        if count <= 0:
            return 0
        at = start
        stop = start + count
        while at < stop:
            at = self._submit_fast(batch, at, stop)
            if at == stop or self._blocked or self.draining:
                break
            try:
                self._submit_one(batch[at])
            except ValueError:
                if at == start:
                    raise
                break
            at += 1
            if self._blocked or self.draining:
                break
        return at - start

    def _submit_fast(self, batch: Sequence[Request], at: int, stop: int) -> int:
        """Opens requests for which all is encoded already; returns the index of the first that needs more."""
        if self._encoder.pending:
            return at
        stamp = self._refresh()
        # At least as strict as the exact bound: 16,384 bytes fit every frame.
        largest = min(self._max_frame, self._stream_window, 65535)
        if _open_fast is not None:
            encoded = (stamp, self._prefixes, self._longest_name)
            at, self._window, self._next = _open_fast(
                batch, at, stop, *encoded, largest, self._window, self._next, self._open, self._out
            )
            return at
        add, opened, window, sid = self._out.append, self._open, self._window, self._next
        last: Head | None = None
        path_size, own_name, own_size, front, lead, middle, packs = NO_MOLD
        try:
            for request in batch[at:stop]:
                head, path, fields, body = request.head, request.path, request.fields, request.body
                if head is not last:
                    if head.stamp is not stamp:
                        break
                    last = head
                    path_size, own_name, own_size, front, lead, middle, packs = head.mold
                size = len(body)
                if size > window or size > largest:
                    break
                if (
                    size in packs
                    and len(path) == path_size
                    and len(fields) == 1
                    and len((pair := fields[0])[1]) == own_size
                    and pair[0] == own_name
                ):
                    add(packs[size](front, sid, lead, path, middle, pair[1], size, b"\0\1", sid, body))
                elif (block := self._block_of(request)) is not None:
                    add(request_frames(sid, block, body))
                    last = None  # its mold may be new
                else:
                    break
                window -= size
                opened[sid] = request
                sid += 2
                at += 1
        except (KeyError, IndexError):
            pass  # a name or a length that is not ready made
        self._window, self._next = window, sid
        return at

    def _block_of(self, request: Request) -> bytes | None:
        """The header block out of encoded parts, None if it may exceed the peer's limit; remembers its mold.

        `KeyError` for a name and `IndexError` for a length (above 1,023) that is not ready made.
        """
        head, path, fields, prefixes = request.head, request.path, request.fields, self._prefixes
        block = head.before + LENGTHS[len(path)] + path + head.after
        for name, value in fields:
            block += prefixes[name] + LENGTHS[len(value)] + value
        if len(block) + (self._longest_name + FIELD) * len(fields) > head.room:
            return None
        if request.body and len(fields) == 1:
            self._learn_mold(head, len(path), fields[0], len(request.body))
        return block

    def _learn_mold(self, head: Head, path_size: int, field: tuple[bytes, bytes], body_size: int) -> None:
        """Remembers how a request looks: the head's first mold stays, and takes in more lengths of bodies.

        Heads whose parts have the same lengths share the functions.
        """
        name, own_size = field[0], len(field[1])
        if head.mold is NO_MOLD:
            lead = head.before + LENGTHS[path_size]
            middle = head.after + self._prefixes[name] + LENGTHS[own_size]
            sizes = (len(lead), path_size, len(middle), own_size)
            packs = self._packs.get(sizes)
            if packs is None:
                if len(self._packs) >= _MOLDS:
                    del self._packs[next(iter(self._packs))]
                packs = self._packs[sizes] = {}
            front = frames.pack_frame(0, sum(sizes), frames.HEADERS, frames.END_HEADERS, 0)[:5]
            head.mold = (path_size, name, own_size, front, lead, middle, packs)
        known_path, known_name, known_own, _, lead, middle, packs = head.mold
        if (known_path, known_name, known_own) == (path_size, name, own_size) and len(packs) < _MOLD_SIZES:
            parts = f"{len(lead)}s{path_size}s{len(middle)}s{own_size}s"
            packs[body_size] = Struct(f">5sI{parts}xH2sI{body_size}s").pack

    def _refresh(self) -> object:
        stamp = self._encoder.stamp
        if stamp is not self._stamp:
            self._prefixes.clear()
            self._stamp = stamp
        return stamp

    def _submit_one(self, request: Request) -> None:
        """Opens one request with every check, learning its head and names for those that follow."""
        head, encoder = request.head, self._encoder
        if head.owner is not self:
            raise ValueError("request.head was made by another session; make it with this session's head()")
        size = head.size + self._own_size(head) + len(request.path) + _PATH
        for name, value in request.fields:
            if name not in self._prefixes:
                check_name(name)
            size += len(name) + len(value) + FIELD
        if size > self._list_limit:
            limit = self._list_limit
            raise ValueError(f"the header list counts {size}, the peer's MAX_HEADER_LIST_SIZE is {limit}; shorten it")
        updates = encoder.updates()
        stamp = encoder.stamp
        self._render(head)
        block = updates + head.before + raw_string(request.path) + head.after
        if encoder.stamp is stamp:
            head.stamp = stamp
        for name, value in request.fields:
            block += encoder.by_name(name, value)
        self._learn(request.fields)
        sid = self._next
        self._next += 2
        self._open[sid] = request
        flags = 0 if request.body else frames.END_STREAM
        self._out.append(frames.header_frames(sid, flags, block, self._max_frame))
        if request.body:
            self._blocked[sid] = request.body
            self._pump()

    def _own_size(self, head: Head) -> int:
        """What the pseudo-header fields but `:path` count."""
        names = len(b":method") + len(b":scheme") + len(b":authority")
        return names + len(head.method) + len(self._scheme) + len(self._authority) + 3 * FIELD

    def _render(self, head: Head) -> None:
        """Encodes both halves of a head; `head.stamp` is set by the caller if no entry went in on the way."""
        encoder, head.stamp, head.mold = self._encoder, None, NO_MOLD
        head.before = (
            encoder.indexed(b":method", head.method)
            + encoder.indexed(b":scheme", self._scheme)
            + encoder.indexed(b":authority", self._authority)
            + b"\x04"
        )
        after = [encoder.indexed(name, value) for name, value in head.pairs]
        after += [self._hide(pair) for pair in head.sensitive]
        head.after = b"".join(after)
        # What the encoded block of a request may measure, names counted apart, for the list to be within the limit.
        room = self._list_limit - head.size - self._own_size(head) - _PATH + len(head.before) + len(head.after)
        head.room = min(room, frames.DEFAULT_FRAME)

    def _hide(self, pair: tuple[bytes, bytes]) -> bytes:
        """A literal that nobody may index; many heads have the same provider token."""
        if self._hidden is None or self._hidden[0] != pair:
            self._hidden = (pair, literal(*pair, never=True))
        return self._hidden[1]

    def _learn(self, fields: Headers) -> None:
        self._refresh()
        for name, _ in fields:
            if name not in self._prefixes and (self._encoder.knows(name) or len(self._prefixes) < _NAMES):
                self._prefixes[name] = self._encoder.named(name)
                self._longest_name = max(self._longest_name, len(name))

    def _pump(self) -> None:
        """Sends of the waiting bodies what the windows allow, oldest first (RFC 9113 §6.9)."""
        while self._blocked and self._window > 0:
            sid, body = next(iter(self._blocked.items()))
            room = min(self._window, self._stream_window + self._credit.get(sid, 0))
            if room <= 0:
                return
            piece = body[: min(room, self._max_frame)]
            rest = body[len(piece) :]
            flags = 0 if rest else frames.END_STREAM
            self._out.append(frames.frame(frames.DATA, flags, sid, piece))
            self._window -= len(piece)
            if rest:
                self._blocked[sid] = rest
                self._credit[sid] = self._credit.get(sid, 0) - len(piece)
            else:
                del self._blocked[sid]
                self._credit.pop(sid, None)

    def _forget(self, sid: int) -> Request | None:
        """Takes a stream out of all books."""
        self._blocked.pop(sid, None)
        self._credit.pop(sid, None)
        return self._open.pop(sid, None)

    def cancel(self, tag: Any) -> bool:
        """Gives up the request with this very tag: RST_STREAM goes out, a late answer is ignored; False if not open."""
        for sid, request in self._open.items():
            if request.tag is tag:
                self._forget(sid)
                self._out.append(frames.reset_frame(sid, ErrorCode.CANCEL))
                return True
        return False

    def ping(self, data: bytes) -> None:
        """Queues a PING; `ValueError` unless `data` has eight bytes."""
        if len(data) != 8:
            raise ValueError(f"data has {len(data)} bytes; a PING carries exactly 8")
        self._out.append(frames.frame(frames.PING, 0, 0, data))
