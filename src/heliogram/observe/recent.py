"""The last minutes of one account: counts by second, why attempts failed, the newest outcomes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from ..domain.operations import Counts
from ..ports import SecondOf, SeenOutcome, SeenOutcomes
from ..ports.activity import OUTCOMES_A_SECOND, OUTCOMES_KEPT, WINDOW_SECONDS
from .latency import percentile
from .tally import MAX_REASONS, OTHER, Ended

SHOWN_REASONS = 50


class Second:
    """What happened within one second."""

    __slots__ = ("answers", "at", "counts", "reasons")

    def __init__(self, at: int) -> None:
        self.at = at
        self.counts = Counts()
        self.answers: Counter[int] = Counter()
        self.reasons: Counter[str] = Counter()

    def add(self, counts: Counts, answers: Mapping[int, int], reasons: Mapping[str, int]) -> None:
        """More of it: counts add up, and so do the cells that durations are counted in."""
        self.counts += counts
        self.answers.update(answers)
        for reason, count in reasons.items():
            known = reason in self.reasons or len(self.reasons) < MAX_REASONS
            self.reasons[reason if known else OTHER] += count

    def told(self) -> SecondOf:
        """As it is shown."""
        return SecondOf(
            at=self.at,
            sent=self.counts.sent,
            failed=self.counts.failed,
            unaddressable=self.counts.unaddressable,
            p50_ms=percentile(self.answers, 0.5),
            p99_ms=percentile(self.answers, 0.99),
        )


class Recent:
    """An account's last minutes. `last` counts outcomes, those that are not kept, too."""

    __slots__ = ("_kept", "_kept_of", "last", "outcomes", "seconds")

    def __init__(self) -> None:
        self.seconds: deque[Second] = deque()
        self.outcomes: deque[tuple[int, str, Ended]] = deque(maxlen=OUTCOMES_KEPT)
        self.last = 0
        self._kept = self._kept_of = 0

    def __repr__(self) -> str:
        return f"Recent(seconds={len(self.seconds)}, outcomes={len(self.outcomes)}, last={self.last})"

    def second(self, at: int) -> Second:
        """Of this moment; what is told late, or by a node whose clock is behind, counts in the second it is of."""
        seconds = self.seconds
        for known in reversed(seconds):
            if known.at == at:
                return known
            if known.at < at:
                break
        made = Second(at)
        place = len(seconds)
        while place and seconds[place - 1].at > at:
            place -= 1
        seconds.insert(place, made)
        return made

    def forget(self, before: int) -> None:
        """Whatever is older, and what is too much: clocks may be set back."""
        while self.seconds and (self.seconds[0].at < before or len(self.seconds) > WINDOW_SECONDS):
            self.seconds.popleft()

    def keep(self, ended: Iterable[Ended], unseen: int, second: int, node: str) -> None:
        """The newest outcomes of a node, and that there were others."""
        if second != self._kept_of:
            self._kept, self._kept_of = 0, second
        for each in ended:
            self.last += 1
            if self._kept < OUTCOMES_A_SECOND:
                self._kept += 1
                self.outcomes.append((self.last, node, each))
        self.last += unseen

    def told(self) -> list[SecondOf]:
        """The seconds, the oldest first."""
        return [each.told() for each in self.seconds]

    def reasons(self) -> list[tuple[str, int]]:
        """Why attempts did not succeed; at most 50, the most frequent first."""
        total: Counter[str] = Counter()
        for each in self.seconds:
            total.update(each.reasons)
        return total.most_common(SHOWN_REASONS)

    def seen(self, after: int | None, limit: int) -> SeenOutcomes:
        """Outcomes after a sequence; the newest when it is None, or one that was never given."""
        known = list(self.outcomes)
        if after is None or after > self.last:
            shown = known[-limit:]
            begin = shown[0][0] - 1 if shown else self.last
            last = self.last
        else:
            new = [each for each in known if each[0] > after]
            shown, begin = new[:limit], after
            last = self.last if len(new) <= limit else shown[-1][0]
        outcomes = [_seen(*each) for each in shown]
        return SeenOutcomes(outcomes=outcomes, last=last, missed=last - begin - len(outcomes))


def _seen(sequence: int, node: str, ended: Ended) -> SeenOutcome:
    return SeenOutcome(
        sequence=sequence,
        at=ended.at,
        node=node,
        notification_id=ended.notification_id,
        outcome=ended.outcome,
        status=ended.status,
        reason=ended.reason,
        token=ended.token,
    )
