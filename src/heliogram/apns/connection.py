"""One connection to APNs: one socket, one HTTP/2 session, one credential for life (TOK-12 to TOK-16)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar, cast

from heliogram.wire import (
    Answered,
    ClientSession,
    Event,
    GoAway,
    Head,
    ProtocolError,
    Request,
    Reset,
    Unprocessed,
)

from .answers import condemns_credential, goaway_text, header, reason_and_timestamp, seconds
from .clock import Clock
from .job import DONE, WRITTEN, Job, Template, finish, not_sent, put_back, unknown
from .outcomes import Accepted, Rejected
from .owner import Owner
from .providertoken import ConnectionToken
from .reasons import OnConnection, OnCredential, Reason
from .tlsalerts import certificate_alert
from .tuning import Tuning
from .watch import Watch

_WRITE_BUFFER = 1 << 20
_HEADS = 1000
_ONCE_MORE = frozenset(("ExpiredProviderToken", "UnrelatedKeyIdInToken"))
_TOPIC_UNKNOWN = frozenset(("InvalidProviderToken", "TopicDisallowed"))


class Connection(asyncio.Protocol):
    """Carries pushes from the pool's queue and gives each its outcome.

    Until an answer shows that the provider token was accepted, one stream at a time (CONN-14); the
    same after a refused stream (CONN-17); then as many as the peer's live limit allows.
    """

    max_body: ClassVar[int] = 65536
    """Bytes of an answer's body that are kept."""

    def __init__(
        self,
        owner: Owner,
        serial: int,
        authority: bytes,
        token: ConnectionToken | None,
        clock: Clock,
        tuning: Tuning,
    ) -> None:
        self.serial = serial
        """Counts the connections of a pool: a later one has a higher serial."""
        self.is_proven = False
        self.probing = token is not None
        """One stream at a time, until an answer says that more are welcome."""
        self.is_refused = False
        """The peer ended it because of the credential: another one would fare no better (CERT-9, CERT-10)."""
        self.cause = "connection lost"
        self._owner = owner
        self._session = ClientSession(authority, max_body=self.max_body)
        self._token = token
        self._clock = clock
        self._tuning = tuning
        self._transport: asyncio.Transport | None = None
        self._heads: dict[Template, Head] = {}
        self._topics: set[str] = set()
        self._last_template: Template | None = None
        self._paused = False
        self._heard = False
        self._leaving = False
        self._closing = False
        self._watch: Watch | None = None

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "leaving" if self._leaving else "probing" if self.probing else "open"
        return f"<Connection {self.serial} {state}, {self.inflight} of {self._session.stream_limit} streams>"

    # ---- questions

    @property
    def is_closed(self) -> bool:
        """Whether there is no transport (any more)."""
        return self._transport is None

    @property
    def is_leaving(self) -> bool:
        """Whether it opens no more streams and ends when the open ones have ended."""
        return self._leaving

    @property
    def inflight(self) -> int:
        """Pushes that are open."""
        return self._session.inflight

    @property
    def room(self) -> int:
        """How many pushes it could open now."""
        if self._leaving or self._paused or self._transport is None:
            return 0
        free = self._session.free
        return min(free, max(0, 1 - self._session.inflight)) if self.probing else free

    # ---- sending

    def fill(self, waiting: deque[Job], now: float) -> None:
        """Open as many pushes from the left of `waiting` as there is room for, and write once."""
        room = self.room
        if room and waiting and self._token_is_good():
            batch = self._batch(waiting, room, now)
            if batch:
                self._submit(batch, waiting)
        self.flush()

    def _token_is_good(self) -> bool:
        token = self._token
        if token is None:
            return True
        if token.refresh():
            self._heads.clear()
        if token.usable:
            return True
        self.leave("the provider token is too old to present and too young to change")
        return False

    def _batch(self, waiting: deque[Job], room: int, now: float) -> list[Request]:
        heads = self._heads
        window = self._session.window
        batch: list[Request] = []
        while room and waiting:
            job = waiting.popleft()
            if job.state == DONE:
                continue  # its deadline passed while it waited
            head = heads.get(job.template)
            if head is None:
                head = self._head(job.template)
            job.state = WRITTEN
            job.written = now
            job.connection = self
            batch.append(Request(head, job.path, job.fields, job.body, job))
            room -= 1
            window -= len(job.body)
            if window < 0:
                break  # the session sends the rest of this body when the window opens
        return batch

    def _head(self, template: Template) -> Head:
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        secret = () if self._token is None else ((b"authorization", b"bearer " + self._token.value),)
        head = self._heads[template] = self._session.head(template.pairs, method=template.method, sensitive=secret)
        return head

    def _submit(self, batch: list[Request], waiting: deque[Job]) -> None:
        try:
            opened = self._session.submit(batch)
        except ValueError as error:
            # The peer's limit on headers is below what this push needs; nothing was opened.
            not_sent(batch[0].tag, f"headers refused: {error}")
            opened = 1
            self._owner.progress()
        for request in reversed(batch[opened:]):
            waiting.appendleft(put_back(request.tag))

    def flush(self) -> None:
        """Write what the session has queued, if anything."""
        data = self._session.take()
        if data and self._transport is not None:
            self._transport.write(data)

    def expire(self, job: Job, cause: str) -> None:
        """Give up an open push: its deadline has come."""
        self._session.cancel(job)
        unknown(job, cause, self._clock.monotonic())
        self._after()

    # ---- the end

    def leave(self, cause: str, *, failure: bool = False) -> None:
        """Open nothing more, let what is open finish, then close. `failure` when a fault is the cause."""
        if not self._leaving:
            self._leaving = True
            self.cause = cause
            self._owner.leaving(self, cause if failure and not self.is_proven else None)
        self._after()

    def abort(self, cause: str) -> None:
        """Close at once; what is open ends as unknown."""
        if not self._leaving:
            self._leaving = True
            self._owner.leaving(self, None if self.is_proven else cause)
        self.cause = cause
        if self._transport is not None:
            self._transport.abort()

    def abandon(self, cause: str) -> None:
        """Give every open push its outcome now: unknown."""
        now = self._clock.monotonic()
        for job in self._session.abandon():
            unknown(job, cause, now)

    def _after(self) -> None:
        """Close when the last open push of a leaving connection has ended; else write what is queued."""
        if self._leaving and not self._closing and not self._session.inflight and self._transport is not None:
            self._closing = True
            self._session.close()
            self.flush()
            self._transport.close()
        else:
            self.flush()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TLS is up."""
        stream = cast(asyncio.Transport, transport)  # uvloop's is no subclass of asyncio's
        self._transport = stream
        stream.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._watch = Watch(self._clock, self._tuning, ping=self._ping, dead=self._silent, aged=self._aged)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Bytes came: outcomes, room, or the end."""
        now = self._clock.monotonic()
        self._heard = True
        if self._watch is not None:
            self._watch.heard = now
        try:
            events = self._session.feed(data)
        except ProtocolError as error:
            self._broken(error)
            return
        if events:
            self._digest(events, now)
        if self._session.error is not None:
            self._broken(self._session.error)
        elif self._leaving:
            self._after()
        else:
            self._owner.progress()

    def pause_writing(self) -> None:
        """The socket takes no more: open nothing until it does."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._paused = False
        self._owner.progress()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: what is open has an unknown fate."""
        if self._watch is not None:
            self._watch.close()
        cause = self.cause if self._leaving or exc is None else f"{self.cause}: {exc}"
        alert = None if self._heard else certificate_alert(exc)
        self._transport = None
        returned: list[Job] = []
        if alert is not None:
            # With TLS 1.3 our side of the handshake is over before the server has looked at our certificate.
            self.is_refused, cause = True, alert
            returned = [put_back(job) for job in self._session.abandon()]
        else:
            self.abandon(cause)
        if not self._leaving:
            self._leaving = True
            self._owner.leaving(self, None if self.is_proven else cause)
        if returned:
            self._owner.hand_back(returned)
        self._owner.lost(self)

    # ---- what the peer says

    def _digest(self, events: list[Event], now: float) -> None:
        returned: list[Job] = []
        for event in events:
            if type(event) is Answered:
                if event.status == 200:
                    self._accepted(event, now)
                else:
                    self._rejected(event, now, returned)
            elif type(event) is Unprocessed:
                returned.append(put_back(event.tag))
                if event.cause == "REFUSED_STREAM":
                    self.probing = True  # what else is opened now would be refused as well
            elif type(event) is Reset:
                unknown(event.tag, f"the stream was reset with code {event.code}", now)
            elif type(event) is GoAway:
                self.is_refused = self.is_refused or condemns_credential(event.debug)
                self.leave(goaway_text(event.code, event.debug), failure=True)
        if returned:
            self._owner.hand_back(returned)

    def _accepted(self, event: Answered, now: float) -> None:
        job: Job = event.tag
        if job.template is not self._last_template:
            self._last_template = job.template
            self._topics.add(job.template.topic)
        if self.probing or not self.is_proven:
            self._prove()
        unique = None if event.headers is None else header(event.headers, b"apns-unique-id")
        # `finish`, written out: this line is passed once per push.
        job.state = DONE
        job.connection = None
        outcome = Accepted(job.device_token, job.apns_id, unique, job.tag, int((now - job.written) * 1000))
        try:
            job.sink(outcome)
        except asyncio.InvalidStateError:
            return  # whoever waited has cancelled the future

    def _prove(self) -> None:
        self.probing = False
        self._answered()

    def _answered(self) -> None:
        if not self.is_proven:
            self.is_proven = True
            self._owner.proven(self)

    def _rejected(self, event: Answered, now: float, returned: list[Job]) -> None:
        job: Job = event.tag
        reason, timestamp = reason_and_timestamp(event.body)
        row = Reason.lookup(event.status, reason)
        if row.connection is OnConnection.REPLACE:
            self.leave(reason, failure=True)
        elif row.credential is OnCredential.PROVEN or self._token is None:
            self._prove()
        else:
            self._answered()
        if not job.sent_again and self._deserves_another(job, reason):
            job.sent_again = True
            job.above = self.serial
            returned.append(put_back(job))
            return
        wire_ms = int((now - job.written) * 1000)
        retry_after = seconds(header(event.headers, b"retry-after"))
        answer = (event.status, reason, timestamp, retry_after)
        finish(job, Rejected(job.device_token, job.apns_id, *answer, job.tag, wire_ms))

    def _deserves_another(self, job: Job, reason: str) -> bool:
        """Whether a fresh connection may well accept what this one refused."""
        if reason in _ONCE_MORE:
            return True
        # A connection knows the team's topics as they were at its first push (TOK-13, TOK-14).
        if reason in _TOPIC_UNKNOWN and self._topics and job.template.topic not in self._topics:
            self.leave(f"{reason} for a topic it never carried")
            return True
        return False

    def _broken(self, error: ProtocolError) -> None:
        cause = f"protocol error: {error}"
        self.leave(cause, failure=True)
        if self._transport is None or self._closing:
            return
        self._closing = True
        self.flush()
        self.abandon(cause)
        self._transport.close()

    # ---- the watch

    def _ping(self) -> None:
        self._session.ping(self.serial.to_bytes(8, "big"))
        self.flush()

    def _silent(self) -> None:
        self.abort(f"silent: no answer to a PING within {self._tuning.pong_timeout:g} s")

    def _aged(self) -> None:
        self.leave("reached its greatest age")
