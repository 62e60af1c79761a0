"""What the simulator remembers of the requests it answered: the latest in full, all of them in counters."""

from __future__ import annotations

from collections import Counter, deque

import msgspec

from .lockscreen import stamp


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One request and its answer, kept as bytes; ``request`` makes it readable."""

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


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An entry as people read it. ``connection`` numbers the connections of this run from 1."""

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


class Journal:
    """A ring of the latest ``limit`` requests, and how many there were of each outcome."""

    def __init__(self, limit: int) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)
        self.outcomes: Counter[str] = Counter()
        self.connections = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Journal kept={len(self)} answered={self.answered} connections={self.connections}>"

    @property
    def answered(self) -> int:
        """Requests answered since the start or the last reset."""
        return self.outcomes.total()

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self.outcomes[entry.reason or "Accepted"] += 1

    def latest(self, limit: int) -> list[RequestRecord]:
        """The latest ``limit`` requests, newest first."""
        count = min(limit, len(self._entries))
        return [_readable(self._entries[-back]) for back in range(1, count + 1)]

    def clear(self) -> None:
        """Forget requests and counters; connections keep their numbers."""
        self._entries.clear()
        self.outcomes.clear()


def _readable(entry: Entry) -> RequestRecord:
    return RequestRecord(
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
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
