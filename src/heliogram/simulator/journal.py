"""What the simulator remembers of the requests it answered: the latest in full, all of them in counters."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice

import msgspec

from .errors import Missing
from .feed import Feed
from .lint import Finding, lint
from .lint_broadcast import BROADCAST_PATH, lint_broadcast
from .lockscreen import stamp

Headers = Sequence[tuple[bytes, bytes]]

_SECRET = b"authorization"
_PUSHES = frozenset({"production", "sandbox"})


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One request and its answer, kept as bytes; ``request`` makes it readable.

    ``headers`` and ``body`` as they came (the body cut where the listener cuts it), empty where nobody is to look into
    them; ``size``: bytes of the whole body.
    """

    at: float
    connection: int
    listener: str
    method: bytes
    path: bytes
    topic: bytes | None
    push_type: bytes | None
    apns_id: bytes
    status: int
    reason: str | None
    device: str | None
    headers: Headers = ()
    body: bytes = b""
    size: int = 0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What APNs accepted and would not show, or not as meant. Worked out now; none on what was rejected."""
        if self.status != 200 or self.listener not in _PUSHES or not self.headers:
            return ()
        if self.path.startswith(BROADCAST_PATH):
            return tuple(lint_broadcast(dict(self.headers), self.body, self.at))
        return tuple(lint(dict(self.headers), self.body, self.at))


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An entry as people read it.

    ``number`` counts the requests of this run from 1, ``connection`` its connections. ``findings``: what is wrong with
    an accepted push; ``violations``: what the client did against the rules with it; each as ``RULE: sentence``.
    """

    number: int
    at: str
    connection: int
    listener: str
    method: str
    path: str
    topic: str | None
    push_type: str | None
    apns_id: str
    status: int
    reason: str | None
    device: str | None
    findings: list[str]
    violations: list[str]


class AnswerRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What was answered to a request, and nothing else of it: cheap enough to be read for every push of a campaign.

    ``path`` ends with the device token; ``device`` is who has it.
    """

    number: int
    apns_id: str
    path: str
    status: int
    reason: str | None
    device: str | None


class HeaderField(msgspec.Struct, frozen=True):
    """One field, as it came."""

    name: str
    value: str


class RequestDetail(RequestRecord, frozen=True, kw_only=True, rename="camel"):
    """A record with the request itself. Of ``authorization`` the scheme is shown, never the token.

    ``body`` is text as far as it was kept; ``size`` counts the bytes that came.
    """

    headers: list[HeaderField]
    body: str
    size: int


class Journal:
    """A ring of the latest ``limit`` requests, and how many there were of each outcome.

    ``violations`` gives, for the numbers of requests, what was wrong with how they were made.
    """

    def __init__(
        self,
        limit: int,
        feed: Feed | None = None,
        violations: Callable[[], Mapping[int, list[str]]] = dict,
    ) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self._feed = feed or Feed()
        self._violations = violations
        self.outcomes: Counter[str] = Counter()
        self.connections = 0
        self.added = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Journal kept={len(self)} answered={self.answered} connections={self.connections}>"

    @property
    def answered(self) -> int:
        """Requests answered since the start or the last reset."""
        return self.outcomes.total()

    @property
    def next_number(self) -> int:
        """The number that the request under judgement will have."""
        return self.added + 1

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.added += 1
        self.outcomes[entry.reason or "Accepted"] += 1
        if self._feed.live:
            number = self.added
            self._feed.publish("request", partial(self._told, number, entry))
            self._feed.publish("finding", partial(_found, number, entry))

    def latest(self, limit: int) -> list[RequestRecord]:
        """The latest ``limit`` requests, newest first."""
        count, violations = min(limit, len(self._entries)), self._violations()
        return [
            readable(self.added - back + 1, self._entries[-back], violations.get(self.added - back + 1, ()))
            for back in range(1, count + 1)
        ]

    def answers(self, after: int, limit: int) -> list[AnswerRecord]:
        """Up to ``limit`` answers with numbers over ``after`` that are still remembered, oldest first."""
        first = self.added - len(self._entries) + 1
        skip = max(0, after + 1 - first)
        return [
            AnswerRecord(
                number=first + place,
                apns_id=_text(entry.apns_id) or "",
                path=_text(entry.path) or "",
                status=entry.status,
                reason=entry.reason,
                device=entry.device,
            )
            for place, entry in enumerate(islice(self._entries, skip, skip + limit), skip)
        ]

    def detail(self, number: int) -> RequestDetail:
        """One request in full. Raises Missing when it was never there, or has left the ring."""
        back = self.added - number + 1
        if not 1 <= back <= len(self._entries):
            kept = f"{self.added - len(self._entries) + 1} to {self.added}" if self._entries else "none"
            raise Missing(f"there is no request {number} any more; kept are {kept}", field="number")
        entry = self._entries[-back]
        record = readable(number, entry, self._violations().get(number, ()))
        return RequestDetail(
            **msgspec.structs.asdict(record),
            headers=[_field(name, value) for name, value in entry.headers],
            body=_text(entry.body) or "",
            size=entry.size,
        )

    def clear(self) -> None:
        """Forget requests and counters; connections and requests keep their numbers."""
        self._entries.clear()
        self.outcomes.clear()

    def _told(self, number: int, entry: Entry) -> RequestRecord:
        return readable(number, entry, self._violations().get(number, ()))


def _found(number: int, entry: Entry) -> dict[str, object] | None:
    findings = [str(finding) for finding in entry.findings]
    if not findings:
        return None
    return {"request": number, "apnsId": _text(entry.apns_id), "device": entry.device, "findings": findings}


def readable(number: int, entry: Entry, violations: Sequence[str] = ()) -> RequestRecord:
    """An entry as people read it; here its findings are worked out."""
    return RequestRecord(
        number=number,
        at=stamp(entry.at),
        connection=entry.connection,
        listener=entry.listener,
        method=_text(entry.method) or "",
        path=_text(entry.path) or "",
        topic=_text(entry.topic),
        push_type=_text(entry.push_type),
        apns_id=_text(entry.apns_id) or "",
        status=entry.status,
        reason=entry.reason,
        device=entry.device,
        findings=[str(finding) for finding in entry.findings],
        violations=list(violations),
    )


def _field(name: bytes, value: bytes) -> HeaderField:
    if name == _SECRET:
        scheme, found, _ = value.partition(b" ")
        return HeaderField("authorization", f"{_text(scheme)} …" if found else "…")
    return HeaderField(_text(name) or "", _text(value) or "")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
