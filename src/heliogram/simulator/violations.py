"""What clients did against the rules: the latest in full, all of them in counters by rule.

Whoever notices one adds it: the check that refused a push, the connection it came on, a fault that was not respected.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping

import msgspec

from .feed import Feed
from .lockscreen import stamp

TEXT_LIMIT = 500
"""Characters of a sentence and of a detail that are kept."""

Detail = str | int


class Violation(msgspec.Struct, frozen=True, gc=False):
    """One of them. ``at``: seconds since the epoch; ``request``: the journal's number of the request, if it was one."""

    at: float
    connection: int
    rule: str
    text: str
    request: int | None
    apns_id: str | None
    details: dict[str, Detail]


class ViolationRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A violation as people read it.

    ``connection`` numbers the connections of this run from 1, 0 stands for none. ``request`` is the number of the
    request in the log that it happened with, ``apnsId`` that push's id. ``details`` is what else there is to know.
    """

    at: str
    connection: int
    rule: str
    text: str
    request: int | None
    apns_id: str | None
    details: dict[str, Detail]

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


class Violations:
    """A ring of the latest ``limit`` violations, and how many there were of each rule."""

    def __init__(self, limit: int, clock: Callable[[], float], feed: Feed) -> None:
        self._kept: deque[Violation] = deque(maxlen=limit)
        self._clock = clock
        self._feed = feed
        self._by_request: dict[int, list[str]] = {}
        self.by_rule: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def __repr__(self) -> str:
        return f"<Violations kept={len(self)} total={self.total}>"

    @property
    def total(self) -> int:
        """Violations since the start or the last reset."""
        return self.by_rule.total()

    def add(self, connection: int, rule: str, text: str, **context: Detail | None) -> None:
        """Write one down. ``rule``: an ID or a section of the rule book, or of an RFC; ``text``: what happened and
        what to do, in one sentence. Of ``context``, ``request`` (a journal number) and ``apns_id`` have a place of
        their own, the rest are details; None is left out. Nothing in it may be a secret.
        """
        request, apns_id = context.pop("request", None), context.pop("apns_id", None)
        details = {
            name: value[:TEXT_LIMIT] if isinstance(value, str) else value
            for name, value in context.items()
            if value is not None
        }
        made = Violation(
            self._clock(),
            connection,
            rule,
            text[:TEXT_LIMIT],
            request if isinstance(request, int) else None,
            None if apns_id is None else str(apns_id)[:TEXT_LIMIT],
            details,
        )
        if len(self._kept) == self._kept.maxlen:
            self._forget(self._kept.popleft())
        self._kept.append(made)
        if made.request is not None:
            self._by_request.setdefault(made.request, []).append(_sentence(made))
        self.by_rule[rule] += 1
        if self._feed.live:
            self._feed.publish("violation", readable(made))

    def latest(
        self, limit: int = 100, *, rule: str | None = None, connection: int | None = None, request: int | None = None
    ) -> list[ViolationRecord]:
        """The latest ``limit`` that fit, newest first."""
        found: list[ViolationRecord] = []
        for one in reversed(self._kept):
            if len(found) >= limit:
                break
            if (
                rule in (None, one.rule)
                and connection in (None, one.connection)
                and (request is None or request == one.request)
            ):
                found.append(readable(one))
        return found

    def by_request(self) -> Mapping[int, list[str]]:
        """The journal's numbers of requests that broke rules, each with ``RULE: sentence`` in order.

        Kept as violations come and go: every request that somebody watches is looked up in it.
        """
        return self._by_request

    def _forget(self, oldest: Violation) -> None:
        if oldest.request is not None:
            sentences = self._by_request[oldest.request]
            del sentences[0]
            if not sentences:
                del self._by_request[oldest.request]

    def clear(self) -> None:
        """Forget all of them, and the counters."""
        self._kept.clear()
        self._by_request.clear()
        self.by_rule.clear()


def _sentence(one: Violation) -> str:
    return f"{one.rule}: {one.text}"


def readable(one: Violation) -> ViolationRecord:
    """A violation as people read it."""
    return ViolationRecord(
        at=stamp(one.at),
        connection=one.connection,
        rule=one.rule,
        text=one.text,
        request=one.request,
        apns_id=one.apns_id,
        details=one.details,
    )
