"""Outcomes added up where they are written: a few list operations for each batch, and none for each push.

A tally hands over what came together every fifth of a second at most, and only when something did. So the process that
sends pays once for thousands of pushes, and passing on what it saw to another process costs no more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ..domain.ids import notification_id
from ..domain.notifications import DeliveryRecord, Outcome
from ..domain.operations import Counts
from ..ports import Clock, LeasedChunk, Timer
from ..ports.activity import OUTCOMES_A_SECOND
from .latency import cell_of

HAND_OVER_SECONDS = 0.2
MAX_REASONS = 64
"""Reasons that one account and app have in one digest; further ones are `OTHER`."""
MAX_REASON_CHARS = 200
OTHER = "Other"
_ACCEPTED = Outcome.ACCEPTED
_ANSWERED = frozenset({Outcome.ACCEPTED, Outcome.REJECTED})
_WORD = re.compile(r"[A-Z][A-Za-z]{2,47}(?=$|:)")
_NAMES = {Outcome.REJECTED: "failed", Outcome.NOT_SENT: "failed", Outcome.UNKNOWN: "failed"}
_NAMES |= {Outcome.ACCEPTED: "sent", Outcome.UNADDRESSABLE: "unaddressable"}
_UNNAMED = {Outcome.NOT_SENT: "NotSent", Outcome.UNKNOWN: "NoAnswer"}


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """How one attempt ended for good; `at` in ms, `token` masked."""

    at: int
    notification_id: bytes
    outcome: str
    status: int
    reason: str
    token: str


class Digest(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What became of an account's pushes to one app within a moment that ended at `at` (ms).

    `recipients` says how many ended how, `accepted` how many attempts were, `others` those that were not: by outcome
    and reason. `answers` and `queued` count durations in cells (`latency.cell_of`). `ended` are some of those that
    ended for good, `unseen` how many more did. `removed` and `quarantined` count device tokens.
    """

    at: int
    account: bytes
    app: str
    recipients: Counts
    accepted: int
    others: dict[str, int]
    answers: dict[int, int]
    queued: dict[int, int]
    ended: list[Ended]
    unseen: int
    removed: int = 0
    quarantined: int = 0


def word_of(outcome: Outcome, reason: str) -> str:
    """A reason in one word: APNs' own or ours, whose details follow after a colon."""
    found = _WORD.match(reason)
    return found[0] if found is not None else _UNNAMED.get(outcome, OTHER)


def masked(token: bytes) -> str:
    """A device token as it may stand anywhere."""
    text = token.hex()
    return f"{text[:4]}…{text[-4:]}" if len(text) >= 16 else ""


class _Page:
    """What is added up for one account and app."""

    __slots__ = (
        *("accepted", "answers", "ended", "others", "quarantined", "queued", "recipients", "removed", "unseen"),
        *("full", "single_answers", "single_queued"),
    )

    def __init__(self) -> None:
        self.recipients = Counts()
        self.accepted = self.unseen = self.removed = self.quarantined = 0
        self.others: dict[str, int] = {}
        self.answers: dict[int, int] = {}
        self.queued: dict[int, int] = {}
        self.ended: list[Ended] = []
        self.full = 0
        """The second of which no more outcomes of the account are kept."""
        self.single_answers: list[int] = []
        self.single_queued: list[int] = []

    def add_singles(self) -> None:
        """Adds up what was put aside."""
        count = len(self.single_answers)
        self.recipients += Counts(sent=count)
        self.accepted += count
        _add(self.answers, self.single_answers)
        _add(self.queued, self.single_queued)


