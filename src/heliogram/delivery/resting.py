"""Devices that are left alone for a while, because the provider said that they get too many pushes."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from ..domain.notifications import DeliveryRecord, Outcome
from ..ports import LeasedChunk, PushResult
from .plan import Target
from .policy import Deadline
from .waiting import record_of

MOST = 100_000
"""Devices that are kept in mind, about 20 MiB; then the oldest is forgotten, and costs one more 429."""
REASON = "TooManyRequests"


class _Rest(NamedTuple):
    until: int
    times: int
    since: int


class Resting:
    """Until when each device is left alone, by whichever push: of this process, in memory. After a restart a device may
    hear of one more push, and be refused it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._rests: OrderedDict[tuple[bytes, bytes], _Rest] = OrderedDict()

    def __repr__(self) -> str:
        return f"Resting(devices={len(self._rests)})"

    def __len__(self) -> int:
        return len(self._rests)

    def times(self, account: bytes, token: bytes) -> int:
        """How often in a row a device was said to get too many."""
        known = self._rests.get((account, token))
        return 0 if known is None else known.times

    def rest(self, account: bytes, token: bytes, until: int, now: int) -> None:
        """Leaves a device alone from now until then (ms)."""
        times = self.times(account, token) + 1
        self._rests.pop((account, token), None)
        self._rests[account, token] = _Rest(until, times, now)
        if len(self._rests) > self._most:
            self._rests.popitem(last=False)

    def wake(self, account: bytes, token: bytes) -> None:
        """A device took a push again."""
        self._rests.pop((account, token), None)

    def until(self, account: bytes, token: bytes, now: int) -> int | None:
        """Until when a device is to be left alone; None when it is not, or when the clock was set back to before."""
        known = self._rests.get((account, token))
        return known.until if known is not None and known.since <= now < known.until else None

    def sift(
        self, chunk: LeasedChunk, targets: list[Target], deadline: Deadline, now: int
    ) -> tuple[list[Target], list[DeliveryRecord]]:
        """What may be tried, and the records of what waits with its device: not tried, and so no attempt."""
        if not self._rests:
            return targets, []
        free, records = list[Target](), list[DeliveryRecord]()
        for target in targets:
            until = self.until(chunk.account_id, target.token, now)
            if until is None:
                free.append(target)
                continue
            over = until >= deadline.again
            reason = f"Expired: {REASON}" if over and deadline.own else REASON
            result = PushResult(tag=target, outcome=Outcome.NOT_SENT, reason=reason)
            attempt = target.attempt if over else target.attempt - 1
            records.append(record_of(chunk, result, now, None if over else until, attempt=attempt))
        return free, records
