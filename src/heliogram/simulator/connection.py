"""One TLS connection: bytes to the HTTP/2 session, requests to APNs, answers back in one write per read."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from heliogram.wire import ErrorCode, ProtocolError, Received, ServerSession

from .answer import Answer, Disturbed
from .answering import Apns, Headers
from .carrying import Carrier
from .faults import reason_json
from .retirement import Retirement
from .secure import SecureProtocol
from .session import Session
from .tables import Environment

if TYPE_CHECKING:
    from .listener import Listener

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_QUOTED = 256
_HEAD = (b":method", b"HEAD")
"""An answer to it ends with its header fields (RFC 9110 §9.3.2)."""
_PSEUDO = 4
"""Pseudo-header fields of a request; they come before all others (RFC 9113 §8.3)."""
_DRAIN_SECONDS = 30.0
"""How long a connection that has said GOAWAY waits for its last streams."""

Answerer = Callable[[Session, Environment, Headers, bytes, int], Answer]


class Connection(SecureProtocol):
    """A client's connection to one listener. Its authentication state lives and dies with it (TOK-12)."""

    session: Session
    """There from when TLS is up."""

    def __init__(self, apns: Apns, listener: Listener, answer: Answerer, context: ssl.SSLContext) -> None:
        settings = apns.settings
        super().__init__(context, listener.turns, settings.round_trip_ms / 1000)
        self.apns = apns
        self.listener = listener
        self.answerer = answer
        self.environment: Environment = listener.environment
        self.source = ""
        self.opened_at = apns.clock()
        self.requests = 0
        self.full_limit = settings.stream_limit
        self._held_to_one = settings.one_stream_first
        self.wire = ServerSession(
            stream_limit=1 if self._held_to_one else settings.stream_limit,
            initial_window=settings.window,
            max_frame=16384,
            max_header_list=8000,
            header_table=4096,
            max_body=8192,
            connection_window=settings.connection_window,
            update_after=settings.update_after,
        )
        self._opening: bytes | None = b""
        self._goodbye = False
        self._keeper = Retirement.of(self)
        self._carrier: Carrier | None = None
        self.announcing = False
        self.farewell = False

    def __repr__(self) -> str:
        return f"<Connection {self.number} {self.listener.name} open_streams={self.wire.open_streams}>"

    @property
    def number(self) -> int:
        """The connection's number in the request log; 0 before TLS is up."""
        return self.session.number if self._secured else 0

    @property
    def carrier(self) -> Carrier:
        """What carries faults out on this connection; made when the first is needed."""
        if self._carrier is None:
            self._carrier = Carrier(self)
        return self._carrier

    # ---- what happens to it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.source = str(peer[0]) if peer else ""
        if not self.listener.admit(self):
            self.abort()

    def refusal(self) -> bytes | None:
        """A fault that meets a connection before TLS is up."""
        return self.listener.refusal()

    def secured(self) -> None:
        self.session = self.apns.open_session(self.source)
        self.tell("opened")
        certificate = self.peer_certificate
        objection = None if certificate is None else self.session.present(certificate, self.environment)
        if objection is not None:
            self.dismiss(objection)
        elif self._keeper is not None:
            self._keeper.opened()

    def plain_received(self, data: bytes) -> None:
        if self._opening is not None:
            data = self._opening + data
            if not PREFACE.startswith(data[: len(PREFACE)]):
                self._refuse_http1(data)
                return
            if len(data) < len(PREFACE):
                self._opening = data
                return
            self._opening = None
        wire = self.wire
        try:
            events = wire.feed(data)
        except ProtocolError as error:
            self.session.watch.broken_protocol(error.section, error.detail)
            self.flush()
            self.shut()
            return
        keeper = self._keeper
        if keeper is not None:
            keeper.heard()
        session = self.session
        session.watch.read(wire, session.proven)
        for event in events:
            if type(event) is Received:
                self.requests += 1
                if keeper is not None and keeper.refuses(event.stream_id):
                    continue
                answer = self.answerer(session, self.environment, event.headers, event.body, event.size)
                if answer.body and _HEAD in event.headers[:_PSEUDO]:
                    answer = replace(answer, body=b"")
                if type(answer) is Disturbed:
                    self.carrier.carry_out(event.stream_id, answer)
                else:
                    wire.respond(event.stream_id, answer.status, answer.headers, answer.body)
                if keeper is not None:
                    keeper.answered(answer)
            else:
                session.watch.event(event)
        if self._held_to_one and session.proven:
            self._held_to_one = False
            wire.set_stream_limit(self.full_limit)
        self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.release(self)
        if self._keeper is not None:
            self._keeper.cancel()
        if self._carrier is not None:
            self._carrier.cancel()
        super().connection_lost(exc)
        if self._secured:
            self.session.watch.closed(self.requests, self.wire.error is None and not self.wire.said_goaway)
            self.tell("closed")

    # ---- what can be done to it

    def settle(self) -> None:
        """Write what there is to write, and end when nothing is left to do."""
        self.flush()
        if self.wire.closed and not self.announcing and not self._ended:
            if self.farewell and self.wire.error is None:  # CONN-21: once more, without debug data
                self.wire.goaway()
                self.flush()
            self.shut()

    def flush(self) -> None:
        self.send(self.wire.take())

    def goaway(self, code: int = 0, debug: bytes = b"") -> None:
        """Say goodbye, answer what is open, and close then (CONN-22); what takes too long is not waited for."""
        if self.is_closing:
            return
        self.wire.goaway(code, debug)
        if not self._goodbye:
            self._goodbye = True
            self._deadline = self._loop.call_later(_DRAIN_SECONDS, self.shut)
        self.settle()

    def dismiss(self, reason: str, *, code: int = 0, last_stream_id: int = 0) -> None:
        """GOAWAY with a reason in JSON and the end at once (CERT-9, CONN-20); what is open stays unanswered."""
        self.wire.goaway(code, reason_json(reason), last_stream_id)
        self.flush()
        self.shut()

    def retire(self) -> None:
        """Say goodbye the orderly way and close (CONN-22)."""
        if self._secured:
            self.wire.goaway()
            self.flush()
            self.shut()
        else:
            self.abort()

    def tell(self, event: str) -> None:
        """Publish what happened to whoever watches."""
        feed = self.apns.feed
        if feed.live:
            feed.publish(
                "connection",
                {"event": event, "connection": self.number, "listener": self.listener.name, "source": self.source},
            )

    def _refuse_http1(self, data: bytes) -> None:
        """HTTP/1.1 text is answered in HTTP/2 frames: SETTINGS, then GOAWAY quoting the request (CONN-12)."""
        line = data.splitlines()[0].partition(b" HTTP/1")[0][:_QUOTED]
        self.session.watch.no_http2(line.decode("utf-8", "replace"))
        self.wire.goaway(ErrorCode.PROTOCOL_ERROR, b"Unexpected HTTP/1.x request: " + line, 0)
        self.flush()
        self.shut()
