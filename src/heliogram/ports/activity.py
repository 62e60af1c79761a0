"""What happens just now: told by whoever records outcomes, read by whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ..domain.notifications import DeliveryRecord
from ..domain.operations import Counts, Lane
from ..measures import StoreStats, WebhookStand
from .work import LeasedChunk

WINDOW_SECONDS = 300
"""Seconds of counts that are kept."""
OUTCOMES_KEPT = 1_000
"""Outcomes of an account that are kept, the newest."""
OUTCOMES_A_SECOND = 100
"""Outcomes of an account that are kept of one second, failures first; the others are counted."""
MAX_ACTIVE_ACCOUNTS = 1_000
"""Accounts whose activity is kept; the one of which nothing was heard for longest leaves."""


class Tap(Protocol):
    """Is told of outcomes, in the process that sends."""

    def wrote(self, chunk: LeasedChunk, records: Sequence[DeliveryRecord], counts: Counts) -> None:
        """Attempts of a chunk are on disk, and so many of its recipients have ended by them. Costs next to nothing and
        raises nothing."""

    def pruned(self, chunk: LeasedChunk, *, removed: int, quarantined: int) -> None:
        """So many device tokens were taken out, or set aside, for what was answered to a chunk."""


class NoTap:
    """A `Tap` that nobody listens to."""

    def wrote(self, chunk: LeasedChunk, records: Sequence[DeliveryRecord], counts: Counts) -> None:
        """Nothing."""

    def pruned(self, chunk: LeasedChunk, *, removed: int, quarantined: int) -> None:
        """Nothing."""


class LaneDepth(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has in a lane, in recipients that have not ended. `waiting`: due, or in a worker's hand; `later`:
    scheduled, or put off until they are tried again. `oldest_due` (ms) is since when the first that no worker took has
    been due, None when none is."""

    account_id: bytes
    lane: Lane
    waiting: int
    later: int
    oldest_due: int | None


class LaneStore(Protocol):
    """How much there is to do."""

    async def lane_depths(self, now: int) -> list[LaneDepth]:
        """Of every account and lane in which something has not ended, at `now` (ms). Reads every chunk that has not
        ended: whoever asks often should keep the answer for a while."""


class MeasuredStore(Protocol):
    """How a store is."""

    def stats(self) -> StoreStats:
        """Just now, in this process; asks no database."""

    async def webhook_stand(self) -> WebhookStand:
        """Batches that were not taken, of all webhooks. Looks at every one: whoever asks often should keep the answer
        for a while."""


class SecondOf(msgspec.Struct, frozen=True, kw_only=True):
    """How many recipients ended in the second that began at `at` (s since 1970), and how long APNs took for half and
    for 99 of 100 of its answers (ms, None when there was none)."""

    at: int
    sent: int
    failed: int
    unaddressable: int
    p50_ms: int | None
    p99_ms: int | None


class SeenOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended for good: the kept tail of what happens. `sequence` counts all of them in the account, the
    ones that were not kept too; `at` is in ms. `token` is masked."""

    sequence: int
    at: int
    notification_id: bytes
    outcome: str
    status: int
    reason: str
    token: str


class SeenOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes in their order, the sequence to go on after, and how many were not kept in between."""

    outcomes: list[SeenOutcome]
    last: int
    missed: int


class ActivityBook(Protocol):
    """The last minutes, by account, as this process saw them."""

    @property
    def node(self) -> str:
        """The name of this node."""

    @property
    def sends(self) -> bool:
        """Whether this node sends, or hears of those that do."""

    def seconds(self, account: bytes) -> list[SecondOf]:
        """The seconds in which something happened, the oldest first."""

    def reasons(self, account: bytes) -> list[tuple[str, int]]:
        """Why attempts did not succeed in these seconds, and how many; the most frequent first."""

    def outcomes(self, account: bytes, *, after: int | None, limit: int) -> SeenOutcomes:
        """Outcomes after a sequence; the newest when it is None, or one that was never given."""

    async def lanes(self, account: bytes) -> list[LaneDepth]:
        """What the account has in each lane, as of at most a few seconds ago. Raises `StoreError`."""


class NoActivity:
    """An `ActivityBook` of a process in which nothing happens."""

    node = ""
    sends = False

    def seconds(self, account: bytes) -> list[SecondOf]:
        """None."""
        return []

    def reasons(self, account: bytes) -> list[tuple[str, int]]:
        """None."""
        return []

    def outcomes(self, account: bytes, *, after: int | None, limit: int) -> SeenOutcomes:
        """None."""
        return SeenOutcomes(outcomes=[], last=0, missed=0)

    async def lanes(self, account: bytes) -> list[LaneDepth]:
        """Nothing waits."""
        return []
