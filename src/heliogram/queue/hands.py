"""Who works on what: slots of the lanes that this process works on, and the straight way to them past a claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from ..domain.operations import Lane, Operation, OperationStatus, flow_of
from ..ports import InHand, Lease, LeasedChunk, Slots
from ..ports.work import ACCOUNT_BYTES, FLOWS_AT_ONCE


class Hands:
    """The chunks that are being worked on with slots, by lane."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[bytes, int], tuple[Lane, bytes, int]] = {}
        self._flows: dict[Lane, Counter[bytes]] = {lane: Counter() for lane in Lane}
        self._accounts: dict[Lane, Counter[bytes]] = {lane: Counter() for lane in Lane}
        self._totals = dict.fromkeys(Lane, 0)

    def __repr__(self) -> str:
        return f"Hands(held={len(self._chunks)})"

    def __len__(self) -> int:
        return len(self._chunks)

    def of(self, lanes: Iterable[Lane], slots: Slots) -> InHand:
        """What is worked on of some lanes together, as it stands now."""
        flows: Counter[bytes] = Counter()
        for lane in lanes:
            flows.update(self._flows[lane])
        return InHand(slots=slots, flows=dict(flows))

    def is_full(self, lane: Lane, slots: Slots) -> bool:
        """Whether the lane has no slot."""
        return self._totals[lane] >= slots.total

    def short_of(self, lane: Lane, flow: bytes, slots: Slots) -> bytes | None:
        """The account or the queue that has all it may have, None when there is a slot for this queue."""
        account = flow[:ACCOUNT_BYTES]
        if self._accounts[lane][account] >= slots.account:
            return account
        return flow if self._flows[lane][flow] >= slots.flow else None

    def take(self, chunk: Lease, recipients: int, slots: Slots) -> None:
        """A chunk has its slots from now on."""
        taken = slots.taken_by(recipients)
        self._chunks[chunk.id, chunk.attempt] = chunk.lane, chunk.flow, taken
        self._count(chunk.lane, chunk.flow, taken)

    def put_down(self, chunk: Lease) -> bool:
        """It has them no more; False when it had none."""
        known = self._chunks.pop((chunk.id, chunk.attempt), None)
        if known is None:
            return False
        lane, flow, taken = known
        self._count(lane, flow, -taken)
        return True

    def _count(self, lane: Lane, flow: bytes, taken: int) -> None:
        self._totals[lane] += taken
        for counter, name in ((self._flows[lane], flow), (self._accounts[lane], flow[:ACCOUNT_BYTES])):
            counter[name] += taken
            if not counter[name]:
                del counter[name]


class Straight:
    """The way past the claim to whoever works on a lane.

    Open for a queue of an account while a claim would find nothing that has waited longer: the last one took all that
    was due but for what has no slots, and since then nothing of this queue or account was left for want of one.
    """

    def __init__(
        self,
        slots: Slots,
        may: Callable[[], bool],
        take: Callable[[LeasedChunk], bool],
        work: Callable[[LeasedChunk], Awaitable[None]] | None = None,
    ) -> None:
        self.slots = slots
        self.take = take
        self.work = work
        self._may = may
        self._clear = False
        self._short: set[bytes] = set()

    def __repr__(self) -> str:
        return f"Straight(clear={self._clear}, short={len(self._short)})"

    def claimed(self, *, all_due: bool, hand: InHand) -> None:
        """What the last claim found, and what is in hand after it."""
        self._clear = all_due and hand.free > 0
        self._short = hand.short

    def is_open(self, operation: Operation, hands: Hands) -> bool:
        """Whether what is to be accepted may go this way. Once it may not for want of a slot, the next claim decides
        when it may again: what is left for it now goes first."""
        if not self._clear or operation.status is not OperationStatus.PROCESSING or not self._may():
            return False
        if hands.is_full(operation.lane, self.slots):
            self._clear = False
            return False
        flow = flow_of(operation.account_id, operation.spec)
        short = hands.short_of(operation.lane, flow, self.slots)
        if short is not None:
            self._short.add(short)
        return flow not in self._short and flow[:ACCOUNT_BYTES] not in self._short


def any_unseen(claimed: Iterable[Lease]) -> bool:
    """Whether a claim may have left queues of an account alone because it looks at so many at once."""
    seen = Counter(flow[:ACCOUNT_BYTES] for flow in {chunk.flow for chunk in claimed})
    return max(seen.values(), default=0) >= FLOWS_AT_ONCE
