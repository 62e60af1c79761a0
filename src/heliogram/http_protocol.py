"""HTTP/1.1 on one connection: uvicorn's protocol with a bound on heads, and with less to do for each request.

What an application answers in one piece is written in one piece, past the messages of ASGI; one timer watches an idle
connection, where setting one after each answer and ending it with each request costs more than parsing it; and a
connection that ends while its client still sends is closed in stages (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable, Sequence
from typing import cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    HEADER_VALUE_RE,
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

MAX_HEAD = 65_536
"""Bytes of a request line with its headers, or of trailers: far above what clients and proxies send."""
LINGER_SECONDS = 10.0
"""For so long what still comes after a connection's last answer is read and dropped. Closed at once, TCP would reset
the connection, and a client or proxy that was still sending might never see the answer."""
LINGER_BYTES = 128 * 1024 * 1024
"""So much of it: a body of eight times the API's limit, of a client that reads nothing before it has sent it all."""
_DECIDED = frozenset({b"connection", b"transfer-encoding"})
"""Headers that say how the answer is to be written."""


class Way:
    """The transport as the answers of a connection know it: whoever ends the connection hangs up."""

    def __init__(self, transport: asyncio.Transport, hang_up: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, hang_up


class Cycle(RequestResponseCycle):
    """A request and its answer."""

    def whole_body(self) -> bytes | None:
        """All of the body, if it came; it is given once. None where it has to be waited for by `receive`, or asked for,
        or nobody waits for an answer any more."""
        if self.more_body or self.waiting_for_100_continue or self.disconnected or self.response_complete:
            return None
        self.flow.resume_reading()
        self.message_event.clear()
        body, self.body = bytes(self.body), bytearray()
        return body

    def answer(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Writes a whole answer, whose headers have its `content-length`, their names in lower case. False, and
        nothing written, where it has to go by `send`: to say why it cannot, to wait, or to end the connection."""
        if self.response_started or self.disconnected or self.flow.write_paused or self.access_log:
            return False
        if self.scope["method"] == "HEAD":
            return False
        parts, values = [STATUS_LINE[status]], []
        for name, value in (*self.default_headers, *headers):
            if name in _DECIDED:
                return False
            values.append(value)
            parts += (name, b": ", value, b"\r\n")
        if HEADER_VALUE_RE.search(b"".join(values)):
            return False
        parts += (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n", body)
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"".join(parts))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection on which more than `MAX_HEAD` bytes came that are no body: the parser keeps all of a head
    until it is whole, and has no limit of its own. There are no upgrades: `ws` is to be `none`."""

    _head = 0
    _idle_until: float | None = None
    _leaving = False
    _lingering: asyncio.TimerHandle | None = None
    _dropped = 0
    _way: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Somebody is there."""
        super().connection_made(transport)
        self._way = cast(asyncio.Transport, Way(transport, self.hang_up))

    def data_received(self, data: bytes) -> None:
        """Parses what came; of a head that is not whole, at most one read more than the limit is kept."""
        if self._lingering is not None:
            self._drop(data)
            return
        self._head += len(data)
        super().data_received(data)
        if self._head > MAX_HEAD and not self._has_ended:
            if self._answering:
                self.transport.close()  # trailers of a request that is being answered
            else:
                self.send_400_response(f"The request's headers are larger than {MAX_HEAD} bytes.")

    @property
    def _has_ended(self) -> bool:
        """Whether the connection had its last answer."""
        return self._lingering is not None or self.transport.is_closing()

    @property
    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def on_headers_complete(self) -> None:
        """The head is whole: the application begins, or waits for those before it."""
        self._head = 0
        parser, scope = self.parser, self.scope
        before: RequestResponseCycle | None = self.cycle
        version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if version != "1.1":
            scope["http_version"] = version
        url = httptools.parse_url(self.url)
        raw: bytes = url.path
        path = raw.decode("ascii")
        scope["path"] = self.root_path + (urllib.parse.unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + raw
        scope["query_string"] = url.query or b""
        self.cycle = cycle = Cycle(
            scope,
            self._way,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            version != "1.0" and parser.should_keep_alive(),
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Bodies have a limit of their own, where they are read."""
        self._head = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """What comes next is another request's."""
        self._head = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    # ---- the end of a connection

    def hang_up(self) -> None:
        """After the last answer: closes the connection at once when all that was sent is read; else lingers."""
        if self._lingering is not None:
            return
        is_read = not (self.cycle.more_body or self.pipeline or self.flow.read_paused)
        if is_read or self._leaving or self.transport.is_closing():
            self.transport.close()
        else:
            self._linger()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no request. Whoever sent it may be in the middle of it."""
        if self._answering:
            super().send_400_response(msg)
            return
        text = msg.encode("ascii")
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
        more = [part for name, value in self.server_state.default_headers for part in (name, b": ", value, b"\r\n")]
        self.transport.write(b"".join((STATUS_LINE[400], *more, head, text)))
        self._linger()

    def _linger(self) -> None:
        """Says that nothing more will be said, and drops what comes, until the client closes or a bound is met."""
        self._lingering = self.loop.call_later(LINGER_SECONDS, self.transport.abort)
        self.pipeline.clear()
        if self.cycle is not None:
            self.cycle.body = bytearray()
        if self.transport.can_write_eof():  # TLS cannot; there the client goes by `Connection: close`
            self.transport.write_eof()
        self.flow.resume_reading()

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.transport.abort()

    def shutdown(self) -> None:
        """The server stops: what is being answered goes on to its end, and nothing lingers any more."""
        self._leaving = True
        if self._lingering is None:
            super().shutdown()
        else:
            self.transport.abort()

    # ---- idle connections

    def on_response_complete(self) -> None:
        """The next request of the pipeline begins, or the connection is idle from now on."""
        self.server_state.total_requests += 1
        if self._has_ended:
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_until = self.loop.time() + self.timeout_keep_alive
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Closes the connection if it was idle for so long; else looks again when it may be."""
        self.timeout_keep_alive_task = None
        if self._idle_until is None:
            return  # something is being answered: its end sets the timer
        left = self._idle_until - self.loop.time()
        if left > 0:
            self._look_in(left)
        else:
            super().timeout_keep_alive_handler()

    def _look_in(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Something came: it is not idle."""
        self._idle_until = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The timers must not keep what is gone."""
        super().connection_lost(exc)
        if self._lingering is not None:
            self._lingering.cancel()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
