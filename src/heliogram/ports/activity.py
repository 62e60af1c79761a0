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


MAX_TOLD = 200
"""Rows of what other nodes tell that are read at once."""


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


class ToldActivity(msgspec.Struct, frozen=True):
    """What a node told of an account. `turn` orders what all nodes told of it, without a gap that could be filled
    later; `last` counts the account's outcomes up to and with these, `outcomes` are so many of them. `age` is how long
    ago (ms) it was told."""

    turn: int
    node: bytes
    name: str
    age: int
    last: int
    outcomes: int
    body: bytes


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An account is looked at. `fresh`: nobody had looked for a while, so the nodes that send (`senders`) have yet to
    notice and tell what they know, after `turn`."""

    fresh: bool
    turn: int
    senders: frozenset[bytes]


class ActivityStore(Protocol):
    """Where nodes tell each other of the last minutes, of accounts that somebody looks at. What is told is numbered in
    the order in which it can be read, so whoever has read up to a turn has missed nothing before it."""

    async def want_activity(self, account: bytes, for_ms: int) -> Wanted:
        """Somebody looks at an account, for so long from now on. Raises `StoreError`, as all of these."""

    async def wanted_activity(self) -> list[bytes]:
        """Accounts that somebody looks at: at most 200, those first that are wanted longest."""

    async def tell_activity(
        self, account: bytes, node: bytes, number: int, name: str, outcomes: int, body: bytes
    ) -> bool:
        """What a node knows of an account that nobody was told; whether anybody wants to know. A `number` that the node
        has told before is passed over, since it may not know whether it was heard."""

    async def told_activity(self, account: bytes, after: int) -> list[ToldActivity]:
        """What was told after a turn, in order, at most `MAX_TOLD` at once."""

    async def forget_activity(self) -> int:
        """Removes what is older than the window, but for rows with some of the newest outcomes, which stay for a day;
        how many rows."""


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
    ones that were not kept too; `at` is in ms, `node` sent it. `token` is masked."""

    sequence: int
    at: int
    node: str
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
    """The last minutes, by account: as this node saw them, or all nodes together."""

    @property
    def node(self) -> str:
        """The name of this node."""

    @property
    def sends(self) -> bool:
        """Whether this node sends, or hears of those that do."""

    async def refresh(self, account: bytes) -> None:
        """Brings what is known of an account up to date. Raises `StoreError`."""

    def nodes(self, account: bytes) -> list[str]:
        """The names of the nodes whose pushes these are."""

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

    async def refresh(self, account: bytes) -> None:
        """Nothing to bring."""

    def nodes(self, account: bytes) -> list[str]:
        """None."""
        return []

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
