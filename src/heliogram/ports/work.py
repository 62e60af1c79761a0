"""The queue, and its side of the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from ..domain.ids import split_notification_id
from ..domain.lookups import Known
from ..domain.notifications import DeliveryRecord, Recipient, SendSpec
from ..domain.operations import CHUNK_SIZE, Counts, Lane, NewChunk, Operation

ACCOUNT_BYTES = 16
"""A queue's name begins with its account's id."""
FLOWS_AT_ONCE = 8
"""The most queues of one account that one claim looks at; the next claim begins after the one served last."""
ON_THE_ROAD = "*"
"""Written where a lease names its worker, while a reference to the chunk travels and nobody has the chunk yet."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's hold of a chunk until `until`. `attempt` fences every later write: a write of an older attempt changes
    nothing. `first` is the sequence of the chunk's first recipient. `flow` names the queue of its account that it came
    from: each app has one, and each credential that callers name."""

    account_id: bytes
    id: bytes
    operation_id: bytes
    lane: Lane
    shard: int
    flow: bytes = b""
    attempt: int
    until: int
    first: int


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a lane is worked on at once: in all, of one account, and of one queue of an account. What an account
    or a queue may not have is there for others, however long its chunks take. A chunk takes a slot for every `each`
    recipients, begun ones included; where one is free there is room for any chunk, so that the last may pass a bound
    by one chunk's slots less one."""

    total: int
    account: int
    flow: int
    each: int = CHUNK_SIZE

    @classmethod
    def of(cls, total: int, each: int = CHUNK_SIZE) -> Slots:
        """Of so many an account may have all but a sixth, and a queue two thirds; of two or one, all."""
        if total < 3:
            return cls(total=total, account=total, flow=total, each=each)
        return cls(total=total, account=total - max(1, total // 6), flow=total * 2 // 3, each=each)

    def taken_by(self, recipients: int) -> int:
        """How many slots a chunk of so many recipients takes."""
        return -(-recipients // self.each)


class InHand(msgspec.Struct, kw_only=True):
    """How many slots the chunks of each queue take that are being worked on, of how many there are."""

    slots: Slots
    flows: dict[bytes, int] = msgspec.field(default_factory=dict)

    @property
    def free(self) -> int:
        """Slots that nobody has."""
        return max(0, self.slots.total - sum(self.flows.values()))

    @property
    def short(self) -> set[bytes]:
        """The accounts and queues that have all they may have."""
        accounts: dict[bytes, int] = {}
        for flow, count in self.flows.items():
            account = flow[:ACCOUNT_BYTES]
            accounts[account] = accounts.get(account, 0) + count
        short = {account for account, count in accounts.items() if count >= self.slots.account}
        return short | {flow for flow, count in self.flows.items() if count >= self.slots.flow}

    @property
    def is_short(self) -> bool:
        """Whether an account or a queue has all that it may have, or all have together."""
        return not self.free or bool(self.short)


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A lease that a chunk is accepted with: whose, until when, and since when (ms)."""

    worker: str
    until: int
    since: int


class LeasedChunk(Lease, frozen=True, kw_only=True):
    """A chunk handed to a worker. `records` is what earlier attempts wrote. `start` is when it was to leave (ms): the
    send time of a scheduled one, else when it was accepted. `claimed` is when this attempt began: it sends what was due
    then."""

    recipients: list[Recipient]
    records: list[DeliveryRecord]
    spec: SendSpec
    created: int
    start: int
    claimed: int
    known: Known | None = None
    """What was looked up to accept it, where it was handed over in that moment."""

    def __repr__(self) -> str:
        return f"LeasedChunk({self.id.hex()}, attempt={self.attempt}, recipients={len(self.recipients)})"


class PackedLease(Lease, frozen=True, kw_only=True):
    """A leased chunk as the store keeps it, for whoever hands it on: recipients, result parts and what is sent are
    packed, and nothing of it is opened on the way."""

    recipients: bytes
    parts: list[bytes]
    spec: bytes
    created: int
    start: int
    claimed: int

    def __repr__(self) -> str:
        return f"PackedLease({self.id.hex()}, attempt={self.attempt}, bytes={self.size})"

    @property
    def size(self) -> int:
        """How much there is to open, in bytes."""
        return len(self.recipients) + sum(map(len, self.parts))


class ChunkRef(msgspec.Struct, frozen=True, kw_only=True):
    """Names one attempt of a chunk, for whoever is to take it."""

    id: bytes
    lane: Lane
    shard: int
    flow: bytes
    attempt: int

    @property
    def account_id(self) -> bytes:
        """Whose it is."""
        return self.flow[:ACCOUNT_BYTES]

    def lease(self, until: int) -> Lease:
        """The lease that it was given when it set out."""
        operation, first, _ = split_notification_id(self.id)
        return Lease(
            account_id=self.account_id,
            id=self.id,
            operation_id=operation,
            lane=self.lane,
            shard=self.shard,
            flow=self.flow,
            attempt=self.attempt,
            until=until,
            first=first,
        )


class LeaseStore(Protocol):
    """What whoever sends asks of the queue's side of the store."""

    async def claim(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str, hand: InHand | None = None
    ) -> list[LeasedChunk]:
        """Takes due chunks of one shard: neither leased nor done, or with an expired lease. Half goes to scheduled
        operations whose time has come, each beginning with one chunk. Accounts take turns, an account's weight in
        chunks each, and in an account its queues, each with what is longest due: no backlog keeps another's waiting.
        With `hand`, nobody gets more than the slots allow, nor more than a fair share of them while others wait."""

    async def next_due(self, lane: Lane, shard: int, *, after: int | None = None) -> int | None:
        """When the next chunk falls due (or its lease expires), None when none waits. `after` leaves out what was due
        by then."""

    async def extend(self, chunk: Lease, until: int) -> bool:
        """Keeps a lease alive; False when another attempt holds the chunk."""

    async def extend_all(self, chunks: Sequence[Lease], until: int) -> int:
        """Keeps leases alive, in one write; how many of them were still there."""

    async def append_records(self, chunk: Lease, records: Sequence[DeliveryRecord], counts: Counts) -> bool:
        """Appends a result part. `counts` are the chunk's counters with it, in whole, but for those canceled: the store
        counts them itself. False when fenced off."""

    async def finish(
        self, chunk: Lease, at: int, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """The chunk is done; the operation ends with its last chunk. False when fenced off. If the operation was asked
        to stop, whoever has not ended is canceled. With `records` and `counts` a last result part is appended first, as
        by `append_records`: both or neither."""

    async def release(self, chunk: Lease, due: int, at: int, *, held: bytes | None = None) -> bool:
        """Gives the chunk back, to be claimed again from `due` on; `at` is now. `held` is the credential it waits for.
        False when fenced off. If the operation was asked to stop, it ends instead, and whoever has not ended is
        canceled."""

    async def let_go_held(self, account: bytes, credential_id: bytes, now: int, *, most: int | None = None) -> int:
        """Makes every chunk that waits for a credential due, or `most` of them; how many these were."""

    async def canceled_of(self, chunks: Sequence[Lease]) -> set[bytes]:
        """The ids of those operations of leased chunks that were asked to stop."""


class ReferenceStore(LeaseStore, Protocol):
    """What a broker that carries references needs beside that. The broker may lose, repeat and delay them at will: what
    counts is that `load` hands out each attempt once."""

    async def claim_refs(self, lane: Lane, shard: int, *, limit: int, now: int, until: int) -> list[ChunkRef]:
        """As `claim`, for nobody yet: the chunks are leased as `ON_THE_ROAD`, and nothing of them is read."""

    async def load(self, refs: Sequence[ChunkRef], *, now: int, until: int, worker: str) -> list[LeasedChunk]:
        """Takes the chunks that references name, in their order. A chunk on the road is taken as the attempt that the
        reference names; one whose worker fell silent, or that is due again, as the next attempt. A reference to
        anything else is stale and left out: the chunk is held, done, not due, or of a later attempt. So however often a
        reference comes, at most one load of it finds its chunk."""

    async def recall(self, lane: Lane, shard: int, now: int) -> int:
        """Makes due what is on the road in a shard, because the road is gone; how many chunks that were."""


class WorkStore(ReferenceStore, Protocol):
    """The queue's side of the store."""

    async def count_held(self, account: bytes, credential_id: bytes) -> int:
        """How many recipients are in chunks that wait for a credential, and have not ended."""

    async def release_all(self, now: int) -> int:
        """Makes every leased chunk due now and tells how many. Only for a process that knows it is alone on the store:
        what a crash left leased goes on at once, and so does what waited for a credential; a request with an
        idempotency key that was being handled may be handled again."""


class WorkQueue(Protocol):
    """Where workers get chunks from."""

    async def lease(self, lanes: Sequence[Lane], limit: int, *, slots: Slots | None = None) -> list[LeasedChunk]:
        """Waits until at least one chunk of these lanes is due and leases up to `limit`, earlier lanes first.
        Returns an empty list when the queue is closed. With `slots` no account and no queue of one gets more of them
        than it may have; a chunk has its slot until it is done, given back or watched no more."""

    def wake(self, lane: Lane, shard: int | None = None) -> None:
        """A hint that something was put into the lane; into which shard of it, if that is known."""

    def straight(
        self,
        lane: Lane,
        slots: Slots,
        *,
        may: Callable[[], bool],
        take: Callable[[LeasedChunk], bool],
        work: Callable[[LeasedChunk], Awaitable[None]] | None = None,
    ) -> Callable[[], None]:
        """Whoever leases of a lane with these slots takes what `put` can hand over, too. `may` says whether anything
        can be taken now; `take` begins with a chunk that is leased, or says that it cannot. What it takes is done by
        `work`, in the task in which it was called. What this returns ends it."""

    async def put(
        self,
        operation: Operation,
        chunks: Sequence[NewChunk],
        accept: Callable[[Hold | None], Awaitable[None]],
        *,
        shard: int = 0,
    ) -> None:
        """Has `accept` make an operation durable, in this shard, then has it worked on. A small one that is to go at
        once is accepted leased, and handed over without a claim, if its queue and its account have slots and the last
        claim of the lane left nothing behind. Raises what `accept` raises. A caller who is cancelled leaves it to
        happen."""

    def watch(self, chunk: LeasedChunk, stop: Callable[[], object]) -> Callable[[], None]:
        """Calls `stop` once, within a second of its operation's being cancelled, by whichever process. What it returns
        ends the watching."""

    def canceled(self, operation_id: bytes) -> None:
        """A hint that an operation was cancelled."""

    async def extend(self, chunk: LeasedChunk) -> bool:
        """Renews the lease."""

    async def extend_all(self, chunks: Sequence[LeasedChunk]) -> int:
        """Renews leases, in one write; how many of them were still there."""

    async def done(
        self, chunk: LeasedChunk, records: Sequence[DeliveryRecord] = (), counts: Counts | None = None
    ) -> bool:
        """The chunk is finished, with a last result part if there is one: see `LeaseStore.finish`."""

    async def retry(self, chunk: LeasedChunk, due: int, *, held: bytes | None = None) -> bool:
        """The chunk goes back until `due` (ms), or until the credential `held` works again."""

    async def let_go(self, account: bytes, credential_id: bytes, *, most: int | None = None) -> int:
        """A credential works again, or is another now: what waits for it is due, or `most` chunks of it. How many that
        were."""

    async def close(self) -> None:
        """No more leases; waiting `lease` calls return."""
