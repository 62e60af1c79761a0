"""What may be worked on at once is accepted leased, and handed over without a claim."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.stores import Bench, recipients_of

from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.ports import Hold, LeasedChunk, Slots
from heliogram.queue import DbQueue

pytestmark = pytest.mark.anyio

SLOTS = Slots(total=4, account=3, flow=2, each=8)


class Post:
    """A queue somebody works on: what was handed over, and what was accepted with which hold."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.queue = DbQueue(bench.store, bench.clock, "w")
        self.taken: list[LeasedChunk] = []
        self.holds: list[Hold | None] = []
        self.may = self.takes = True
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting: asyncio.Task[list[LeasedChunk]] | None = None
        self.end = self.queue.straight(Lane.TX, SLOTS, may=lambda: self.may, take=self.take)

    def take(self, chunk: LeasedChunk) -> bool:
        """What a worker does with it."""
        if self.takes:
            self.taken.append(chunk)
        return self.takes

    async def look(self) -> list[LeasedChunk]:
        """One claim: what is there, or nothing, after which the next waits."""
        self.waiting = asyncio.create_task(self.queue.lease([Lane.TX], 9, slots=SLOTS))
        timer = asyncio.create_task(self.bench.clock.timer_set())
        await asyncio.wait([self.waiting, timer], return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        return self.waiting.result() if self.waiting.done() else []

    async def put(self, recipients: int = 1, app: str = "shop", operation: Operation | None = None) -> Operation:
        """An accepted send."""
        made = operation or self.bench.operation(recipients_of(recipients), app_name=app)
        chunks = cut(made.id, recipients_of(recipients))

        async def accept(hold: Hold | None) -> None:
            self.holds.append(hold)
            self.asked.set()
            await self.gate.wait()
            await self.bench.store.accept(made.account_id, made, chunks, hold=hold)

        await self.queue.put(made, chunks, accept)
        return made

    async def close(self) -> list[LeasedChunk]:
        """What a lease that still waits ends with."""
        await self.queue.close()
        return [] if self.waiting is None else await self.waiting

    async def due(self) -> list[LeasedChunk]:
        """What somebody else would get now."""
        now = self.bench.clock.ms
        return await self.bench.store.claim(Lane.TX, 0, limit=9, now=now, until=now + 1, worker="other")


@pytest.fixture
def post(bench: Bench) -> Post:
    return Post(bench)


async def test_a_small_send_is_handed_over_leased(post: Post) -> None:
    """As a claim would have leased it: nobody else gets it, and it ends like any other."""
    assert await post.look() == []
    operation = await post.put()
    (chunk,) = post.taken
    assert (chunk.operation_id, chunk.attempt, chunk.recipients) == (operation.id, 1, recipients_of(1))
    assert chunk.until == post.bench.clock.ms + 60_000
    assert await post.due() == []
    assert await post.queue.extend(chunk)
    assert await post.queue.done(chunk)
    done = await post.bench.store.get_operation(post.bench.account, operation.id)
    assert done is not None
    assert done.status is OperationStatus.COMPLETED
    assert await post.close() == []


async def test_what_was_handed_over_is_claimed_again_like_any_other(post: Post) -> None:
    """Its lease runs out if nobody renews it, and the next attempt fences the first off."""
    await post.look()
    await post.put()
    post.bench.clock.advance(60.001)
    (again,) = await post.due()
    assert again.attempt == 2
    assert (again.recipients, again.spec, again.start) == (
        post.taken[0].recipients,
        post.taken[0].spec,
        post.taken[0].start,
    )
    assert not await post.queue.done(post.taken[0])
    await post.close()


async def test_nothing_goes_straight_before_the_lane_was_looked_at(post: Post) -> None:
    """What an earlier process left goes first."""
    await post.put()
    assert post.holds == [None]
    (chunk,) = await post.look()
    assert post.taken == []
    assert chunk.attempt == 1


async def test_a_claim_that_found_as_much_as_it_may_leaves_the_way_shut(post: Post) -> None:
    """There may be more: an older backlog is not overtaken."""
    for _ in range(9):
        await post.bench.accept(recipients_of(1))
    assert len(await post.look()) == SLOTS.flow
    await post.put(app="shop")
    assert post.holds == [None]


async def test_a_queue_that_left_something_waiting_is_not_overtaken(post: Post) -> None:
    """Nor when a slot comes free before the next claim; another queue of the account still goes straight."""
    await post.look()
    for _ in range(SLOTS.flow + 1):
        await post.put()
    assert [hold is not None for hold in post.holds] == [True, True, False]
    assert await post.queue.done(post.taken[0])
    await post.put()
    await post.put(app="other")
    assert [hold is not None for hold in post.holds[3:]] == [False, True]
    assert len(await post.close()) <= 1


async def test_an_account_has_its_bound_here_too(post: Post) -> None:
    """Three of four, of whichever queues; then its sends wait in the store."""
    await post.look()
    for app in ("a", "b", "c", "d"):
        await post.put(app=app)
    assert [hold is not None for hold in post.holds] == [True, True, True, False]
    await post.close()


@pytest.mark.parametrize(("recipients", "straight"), [(8, 2), (9, 1), (100, 1)])
async def test_recipients_take_slots(post: Post, recipients: int, straight: int) -> None:
    """A slot for every eight, begun ones included: of two slots one chunk of nine takes both. Where one is free, any
    chunk may go."""
    await post.look()
    for _ in range(3):
        await post.put(recipients)
    assert [hold is not None for hold in post.holds].count(True) == straight
    await post.close()


async def test_scheduled_and_large_sends_are_only_accepted(post: Post) -> None:
    """They wait for their time, and for the other lane."""
    await post.look()
    then = post.bench.clock.ms + 1000
    operation = post.bench.operation(recipients_of(1))
    await post.put(operation=replace(operation, status=OperationStatus.SCHEDULED, send_at=then, send_at_text="then"))
    await post.put(101)
    assert post.holds == [None, None]
    await post.close()


async def test_nothing_is_handed_to_whoever_may_not_take_it(post: Post) -> None:
    """A worker that is stuck, or has left: the send waits in the store."""
    await post.look()
    post.may = False
    await post.put()
    post.may = True
    post.end()
    await post.put()
    assert post.holds == [None, None]
    assert post.taken == []
    await post.close()


async def test_the_work_goes_on_in_the_task_that_accepted(post: Post) -> None:
    """The caller has its answer, and may leave, while the work goes on; closing the queue does not wait for it."""
    tasks: list[asyncio.Task[None] | None] = []
    finish, finished = asyncio.Event(), asyncio.Event()

    def take(chunk: LeasedChunk) -> bool:
        tasks.append(asyncio.current_task())
        return True

    async def work(chunk: LeasedChunk) -> None:
        tasks.append(asyncio.current_task())
        await finish.wait()
        await post.queue.done(chunk)
        finished.set()

    post.end()
    post.end = post.queue.straight(Lane.TX, SLOTS, may=lambda: True, take=take, work=work)
    await post.look()
    operation = await post.put()
    await post.close()
    finish.set()
    await finished.wait()
    assert len(set(tasks)) == 1
    assert tasks[0] is not asyncio.current_task()
    done = await post.bench.store.get_operation(post.bench.account, operation.id)
    assert done is not None
    assert done.status is OperationStatus.COMPLETED


async def test_a_caller_who_leaves_does_not_leave_a_lease_behind(post: Post) -> None:
    """The send is accepted all the same, and worked on."""
    await post.look()
    post.gate.clear()
    putting = asyncio.create_task(post.put())
    await post.asked.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert post.taken == []
    post.gate.set()
    await post.close()  # which waits for it
    (chunk,) = await post.due()
    assert chunk.attempt == 2, "the queue was closed meanwhile: given back"


@pytest.mark.parametrize("how", ["drained", "closed", "refused"])
async def test_what_nobody_takes_any_more_is_given_back(post: Post, how: str) -> None:
    """A drain between accepting and handing over: whoever comes next finds it due."""
    await post.look()
    post.gate.clear()
    putting = asyncio.create_task(post.put())
    await post.asked.wait()
    closing = None
    if how == "drained":
        post.end()
    elif how == "closed":
        closing = asyncio.create_task(post.close())
    else:
        post.takes = False
    post.gate.set()
    await putting
    if closing is None:
        assert post.waiting is not None
        assert [chunk.attempt for chunk in await post.waiting] == [2]
    else:
        assert await closing == []
        assert len(await post.due()) == 1
    assert post.taken == []


async def test_a_send_that_is_not_accepted_gives_its_slots_back(post: Post) -> None:
    """The caller is told why; nothing is handed over."""
    await post.look()

    async def accept(hold: Hold | None) -> None:
        assert hold is not None
        raise ValueError("no")

    operation = post.bench.operation(recipients_of(1))
    with pytest.raises(ValueError, match="no"):
        await post.queue.put(operation, cut(operation.id, recipients_of(1)), accept)
    assert "held=0" in repr(post.queue)
    assert post.taken == []
    await post.close()


async def test_one_claim_takes_64_chunks_at_most(bench: Bench) -> None:
    """However many slots there are."""
    queue = DbQueue(bench.store, bench.clock, "w")
    for _ in range(65):
        await bench.accept(recipients_of(1))
    slots = Slots.of(1024, 8)
    assert len(await queue.lease([Lane.TX], 1024, slots=slots)) == 64
    assert len(await queue.lease([Lane.TX], 1024, slots=slots)) == 1