class Tally:
    """`ports.Tap`: adds up, and hands a digest of each account and app to `out`."""

    def __init__(self, clock: Clock, out: Callable[[Digest], object]) -> None:
        self._clock, self._out = clock, out
        self._pages: dict[tuple[bytes, str], _Page] = {}
        self._timer: Timer | None = None
        self._second, self._kept = 0, dict[bytes, int]()

    def __repr__(self) -> str:
        return f"Tally(pages={len(self._pages)})"

    def wrote(self, chunk: LeasedChunk, records: Sequence[DeliveryRecord], counts: Counts) -> None:
        """See the port."""
        page = self._page(chunk)
        if len(records) == 1 and (record := records[0]).outcome is _ACCEPTED and counts.sent == 1:
            # Of small sends there may be thousands a second: what can wait until the digest is made waits.
            page.single_answers.append(record.wire_ms)
            page.single_queued.append(record.queued_ms)
            if page.full == int(self._clock.time()):
                page.unseen += 1
            else:
                self._keep(page, chunk, records, ())
            return
        page.recipients += counts
        others = [record for record in records if record.outcome is not _ACCEPTED]
        answered = records
        if others:
            answered = [record for record in records if record.outcome in _ANSWERED]
            _add_reasons(page.others, others)
        page.accepted += len(records) - len(others)
        _add(page.answers, [record.wire_ms for record in answered])
        _add(page.queued, [record.queued_ms for record in answered])
        self._keep(page, chunk, records, others)

    def pruned(self, chunk: LeasedChunk, *, removed: int, quarantined: int) -> None:
        """See the port."""
        page = self._page(chunk)
        page.removed += removed
        page.quarantined += quarantined

    def _page(self, chunk: LeasedChunk) -> _Page:
        key = chunk.account_id, chunk.spec.app_name
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = _Page()
            if self._timer is None:
                self._timer = self._clock.call_later(HAND_OVER_SECONDS, self.hand_over)
        return page

    def _keep(
        self, page: _Page, chunk: LeasedChunk, records: Sequence[DeliveryRecord], others: Sequence[DeliveryRecord]
    ) -> None:
        """Some of them one by one: those that did not succeed before those that did."""
        now = self._clock.time()
        if int(now) != self._second:
            self._second, self._kept = int(now), {}
        room = OUTCOMES_A_SECOND - self._kept.get(chunk.account_id, 0)
        lost = [record for record in others if record.final and record.outcome in _NAMES]
        final = len(records) - len(others) + len(lost)
        kept = 0
        if room > 0 and final:
            some = lost[:room]
            if len(some) < room and len(others) < len(records):
                some += [record for record in records[: room + len(others)] if record.outcome is _ACCEPTED]
                del some[room:]
            page.ended += [_ended(chunk.operation_id, record) for record in some]
            kept = len(some)
            self._kept[chunk.account_id] = OUTCOMES_A_SECOND - room + kept
        page.unseen += final - kept
        if room <= kept:
            page.full = self._second

    def hand_over(self) -> None:
        """Now, what there is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pages, self._pages = self._pages, {}
        at = int(self._clock.time() * 1000)
        for (account, app), page in pages.items():
            page.add_singles()
            self._out(
                Digest(
                    at=at,
                    account=account,
                    app=app,
                    recipients=page.recipients,
                    accepted=page.accepted,
                    others=page.others,
                    answers=page.answers,
                    queued=page.queued,
                    ended=page.ended,
                    unseen=page.unseen,
                    removed=page.removed,
                    quarantined=page.quarantined,
                )
            )


def _add(cells: dict[int, int], durations: Sequence[int]) -> None:
    """Counts each duration; in a batch most are alike."""
    if len(durations) == 1:
        cell = cell_of(durations[0])
        cells[cell] = cells.get(cell, 0) + 1
        return
    for ms, count in Counter(durations).items():
        cell = cell_of(ms)
        cells[cell] = cells.get(cell, 0) + count


def _add_reasons(known: dict[str, int], records: Iterable[DeliveryRecord]) -> None:
    """Counts by outcome and reason, a space between."""
    for (outcome, said), count in Counter((record.outcome, record.reason) for record in records).items():
        if outcome is Outcome.CANCELED:
            continue
        key = f"{outcome.name.lower()} {word_of(outcome, said)}"
        if key not in known and len(known) >= MAX_REASONS:
            key = f"{outcome.name.lower()} {OTHER}"
        known[key] = known.get(key, 0) + count


def _ended(operation_id: bytes, record: DeliveryRecord) -> Ended:
    return Ended(
        at=record.at,
        notification_id=notification_id(operation_id, record.sequence),
        outcome=_NAMES[record.outcome],
        status=record.status,
        reason=record.reason[:MAX_REASON_CHARS],
        token=masked(record.token),
    )
