"""A worker takes what is accepted leased, beside what it claims."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from delivery.conftest import Delivery
from support.apns_server import ApnsServer, hold
from support.stores import recipients_of

from heliogram.delivery.heartbeats import HEARTBEAT_S
from heliogram.delivery.planning import YOUNG_S
from heliogram.delivery.worker import Worker
from heliogram.domain.devices import TokenKind
from heliogram.domain.lookups import Known, Wanted
from heliogram.domain.operations import Lane, Operation, cut
from heliogram.ports import Hold

pytestmark = pytest.mark.anyio


class Working:
    """A worker that has looked, found nothing, and waits."""

    def __init__(self, delivery: Delivery, worker: Worker) -> None:
        self.delivery, self.worker = delivery, worker
        self.straight: list[bool] = []

    async def put(self, recipients: int = 1, known: Known | None = None) -> Operation:
        """A send, as the API accepts it."""
        bench = self.delivery.bench
        operation = bench.operation(recipients_of(recipients))
        chunks = cut(operation.id, recipients_of(recipients), known=known)

        async def accept(hold: Hold | None) -> None:
            self.straight.append(hold is not None)
            await bench.store.accept(bench.account, operation, chunks, hold=hold)

        await self.delivery.tools.queue.put(operation, chunks, accept)
        return operation

    async def known(self) -> Known:
        """What the API has looked up."""
        bench = self.delivery.bench
        return await bench.store.look_up(bench.account, Wanted(app_name="shop", kind=TokenKind.ALERT))

    async def sent(self, operation: Operation) -> int:
        """How many of it were sent."""
        return (await self.delivery.operation(operation)).stats.sent


@asynccontextmanager
async def working(delivery: Delivery, slots: int = 6) -> AsyncIterator[Working]:
    await delivery.app()
    worker = Worker(delivery.tools, [Lane.TX], slots=slots, each=8)
    task = asyncio.create_task(worker.run())
    await delivery.bench.clock.timer_set()
    made = Working(delivery, worker)
    yield made
    worker.drain()
    await delivery.tools.queue.close()
    await task


async def test_a_push_goes_out_without_a_claim(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted, sent and recorded, and nothing was claimed."""
    async with working(delivery) as it:
        monkeypatch.setattr(delivery.bench.store, "claim", None)  # whoever called it would fail
        operation = await it.put(2)
        await apns.received(2)
    assert it.straight == [True]
    assert await it.sent(operation) == 2
    assert it.worker.delivered == 1


async def test_what_was_taken_at_the_last_moment_is_finished(delivery: Delivery, apns: ApnsServer) -> None:
    """A drain right after accepting waits for it."""
    apns.on_request = hold
    async with working(delivery) as it:
        operation = await it.put()
        (request,) = await apns.received(1)
        it.worker.drain()
        late = await it.put()
        apns.peers[0].accept(request)
    assert it.straight == [True, False]
    assert (await it.sent(operation), await it.sent(late)) == (1, 0)


async def test_nothing_goes_straight_while_outcomes_cannot_be_written(delivery: Delivery, apns: ApnsServer) -> None:
    """The send is accepted and waits: no further chunk is begun."""
    async with working(delivery) as it:
        delivery.tools.stall.begin(it)
        operation = await it.put()
        assert it.straight == [False]
        assert await it.sent(operation) == 0
        delivery.tools.stall.end(it)
        await apns.received(1)
    assert await it.sent(operation) == 1


async def test_what_hangs_leaves_slots_and_is_renewed_in_one_write(delivery: Delivery, apns: ApnsServer) -> None:
    """Four of six slots are one app's; their leases are renewed together, twice within their time."""
    apns.on_request = hold
    async with working(delivery) as it:
        operations = [await it.put() for _ in range(5)]
        assert it.straight == [True] * 4 + [False]
        await apns.received(1)  # before the clock moves on, and a connection that is opening runs out of time
        clock, store = delivery.bench.clock, delivery.bench.store
        renewed = asyncio.Event()
        extend = delivery.tools.queue.extend_all

        async def watched(chunks: object) -> int:
            count = await extend(chunks)  # type: ignore[arg-type] # handed on
            renewed.set()
            return count

        delivery.tools.queue.extend_all = watched  # type: ignore[method-assign] # only looked at
        for _ in range(4):
            renewed.clear()
            clock.advance(HEARTBEAT_S)
            await renewed.wait()
        found = await store.claim(Lane.TX, 0, limit=9, now=clock.ms, until=clock.ms + 1, worker="other")
        assert [chunk.operation_id for chunk in found] == [operations[4].id]
        first = apns.requests[0]
        apns.on_request = lambda peer, request: peer.accept(request)
        apns.peers[0].accept(first)
        await apns.received(4)


@pytest.mark.parametrize("gone", [False, True])
async def test_a_caller_who_leaves_changes_nothing(delivery: Delivery, apns: ApnsServer, *, gone: bool) -> None:
    """Whether or not the request is still there when the send is durable, it goes out, once."""
    async with working(delivery) as it:
        putting = asyncio.create_task(it.put())
        if gone:
            await asyncio.sleep(0)
            putting.cancel()
            await asyncio.wait([putting])
            assert putting.cancelled()
        await apns.received(1)
    assert it.straight == [True]
    assert len(apns.requests) == 1


async def test_what_accepting_has_looked_up_is_not_asked_again(
    delivery: Delivery, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A send that goes straight begins with it, as long as it is younger than a second."""
    async with working(delivery) as it:
        known = await it.known()
        delivery.bench.clock.advance(YOUNG_S - 0.001)
        monkeypatch.setattr(delivery.bench.store, "look_up", None)  # whoever called it would fail
        operation = await it.put(known=known)
        await apns.received(1)
    assert await it.sent(operation) == 1


async def test_what_was_looked_up_a_second_ago_is_asked_again(delivery: Delivery, apns: ApnsServer) -> None:
    """Another process may have changed it since: here the app has a credential, and what is known says none."""
    async with working(delivery) as it:
        known = Known(at=delivery.bench.clock.monotonic())
        delivery.bench.clock.advance(YOUNG_S)
        operation = await it.put(known=known)
        await apns.received(1)
    assert await it.sent(operation) == 1
