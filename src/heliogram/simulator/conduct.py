"""What clients do against the rules, noticed beside the answering: on one connection, and over all of them.

The answer to a push never depends on any of it, and an accepted push that is like the one before it costs a look into
two sets. Where a client may not have heard yet what it was told, it gets the benefit of the doubt.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from heliogram.wire import Pinged, ServerEvent, ServerSession

from .misdeeds import BROKEN, NEVER_AGAIN, fields_at_fault, of_the_wire
from .tables import TOKEN_FLOOR, Settings
from .violations import Violations

if TYPE_CHECKING:
    from .journal import Journal
    from .rules import Push

IDS = 50_000
"""Ids of accepted pushes that a connection is held to."""
TOKENS = 10_000
"""Device tokens that have been refused for good, and retries that wait for their time, remembered."""
ALIKE = 20
"""Violations of one rule that are told of one connection; what comes beyond says nothing new."""
HEARD = 1.0
"""Seconds after which a client has read an answer or a GOAWAY for sure."""
SLOW_RETRY = 900.0
"""Seconds from a 5xx to its retry (ERR-3, section 5)."""
QUICK_RETRY = 1.0
"""Seconds from a 429 to its retry: Apple says "delayed" and no number (section 5, LIFE-13)."""
IDLE = 3600.0
"""Seconds of silence after which a connection wants a PING before its next request (CONN-24)."""
_WINDOW = 60.0
_SOURCES = 1000


class Conduct:
    """What is remembered of all clients. ``monotonic``: seconds of the real time, for what the network takes."""

    def __init__(
        self,
        violations: Violations,
        journal: Journal,
        settings: Settings,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.violations = violations
        self.journal = journal
        self.settings = settings
        self.clock = clock
        self.monotonic = monotonic
        # Ordered: to take the oldest out of a plain dict walks over all that were taken out before it.
        self.waiting: OrderedDict[bytes, tuple[float, float, int]] = OrderedDict()
        self.dead: OrderedDict[tuple[str, bytes, bytes], tuple[float, str]] = OrderedDict()
        self._brief: dict[str, deque[float]] = {}

    def __repr__(self) -> str:
        return f"<Conduct dead={len(self.dead)} waiting={len(self.waiting)} sources={len(self._brief)}>"

    def clear(self) -> None:
        """Forget what tokens and clients were told."""
        self.waiting.clear()
        self.dead.clear()
        self._brief.clear()

    def open(self, number: int, source: str) -> Watch:
        """The watch over a new connection from this address."""
        return Watch(self, number, source)

    def refused(self, push: Push, apns_id: bytes, status: int, reason: str | None) -> None:
        """A push was answered with anything but 200."""
        watch, number = push.session.watch, self.journal.next_number
        broken, objection = BROKEN.get(reason or ""), getattr(push, "rule", None)
        if broken is not None and objection is not None:  # else the reason is that of a fault that was asked for
            rule, text = broken
            if objection.basis == "TOK-12":
                rule, text = "TOK-12", "the connection belongs to another team; open one for each team"
            watch.report(rule, text, request=number, apns_id=_text(apns_id))
        elif reason in NEVER_AGAIN:
            self.again(watch, (push.environment, push.token.lower(), push.topic), apns_id, reason, push.now)
        if status >= 429 and reason != "TooManyProviderTokenUpdates":
            if len(self.waiting) >= TOKENS:
                self.waiting.popitem(last=False)
            wait = SLOW_RETRY if status >= 500 else QUICK_RETRY
            self.waiting[_retried(push)] = (push.now, wait, status)

    def retried(self, push: Push) -> None:
        """Something waits for its retry: is it this push, and has its time come?"""
        found = self.waiting.pop(_retried(push), None)
        if found is None:
            return
        at, wait, status = found
        if 0 <= push.now - at < wait:
            rule = "ERR-3" if status >= 500 else "LIFE-13"
            after = "15 minutes, and longer each time" if status >= 500 else "a pause, and longer each time"
            push.session.watch.report(
                rule,
                f"a push that was answered {status} came again after {push.now - at:.0f} s; wait {after}",
                request=self.journal.next_number,
                apns_id=_text(push.fields.get(b"apns-id")),
            )

    def closed_briefly(self, watch: Watch) -> None:
        """A client has opened a connection for one push or none, and closed it."""
        most, now = self.settings.brief_connections, self.clock()
        times = self._brief.get(watch.source)
        if times is None:
            if len(self._brief) >= _SOURCES:
                del self._brief[next(iter(self._brief))]
            times = self._brief[watch.source] = deque()
        times.append(now)
        while times and not 0 <= now - times[0] <= _WINDOW:
            times.popleft()
        if len(times) > most:
            count = len(times)
            times.clear()
            watch.report(
                "CONN-25",
                f"{count} connections within a minute carried one request or none; keep one open and send over it",
                source=watch.source,
            )

    def again(self, watch: Watch, key: tuple[str, bytes, bytes], apns_id: bytes, reason: str, now: float) -> None:
        """A token that must not be pushed to any more: was that known? ``key``: environment, token in lower case,
        topic.
        """
        dead = self.dead
        known = dead.get(key)
        if known is None:
            if len(dead) >= TOKENS:
                dead.popitem(last=False)
            dead[key] = (now, reason)
            return
        told, before = known
        if before != reason:
            dead[key] = (told, reason)
        if now - told >= HEARD:
            rule = "ERR-1" if reason in ("Unregistered", "ExpiredToken") else "5"
            if watch.listens(rule):
                watch.report(
                    rule,
                    f"a push to a device token that was answered {before} before; "
                    "stop until the app registers it again",
                    request=self.journal.next_number,
                    apns_id=_text(apns_id),
                    token=_text(key[1]),
                )


class Watch:
    """The watch over one connection."""

    __slots__ = (
        "_authorization",
        "_changed_at",
        "_conduct",
        "_generation",
        "_goodbye_at",
        "_heard_at",
        "_ids",
        "_pinged_at",
        "_stream",
        "_told",
        "_unknown",
        "number",
        "source",
    )

    def __init__(self, conduct: Conduct, number: int, source: str) -> None:
        self.number = number
        self.source = source
        self._ids: set[bytes] = set()
        self._conduct = conduct
        self._told: dict[str, int] = {}
        self._authorization: bytes | None = None
        self._changed_at = 0.0
        self._heard_at = conduct.clock()
        self._pinged_at: float | None = None
        self._goodbye_at: float | None = None
        self._stream = self._generation = 0
        self._unknown = True

    def __repr__(self) -> str:
        return f"<Watch {self.number} ids={len(self._ids)} told={sum(self._told.values())}>"

    def report(self, rule: str, text: str, *, most: int = ALIKE, **context: str | int | None) -> None:
        """Add a violation of this connection's client, unless there were ``most`` of that rule."""
        count = self._told.get(rule, 0)
        if count < most:
            self._told[rule] = count + 1
            self._conduct.violations.add(self.number, rule, text, **context)

    def listens(self, rule: str) -> bool:
        """Whether a violation of this rule would still be told."""
        return self._told.get(rule, 0) < ALIKE

    # ---- what is looked at once for everything that came in one go

    def read(self, wire: ServerSession, bound: bool) -> None:
        """The client said something; nothing of it has been answered yet. ``bound``: it has authenticated already."""
        now, stream = self._conduct.clock(), wire.last_stream_id
        if stream != self._stream:
            self._requests(now, wire, bound)
            self._stream = stream
        self._heard_at = now
        if wire.notes:
            self._wire(wire)
        if self._conduct.settings.report_indexing and wire.table_generation != self._generation:
            self._generation = wire.table_generation
            self._table(wire.table_names)
        if len(self._ids) > IDS:
            self._ids.clear()

    def event(self, event: ServerEvent) -> None:
        """Something that is no request."""
        if type(event) is not Pinged:
            return
        now, before = self._conduct.clock(), self._pinged_at
        self._pinged_at = now
        floor = self._conduct.settings.ping_floor
        if before is not None and 0 <= now - before < floor:
            self.report("CONN-24", f"two PINGs within {floor} s; one after an hour of silence is enough", most=1)

    def _requests(self, now: float, wire: ServerSession, bound: bool) -> None:
        if bound:
            self._unknown = False
        elif self._unknown and wire.open_streams > 1:
            self.report(
                "CONN-14",
                f"{wire.open_streams} streams at once on a connection that has not shown a good provider token yet; "
                "wait for the answer to the first",
                most=1,
                streams=wire.open_streams,
            )
        silent = now - self._heard_at
        if self._stream and silent > IDLE:
            self.report("CONN-24", f"a request after {silent:.0f} s of silence, without a PING to see who is there")

    def _wire(self, wire: ServerSession) -> None:
        now = self._conduct.monotonic()
        if wire.said_goaway and self._goodbye_at is None:
            self._goodbye_at = now
        for note in wire.take_notes():
            if note.kind == "after-goaway":
                patience = HEARD + self._conduct.settings.round_trip_ms / 1000
                if self._goodbye_at is None or now - self._goodbye_at < patience:
                    continue
            rule, text = of_the_wire(note)
            self.report(rule, text, stream=note.stream_id)

    def _table(self, names: set[bytes]) -> None:
        for name in names & {b":path", b"authorization"}:
            text = f"{name.decode()} enters the header table; send it as a literal without indexing"
            self.report("CONN-29", text, most=2)

    # ---- what is looked at for one push

    def combination(self, push: Push) -> None:
        """A push was accepted whose header fields are not those of an earlier one."""
        shown = push.fields.get(b"authorization")
        if shown is not None and push.session.client is None and shown != self._authorization:
            since = push.now - self._changed_at
            if self._authorization is not None and 0 <= since < TOKEN_FLOOR:
                self.report(
                    "TOK-9",
                    f"another provider token after {since:.0f} s on the same connection; keep one for 20 to 60 minutes",
                    request=self._conduct.journal.next_number,
                )
            self._authorization, self._changed_at = shown, push.now
        for rule, text in fields_at_fault(push.fields):
            self.report(rule, text, most=ALIKE, request=self._conduct.journal.next_number)

    def uses(self, apns_id: bytes) -> None:
        """A push with this id is accepted; the second one with it on this very connection is a violation."""
        if apns_id not in self._ids:
            self._ids.add(apns_id)
            return
        self.report(
            "4.1",
            "an apns-id that was used for another push before; make a new one for each",
            request=self._conduct.journal.next_number,
            apns_id=_text(apns_id),
        )

    # ---- the end

    def closed(self, requests: int, by_client: bool) -> None:
        """The connection is gone; ``by_client``: not because of anything that was said here."""
        if by_client and requests <= 1:
            self._conduct.closed_briefly(self)

    def no_http2(self, line: str) -> None:
        """It began with HTTP/1."""
        self.report("CONN-12", "HTTP/1.x in place of HTTP/2; APNs speaks HTTP/2 alone", request_line=line)

    def broken_protocol(self, section: str, detail: str) -> None:
        """HTTP/2 was broken in a way that ends the connection."""
        self.report(section, detail)


def _retried(push: Push) -> bytes:
    """What a retry has in common with the push: its id, or else the token and the body."""
    own = push.fields.get(b"apns-id")
    return push.path + b"\0" + (push.body if own is None else own)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
