"""The last minutes of each account, in memory, as one node saw them; and how full the lanes are."""

from __future__ import annotations

from collections import Counter, OrderedDict

from ..ports import Clock, LaneDepth, LaneStore, SecondOf, SeenOutcomes
from ..ports.activity import MAX_ACTIVE_ACCOUNTS, WINDOW_SECONDS
from .recent import Recent
from .tally import Digest

LANES_SECONDS = 1.0
"""Depths are asked of the store no more often than this,"""
LANES_SHARE = 20
"""and not again before so many times the time that it took have passed."""


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

    async def of(self, account: bytes) -> list[LaneDepth]:
        """Of one account. Raises `StoreError`."""
        return [depth for depth in await self.depths() if depth.account_id == account]


class Activity:
    """`ports.ActivityBook`: what this node's own processes saw."""

    def __init__(self, clock: Clock, lanes: Lanes, *, node: str, sends: bool) -> None:
        self._clock, self._lanes = clock, lanes
        self._node, self._sends = node, sends
        self._accounts: OrderedDict[bytes, Recent] = OrderedDict()

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

    async def refresh(self, account: bytes) -> None:
        """See the port: what this node saw it knows."""

    def nodes(self, account: bytes) -> list[str]:
        """See the port."""
        return [self._node] if self._sends else []

    def heard(self, digest: Digest) -> None:
        """Something happened."""
        account = self._accounts.get(digest.account)
        if account is None:
            account = self._accounts[digest.account] = Recent()
            if len(self._accounts) > MAX_ACTIVE_ACCOUNTS:
                self._accounts.popitem(last=False)
        self._accounts.move_to_end(digest.account)
        now = int(self._clock.time())
        at = min(digest.at // 1000, now + 1)  # of another process
        reasons: Counter[str] = Counter()
        for name, count in digest.others.items():
            reasons[name.partition(" ")[2]] += count
        account.second(at).add(digest.recipients, digest.answers, reasons)
        account.keep(digest.ended, digest.unseen, at, self._node)
        account.forget(now - WINDOW_SECONDS)

    def take(self, account: bytes) -> Recent | None:
        """What is known of an account, which from then on somebody else knows; None for nothing."""
        found = self._accounts.pop(account, None)
        if found is not None:
            found.forget(int(self._clock.time()) - WINDOW_SECONDS)
        return found

    def seconds(self, account: bytes) -> list[SecondOf]:
        """See the port."""
        return self._recent(account).told()

    def reasons(self, account: bytes) -> list[tuple[str, int]]:
        """See the port; at most 50."""
        return self._recent(account).reasons()

    def _recent(self, account: bytes) -> Recent:
        found = self._accounts.get(account, Recent())
        found.forget(int(self._clock.time()) - WINDOW_SECONDS)
        return found

    def outcomes(self, account: bytes, *, after: int | None, limit: int) -> SeenOutcomes:
        """See the port."""
        return self._accounts.get(account, Recent()).seen(after, limit)

    async def lanes(self, account: bytes) -> list[LaneDepth]:
        """See the port."""
        return await self._lanes.of(account)
