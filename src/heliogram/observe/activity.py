"""The last minutes of each account, in memory: counts by second, why attempts failed, the newest outcomes."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable

from ..domain.operations import Counts
from ..ports import Clock, LaneDepth, LaneStore, SecondOf, SeenOutcome, SeenOutcomes
from ..ports.activity import MAX_ACTIVE_ACCOUNTS, OUTCOMES_A_SECOND, OUTCOMES_KEPT, WINDOW_SECONDS
from .latency import percentile
from .tally import MAX_REASONS, OTHER, Digest, Ended

SHOWN_REASONS = 50
LANES_SECONDS = 1.0
"""Depths are asked of the store no more often than this,"""
LANES_SHARE = 20
"""and not again before so many times the time that it took have passed."""


class _Second:
    """What happened within one second."""

    __slots__ = ("answers", "at", "counts", "reasons")

    def __init__(self, at: int) -> None:
        self.at = at
        self.counts = Counts()
        self.answers: Counter[int] = Counter()
        self.reasons: Counter[str] = Counter()


class _Account:
    """The activity of one account."""

    __slots__ = ("_kept", "_kept_of", "last", "outcomes", "seconds")

    def __init__(self) -> None:
        self.seconds: deque[_Second] = deque()
        self.outcomes: deque[tuple[int, Ended]] = deque(maxlen=OUTCOMES_KEPT)
        self.last = 0
        self._kept = self._kept_of = 0

    def second(self, at: int) -> _Second:
        """Of this moment; what is told late, or by a node whose clock is behind, counts in the second it is of."""
        seconds = self.seconds
        for known in reversed(seconds):
            if known.at == at:
                return known
            if known.at < at:
                break
        made = _Second(at)
        place = len(seconds)
        while place and seconds[place - 1].at > at:
            place -= 1
        seconds.insert(place, made)
        return made

    def forget(self, before: int) -> None:
        """Whatever is older, and what is too much: clocks may be set back."""
        while self.seconds and (self.seconds[0].at < before or len(self.seconds) > WINDOW_SECONDS):
            self.seconds.popleft()

    def keep(self, ended: Iterable[Ended], unseen: int, second: int) -> None:
        """The newest outcomes, and that there were others."""
        if second != self._kept_of:
            self._kept, self._kept_of = 0, second
        for each in ended:
            self.last += 1
            if self._kept < OUTCOMES_A_SECOND:
                self._kept += 1
                self.outcomes.append((self.last, each))
        self.last += unseen


class Lanes:
    """How full the lanes are, asked of the store now and then."""

    def __init__(self, store: LaneStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._known: list[LaneDepth] = []
        self._again = 0.0

    def __repr__(self) -> str:
        return f"Lanes(known={len(self._known)})"

    async def depths(self) -> list[LaneDepth]:
        """Of all accounts. Raises `StoreError`."""
        began = self._clock.monotonic()
        if began >= self._again:
            self._again = began + LANES_SECONDS  # whoever comes meanwhile gets what is known
            self._known = await self._store.lane_depths(int(self._clock.time() * 1000))
            now = self._clock.monotonic()
            self._again = now + max(LANES_SECONDS, LANES_SHARE * (now - began))
        return self._known


class Activity:
    """`ports.ActivityBook`: what this node's own processes saw, and what other nodes tell of theirs."""

    def __init__(self, clock: Clock, lanes: Lanes, *, node: str, sends: bool) -> None:
        self._clock, self._lanes = clock, lanes
        self._node, self._sends = node, sends
        self._accounts: OrderedDict[bytes, _Account] = OrderedDict()

    def __repr__(self) -> str:
        return f"Activity({self._node!r}, accounts={len(self._accounts)})"

    @property
    def node(self) -> str:
        """See the port."""
        return self._node

    @property
    def sends(self) -> bool:
        """See the port."""
        return self._sends

    def heard(self, digest: Digest) -> None:
        """Something happened."""
        account = self._accounts.get(digest.account)
        if account is None:
            account = self._accounts[digest.account] = _Account()
            if len(self._accounts) > MAX_ACTIVE_ACCOUNTS:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(digest.account)
        now = int(self._clock.time())
        at = min(digest.at // 1000, now + 1)  # of another node's clock
        second = account.second(at)
        second.counts += digest.recipients
        second.answers.update(digest.answers)
        for name, count in digest.others.items():
            reason = name.partition(" ")[2]
            if reason not in second.reasons and len(second.reasons) >= MAX_REASONS:
                reason = OTHER
            second.reasons[reason] += count
        account.keep(digest.ended, digest.unseen, at)
        account.forget(now - WINDOW_SECONDS)

    def seconds(self, account: bytes) -> list[SecondOf]:
        """See the port."""
        return [
            SecondOf(
                at=each.at,
                sent=each.counts.sent,
                failed=each.counts.failed,
                unaddressable=each.counts.unaddressable,
                p50_ms=percentile(each.answers, 0.5),
                p99_ms=percentile(each.answers, 0.99),
            )
            for each in self._recent(account)
        ]

    def reasons(self, account: bytes) -> list[tuple[str, int]]:
        """See the port; at most 50."""
        total: Counter[str] = Counter()
        for each in self._recent(account):
            total.update(each.reasons)
        return total.most_common(SHOWN_REASONS)

    def _recent(self, account: bytes) -> list[_Second]:
        found = self._accounts.get(account)
        if found is None:
            return []
        found.forget(int(self._clock.time()) - WINDOW_SECONDS)
        return list(found.seconds)

    def outcomes(self, account: bytes, *, after: int | None, limit: int) -> SeenOutcomes:
        """See the port."""
        found = self._accounts.get(account)
        if found is None:
            return SeenOutcomes(outcomes=[], last=0, missed=0)
        known = list(found.outcomes)
        if after is None or after > found.last:
            shown = known[-limit:]
            begin = shown[0][0] - 1 if shown else found.last
            last = found.last
        else:
            new = [each for each in known if each[0] > after]
            shown, begin = new[:limit], after
            last = found.last if len(new) <= limit else shown[-1][0]
        outcomes = [_seen(sequence, each) for sequence, each in shown]
        return SeenOutcomes(outcomes=outcomes, last=last, missed=last - begin - len(outcomes))

    async def lanes(self, account: bytes) -> list[LaneDepth]:
        """See the port."""
        return [depth for depth in await self._lanes.depths() if depth.account_id == account]


def _seen(sequence: int, ended: Ended) -> SeenOutcome:
    return SeenOutcome(
        sequence=sequence,
        at=ended.at,
        notification_id=ended.notification_id,
        outcome=ended.outcome,
        status=ended.status,
        reason=ended.reason,
        token=ended.token,
    )
