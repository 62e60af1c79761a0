"""Two nodes on one PostgreSQL database, at work at the same moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.stores import Bench, open_postgres, opened, recipients_of

from heliogram.domain.backlog import QueueBounds, QueueFull
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, OperationStatus, cut
from heliogram.domain.packing import pack_records
from heliogram.domain.webhooks import EventType, Webhook
from heliogram.ports import Cancellation, LeasedChunk, Place, Store
from heliogram.store.errors import Conflict
from heliogram.store.postgres import PostgresStore
from heliogram.store.sqlite import statements

pytestmark = pytest.mark.anyio

LEASE_MS = 60_000
_check = statements.load("check", "heliogram.store.postgres")
INVARIANTS = (
    _check.depths_wrong,
    _check.chunks_astray,
    _check.chunks_without_recipients,
    _check.recipients_astray,
    _check.results_astray,
    _check.webhooks_ahead,
)


class Nodes:
    """Two stores of one database with one clock."""

    def __init__(self, bench: Bench, other: Store) -> None:
        self.bench = bench
        self.stores: tuple[Store, Store] = bench.store, other

    async def claim(self, store: Store, limit: int = 4, *, worker: str = "w") -> list[LeasedChunk]:
        """What a node claims of both lanes now."""
        now, found = self.bench.clock.ms, list[LeasedChunk]()
        for lane in Lane:
            found += await store.claim(lane, 0, limit=limit, now=now, until=now + LEASE_MS, worker=worker)
        return found

    async def sound(self) -> None:
        """Whether all that must be true of what is kept is true."""
        for sql in INVARIANTS:
            store: Any = self.stores[0]
            assert await store._read(lambda c, sql=sql: c.execute(sql).get) == 0, sql.key

    async def status(self, operation: bytes) -> tuple[OperationStatus, Counts]:
        """How an operation stands, and what became of its recipients."""
        found = await self.stores[1].get_operation(self.bench.account, operation)
        assert found is not None
        return found.status, found.counts


@pytest.fixture
async def nodes(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Nodes]:
    """Two nodes, nothing sent yet."""
    async with opened(tmp_path, open_postgres) as bench:
        other = await open_postgres(tmp_path, bench.ids, bench.clock)
        try:
            made = Nodes(bench, other)
            yield made
            await made.sound()
        finally:
            await other.close()


def ends_of(chunk: LeasedChunk, at: int) -> list[DeliveryRecord]:
    """Every recipient of a chunk was sent to."""
    places = range(chunk.first, chunk.first + len(chunk.recipients))
    return [DeliveryRecord(sequence=n, slot=0, outcome=Outcome.ACCEPTED, final=True, at=at) for n in places]


async def finish(store: Store, chunk: LeasedChunk, at: int) -> bool:
    return await store.finish(chunk, at, ends_of(chunk, at), Counts(sent=len(chunk.recipients)))


async def test_each_chunk_is_handed_out_exactly_once(nodes: Nodes) -> None:
    """Eight claimers on two nodes: none waits for another, and none gets what another has."""
    bench = nodes.bench
    for _ in range(30):
        await bench.accept(recipients_of(8), size=2)
    claimed: list[LeasedChunk] = []

    async def claimer(store: Store) -> None:
        idle = 0
        while idle < 3:  # a claim finds nothing, too, while others hold all that is due
            found = await nodes.claim(store, limit=3)
            idle = 0 if found else idle + 1
            claimed.extend(found)

    await asyncio.gather(*(claimer(store) for store in nodes.stores * 4))
    claimed += await nodes.claim(nodes.stores[0], limit=200)
    assert len(claimed) == 120
    assert set(Counter(chunk.id for chunk in claimed).values()) == {1}
    assert {chunk.attempt for chunk in claimed} == {1}


async def test_a_lease_that_ran_out_is_fenced_on_every_node(nodes: Nodes) -> None:
    """What the first holder writes changes nothing any more, in whatever order it comes."""
    bench, (one, two) = nodes.bench, nodes.stores
    operation = await bench.accept(recipients_of(3))
    (old,) = await nodes.claim(one)
    bench.clock.advance(LEASE_MS / 1000)
    found = await asyncio.gather(nodes.claim(one), nodes.claim(two))
    (new,) = [chunk for chunks in found for chunk in chunks]
    assert (old.attempt, new.attempt) == (1, 2)
    at = bench.clock.ms
    late = await asyncio.gather(
        finish(one, old, at),
        one.append_records(old, ends_of(old, at), Counts(sent=3)),
        one.release(old, at, at),
        one.extend(old, at + LEASE_MS),
    )
    assert not any(late)
    assert await finish(two, new, at)
    assert await nodes.status(operation.id) == (OperationStatus.COMPLETED, Counts(sent=3))


async def test_an_operation_ends_once_with_its_last_two_chunks(nodes: Nodes) -> None:
    """Both finished at the same moment by two nodes: one of them sees that it is the last, always."""
    bench, (one, two) = nodes.bench, nodes.stores
    for _ in range(12):
        operation = await bench.accept(recipients_of(4), size=2)
        first, second = await nodes.claim(one)
        at = bench.clock.ms
        assert all(await asyncio.gather(finish(one, first, at), finish(two, second, at)))
        assert await nodes.status(operation.id) == (OperationStatus.COMPLETED, Counts(sent=4))


async def test_its_end_is_told_once(nodes: Nodes) -> None:
    """The same with a webhook, to which the end of an operation is told in the transaction that ends it."""
    bench, (one, two) = nodes.bench, nodes.stores
    await _webhook(bench, (EventType.OPERATION_COMPLETED,))
    ended = []
    for _ in range(10):
        operation = await bench.accept(recipients_of(4), size=2)
        first, second = await nodes.claim(two)
        at = bench.clock.ms
        await asyncio.gather(finish(one, first, at), finish(two, second, at))
        assert (await nodes.status(operation.id))[0] is OperationStatus.COMPLETED
        ended.append(operation.id)
    feed = await one.webhook_feed(bench.account, Place(), events=True, results=False)
    assert len([event for _, event in feed.events if event.type == EventType.OPERATION_COMPLETED]) == len(ended)


async def test_canceling_meets_claims_and_ends(nodes: Nodes) -> None:
    """Every recipient ends exactly once, whoever comes first, and the operation ends."""
    bench, (one, two) = nodes.bench, nodes.stores
    for number in range(8):
        operation = await bench.accept(recipients_of(12), size=2)
        held = await nodes.claim(one, limit=2)
        at = bench.clock.ms
        others = nodes.claim(two, limit=2)
        cancel = (two if number % 2 else one).cancel_operation(bench.account, operation.id, at)
        claimed, canceled, *_ = await asyncio.gather(
            others, cancel, finish(one, held[0], at), one.release(held[1], at, at)
        )
        assert canceled is Cancellation.DONE
        for chunk in claimed:
            assert await finish(two, chunk, at)
        status, counts = await nodes.status(operation.id)
        assert (status, counts.ended) == (OperationStatus.CANCELED, 12)
        assert counts.sent + counts.canceled == 12
        assert await nodes.claim(one, limit=100) == []


async def test_one_notification_is_canceled_or_sent(nodes: Nodes) -> None:
    """Never both: canceling waits for the claim that has its chunk, and the other way round."""
    bench, (one, two) = nodes.bench, nodes.stores
    for _ in range(20):
        operation = await bench.accept(recipients_of(1))
        at = bench.clock.ms
        claimed, canceled = await asyncio.gather(
            nodes.claim(one), two.cancel_notification(bench.account, operation.id, at)
        )
        for chunk in claimed:
            assert await finish(one, chunk, at)
        _, counts = await nodes.status(operation.id)
        assert counts == (Counts(canceled=1) if canceled is Cancellation.DONE else Counts(sent=1))
        assert len(claimed) == (canceled is not Cancellation.DONE)


async def test_a_scheduled_operation_begins_once(nodes: Nodes) -> None:
    """Two nodes take its chunks at the moment it is due: one says that it begins."""
    bench, (one, two) = nodes.bench, nodes.stores
    await _webhook(bench, (EventType.OPERATION_PROCESSING,))
    begun = 10
    for _ in range(begun):
        operation = await bench.accept(recipients_of(4), size=1, send_at=bench.clock.ms + 1_000)
        bench.clock.advance(1)
        found = await asyncio.gather(nodes.claim(one, 1), nodes.claim(two, 1), nodes.claim(one, 1), nodes.claim(two, 1))
        chunks = [chunk for each in found for chunk in each] + await nodes.claim(one, 10)
        assert len(chunks) == 4
        for chunk in chunks:
            assert await finish(one, chunk, bench.clock.ms)
        assert (await nodes.status(operation.id))[0] is OperationStatus.COMPLETED
    feed = await one.webhook_feed(bench.account, Place(), events=True, results=False)
    assert len([event for _, event in feed.events if event.type == EventType.OPERATION_PROCESSING]) == begun


async def _accept_all(nodes: Nodes, sizes: Sequence[int], bounds: QueueBounds) -> int:
    """Accepts sends of these sizes at once, on both nodes in turn; how many recipients were let in."""
    bench = nodes.bench

    async def accept(number: int, size: int) -> int:
        recipients = recipients_of(size)
        operation = bench.operation(recipients)
        try:
            await nodes.stores[number % 2].accept(
                bench.account, operation, cut(operation.id, recipients), bounds=bounds
            )
        except QueueFull:
            return 0
        return size

    return sum(await asyncio.gather(*(accept(number, size) for number, size in enumerate(sizes))))


async def test_a_bound_is_kept_to_the_last_place_by_two_nodes(nodes: Nodes) -> None:
    """In the last tenth of a bound sends go one after another: it is filled exactly, and not passed."""
    bounds = QueueBounds(total=1_000, account=200)
    assert await _accept_all(nodes, [90, 90], bounds) == 180
    assert await _accept_all(nodes, [1] * 60, bounds) == 20
    assert await _accept_all(nodes, [1] * 10, bounds) == 0


@pytest.mark.parametrize("size", [1, 7, 60, 150, 700])
async def test_a_bound_is_not_passed_by_what_comes_at_one_moment(nodes: Nodes, size: int) -> None:
    """Sends that are accepted at the same moment do not see each other, and have tickets for what nobody sees: however
    large they are, as many fit in as one after another, and no more."""
    bounds = QueueBounds(total=20_000, account=2_000)
    most = 2_000 if size <= 100 else 1_900
    assert await _accept_all(nodes, [size] * (3_000 // size), bounds) == most // size * size
    assert await _accept_all(nodes, [size] * 10, bounds) == 0


async def test_what_does_not_fit_keeps_nothing_back_that_is_accepted_with_it(nodes: Nodes) -> None:
    """Small sends of one moment go together, and each is judged by itself."""
    bounds = QueueBounds(total=1_000, account=100)
    assert await _accept_all(nodes, [60, 90, 30, 90, 10, 90], bounds) == 100


async def test_of_sends_that_go_together_one_that_is_there_already_is_refused_alone(nodes: Nodes) -> None:
    """Its neighbours are kept."""
    bench, store = nodes.bench, nodes.stores[0]
    first, *others = [bench.operation(recipients_of(1)) for _ in range(4)]
    await store.accept(bench.account, first, cut(first.id, recipients_of(1)))
    found = await asyncio.gather(
        *(store.accept(bench.account, each, cut(each.id, recipients_of(1))) for each in (first, *others, others[0])),
        return_exceptions=True,
    )
    assert [type(each) for each in found] == [Conflict, type(None), type(None), type(None), Conflict]
    assert {each.operation_id for each in await nodes.claim(store, 10)} == {each.id for each in (first, *others)}


async def test_webhooks_miss_nothing_that_is_committed_later(nodes: Nodes) -> None:
    """A result that was numbered before another and committed after it is told after it, and none is left out."""
    assert isinstance(nodes.stores[0], PostgresStore)
    bench, (one, two) = nodes.bench, nodes.stores
    hook = await _webhook(bench, (EventType.NOTIFICATION_SENT,))
    await bench.accept(recipients_of(1))
    await bench.accept(recipients_of(1))
    first, second = await nodes.claim(one)
    at = bench.clock.ms
    told: list[int] = []

    async def read() -> int:
        work = await two.webhook_work_of(bench.account, hook.id)
        assert work is not None
        feed = await two.webhook_feed(bench.account, work.place, events=True, results=True)
        assert await two.batch_taken(bench.account, hook.id, work.place, feed.to, at=None)
        return len(feed.ended)

    async def slow(link: Any) -> None:
        """Numbers its part, and commits after the other has."""
        await link.connection.fetchval(
            "SELECT append_part($1, $2, $3, $4, 1, 0, 0, $5, $6)",
            bench.account,
            first.operation_id,
            first.first,
            first.attempt,
            pack_records(ends_of(first, at)),
            at,
        )
        assert await two.append_records(second, ends_of(second, at), Counts(sent=1))
        told.append(await read())

    await nodes.stores[0]._jobs.transact(slow)
    told.append(await read())
    assert told == [0, 2]


async def _webhook(bench: Bench, types: tuple[EventType, ...]) -> Webhook:
    now = bench.clock.ms
    made = Webhook(
        account_id=bench.account, id=bench.ids.new(), url="https://example.com", types=types, created=now, updated=now
    )
    await bench.store.create_webhook(bench.account, made, b"sealed")
    return made


async def test_a_reference_is_taken_once(nodes: Nodes) -> None:
    """A broker that delivers it twice, to two nodes at the same moment, hands nothing out twice."""
    bench, (one, two) = nodes.bench, nodes.stores
    assert isinstance(one, PostgresStore)
    assert isinstance(two, PostgresStore)
    for _ in range(10):
        await bench.accept(recipients_of(6), size=2)
        now = bench.clock.ms
        refs = await one.claim_refs(Lane.TX, 0, limit=3, now=now, until=now + LEASE_MS)
        found = await asyncio.gather(
            one.load(refs, now=now, until=now + LEASE_MS, worker="one"),
            two.load(refs, now=now, until=now + LEASE_MS, worker="two"),
        )
        chunks = [chunk for each in found for chunk in each]
        assert sorted(chunk.id for chunk in chunks) == sorted(ref.id for ref in refs)
        assert {chunk.attempt for chunk in chunks} == {1}
        for chunk in chunks:
            assert await finish(two, chunk, now)


async def test_numbers_go_on_in_another_cluster(tmp_path: Path, anyio_backend: str) -> None:
    """A dump that was restored elsewhere, where transactions have low numbers: webhooks are told what comes next."""
    async with opened(tmp_path, open_postgres) as bench:
        hook = await _webhook(bench, (EventType.NOTIFICATION_SENT,))
        far = 1 << 50

        async def move(link: Any) -> None:
            await link.connection.execute("UPDATE numbering SET cluster = 7")
            await link.connection.execute("UPDATE webhook SET result_cursor = $1, event_cursor = $1", far)

        assert isinstance(bench.store, PostgresStore)
        await bench.store._jobs.transact(move)
        again = await open_postgres(tmp_path, bench.ids, bench.clock)
        try:
            await bench.accept(recipients_of(1))
            (chunk,) = await Nodes(bench, again).claim(again)
            assert await finish(again, chunk, bench.clock.ms)
            work = await again.webhook_work_of(bench.account, hook.id)
            assert work is not None
            feed = await again.webhook_feed(bench.account, work.place, events=True, results=True)
            assert len(feed.ended) == 1
        finally:
            await again.close()
