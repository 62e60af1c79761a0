"""One connection to APNs: one socket, one HTTP/2 session, one credential for life (TOK-12 to TOK-16)."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice

from heliogram import _accel
from heliogram.wire import (
    Answered,
    Event,
    GoAway,
    ProtocolError,
    Request,
    Reset,
    SettingsChanged,
    Unprocessed,
)

from .answers import condemns_credential, goaway_text, header, reason_and_timestamp, seconds
from .causes import STALE, USED_UP, Cause, CauseKind
from .clock import Clock, Timer
from .heads import Heads
from .identity import Identity
from .job import DONE, WRITTEN, Job, Template, put_back
from .link import Link
from .outcomes import Accepted, Rejected
from .owner import Owner
from .reasons import REASONS, OnConnection, OnCredential, Reason
from .refusals import Refusals
from .tuning import Tuning

_WORTHWHILE = 64
_BUSY = 512
_SOON = 0.02
"""Seconds that a few pushes may wait for the next answers to make room for more."""
_PIECE = 16384
"""Bytes read before what they made room for is written: about 300 answers."""
_ONCE_MORE = frozenset(("ExpiredProviderToken", "UnrelatedKeyIdInToken"))
TOPICS = 10_000
"""Topics of accepted pushes that a connection remembers; with more of them, no rejection is put down to a new topic."""
_take_batch = _accel.twin("take_batch", Job, Request, WRITTEN, DONE)
_accept = _accel.twin(
    "accept", Job, Answered, Accepted, header, asyncio.InvalidStateError, DONE, 200, b"apns-unique-id"
)
_TOPIC_UNKNOWN = frozenset(("InvalidProviderToken", "TopicDisallowed"))
_FINAL = {
    name.encode(): name
    for name, row in REASONS.items()
    if row.connection is OnConnection.KEEP and name not in _ONCE_MORE | _TOPIC_UNKNOWN
}
"""Reasons that end a push, and say nothing of a connection that an answer has proven."""
_FINAL_NAMES = frozenset(_FINAL.values())
_reject = _accel.twin("reject", Job, Answered, Rejected, _FINAL, asyncio.InvalidStateError, DONE, b"retry-after", 200)


class Connection(Link):
    """Carries pushes from the pool's queue and gives each its outcome.

    Until an answer shows that the provider token was accepted, one stream at a time (CONN-14); the
    same after a refused stream (CONN-17), at a slower and slower pace when that is refused, too; then as many as the
    peer's live limit allows.
    """

    def __init__(
        self, owner: Owner, serial: int, authority: bytes, identity: Identity, clock: Clock, tuning: Tuning
    ) -> None:
        super().__init__(owner, serial, authority, identity.name, clock, tuning)
        self.probing = identity.tokens is not None
        """One stream at a time, until an answer says that more are welcome."""
        self._presents_token = identity.tokens is not None
        self._heads = Heads(self._session, None if identity.tokens is None else identity.tokens.connect())
        self._ends = owner.ends
        self._heed = owner.ends.heed
        self._topics: set[str] = set()
        self._last_template: Template | None = None
        self._put_off: Timer | None = None
        self._hurries = False
        self._refusals = Refusals(clock, owner.progress)

    @property
    def _state(self) -> str:
        return "probing" if self.probing and not (self.is_closed or self._leaving) else super()._state

    @property
    def room(self) -> int:
        """How many pushes it could open now."""
        if self._leaving or self._paused or self._transport is None:
            return 0
        free = self._session.free
        if not self.probing:
            return free
        return 0 if self._refusals.is_pausing else min(free, max(0, 1 - self._session.inflight))

    # ---- sending

    def fill(self, waiting: deque[Job], now: float) -> None:
        """Open as many pushes from the left of `waiting` as there is room for, and write once."""
        room = self.room
        if room < _WORTHWHILE and len(waiting) > room and self._session.inflight >= _BUSY and not self._hurries:
            # Many answers are on their way, and room for few pushes: they go together with the next ones, if soon.
            if room and self._put_off is None:
                self._put_off = self._clock.call_later(_SOON, self._hurry)
            room = 0
        if room and waiting and self._can_present():
            self._hurries = False
            batch = self._batch(waiting, room, now)
            if batch:
                self._submit(batch, waiting)
        self.flush()

    def _hurry(self) -> None:
        self._put_off = None
        self._hurries = True
        self._owner.progress()

    def _can_present(self) -> bool:
        if self._heads.renew():
            return True
        self.leave(STALE)
        return False

    def _batch(self, waiting: deque[Job], room: int, now: float) -> list[Request]:
        heads = self._heads.known
        window = self._session.window
        if _take_batch is not None:
            taken: list[Request] = _take_batch(waiting, heads, self._heads.make, room, window, now, self)
            return taken
        batch: list[Request] = []
        while room and waiting:
            job = waiting.popleft()
            if job.state == DONE:
                continue  # its deadline passed while it waited
            head = heads.get(job.template)
            if head is None:
                head = self._heads.make(job.template)
            job.state = WRITTEN
            job.written = now
            job.connection = self
            batch.append(Request(head, job.path, job.fields, job.body, job))
            room -= 1
            window -= len(job.body)
            if window < 0:
                break  # the session sends the rest of this body when the window opens
        return batch

    def _submit(self, batch: list[Request], waiting: deque[Job]) -> None:
        try:
            opened = self._session.submit(batch)
        except ValueError as error:
            # The peer's limit on headers is below what this push needs; nothing was opened.
            self._ends.not_sent(batch[0].tag, f"headers refused: {error}")
            opened = 1
            self._owner.progress()
        else:
            self.carried += opened
        for request in reversed(batch[opened:]):
            waiting.appendleft(put_back(request.tag))
        if self._session.draining:
            self.leave(USED_UP)

    def expire(self, job: Job, cause: str) -> None:
        """Give up an open push: its deadline has come."""
        self._session.cancel(job)
        self._ends.unknown(job, cause, self._clock.monotonic())
        self._after()

    # ---- what the peer says

    def data_received(self, data: bytes) -> None:
        """Bytes came: outcomes, room, or the end."""
        now = self._clock.monotonic()
        self._heard = True
        if self._watch is not None:
            self._watch.heard = now
        if len(data) <= _PIECE:
            self._take_in(data, now)
            return
        # A whole window of answers at once: give the room that the first ones make to the next pushes right away.
        for at in range(0, len(data), _PIECE):
            if at:
                self._owner.pour()
            if not self._take_in(data[at : at + _PIECE], now):
                return

    def _take_in(self, data: bytes, now: float) -> bool:
        """Read bytes; False when no more of them are of interest."""
        try:
            events = self._session.feed(data)
        except ProtocolError as error:
            self._broken(error)
            return False
        if events:
            self._digest(events, now)
        if self._session.error is not None:
            self._broken(self._session.error)
            return False
        if self._leaving:
            self._after()
        else:
            self._owner.progress()
        return True

    def _digest(self, events: list[Event], now: float) -> None:
        returned: list[Job] = []
        refused = False
        at = 0
        while at < len(events):
            event = events[at]
            if type(event) is Answered and event.status == 200:
                at = self._accepted(events, at, now)
                continue
            if type(event) is Answered and _reject is not None and self.is_proven and not self.probing:
                past = _reject(events, at, now, self._heed)
                if past > at:
                    at = past
                    continue
            at += 1
            if type(event) is Answered:
                self._rejected(event, now, returned)
            elif type(event) is Unprocessed:
                returned.append(put_back(event.tag))
                if event.cause == "REFUSED_STREAM":
                    self.probing = refused = True  # what else is opened now would be refused as well
            elif type(event) is Reset:
                self._ends.unknown(event.tag, f"the stream was reset with code {event.code}", now)
            elif type(event) is GoAway:
                self.is_refused = self.is_refused or condemns_credential(event.debug)
                self._owner.reporter.goaway(self, event)
                self.leave(Cause(CauseKind.GOAWAY, goaway_text(event.code, event.debug)), failure=True)
            elif type(event) is SettingsChanged:
                self._owner.reporter.limited(self, event.stream_limit)
        if returned:
            if refused and self.probing and not self._session.inflight:
                self._refusals.met()
            self._owner.hand_back(returned)

    def _accepted(self, events: list[Event], at: int, now: float) -> int:
        """Give the pushes of a row of 200s their outcome; returns where the row ends.

        What stands in this loop is paid once per push, so `Ends.finish` is written out in it.
        """
        if self.probing or not self.is_proven:
            self._prove()
        if _accept is not None:
            at, self._last_template = _accept(events, at, now, self._last_template, self._topics, self._heed)
            return at
        heed, written, wire_ms = self._heed, now, 0
        for event in islice(events, at, None):
            if type(event) is not Answered or event.status != 200:
                break
            at += 1
            job: Job = event.tag
            if job.template is not self._last_template:
                self._last_template = job.template
                if len(self._topics) < TOPICS:
                    self._topics.add(job.template.topic)
            if job.written != written:
                written = job.written
                wire_ms = int((now - written) * 1000)
            unique = None if event.headers is None else header(event.headers, b"apns-unique-id")
            job.state = DONE
            job.connection = None
            outcome = Accepted(job.device_token, job.apns_id, unique, job.tag, wire_ms)
            if heed is not None:
                heed(job, outcome)
            try:
                job.sink(outcome)
            except asyncio.InvalidStateError:
                continue  # whoever waited has cancelled the future
        return at

    def _prove(self) -> None:
        self.probing = False
        self._answered()

    def _answered(self) -> None:
        self._refusals.over()
        if not self.is_proven:
            self.is_proven = True
            self._owner.proven(self)

    def _rejected(self, event: Answered, now: float, returned: list[Job]) -> None:
        job: Job = event.tag
        reason, timestamp = reason_and_timestamp(event.body)
        if reason not in _FINAL_NAMES or self.probing or not self.is_proven:
            self._weigh(event.status, reason)
            if not job.sent_again and self._deserves_another(job, reason):
                job.sent_again = True
                job.above = self.serial
                returned.append(put_back(job))
                return
        wire_ms = int((now - job.written) * 1000)
        retry_after = seconds(header(event.headers, b"retry-after"))
        answer = (event.status, reason, timestamp, retry_after)
        self._ends.finish(job, Rejected(job.device_token, job.apns_id, *answer, job.tag, wire_ms))

    def _weigh(self, status: int, reason: str) -> None:
        """What a rejection says of the connection."""
        row = Reason.lookup(status, reason)
        if row.connection is OnConnection.REPLACE:
            self.leave(Cause(CauseKind.ANSWER, reason), failure=True)
        elif row.credential is OnCredential.PROVEN or not self._presents_token:
            self._prove()
        else:
            self._answered()

    def _deserves_another(self, job: Job, reason: str) -> bool:
        """Whether a fresh connection may well accept what this one refused."""
        if reason in _ONCE_MORE:
            return True
        # A connection knows the team's topics as they were at its first push (TOK-13, TOK-14).
        # Past the bound it is not known which it carried, and the answer stands.
        if reason in _TOPIC_UNKNOWN and 0 < len(self._topics) < TOPICS and job.template.topic not in self._topics:
            self.leave(Cause(CauseKind.ANSWER, f"{reason} for a topic it never carried"))
            return True
        return False

    def _broken(self, error: ProtocolError) -> None:
        cause = Cause(CauseKind.PROTOCOL, f"protocol error: {error}")
        self.leave(cause, failure=True)
        if self._transport is None or self._closing:
            return
        self._closing = True
        self.flush()
        self.abandon(cause.text)
        self._transport.close()
