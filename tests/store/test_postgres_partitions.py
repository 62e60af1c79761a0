"""PostgreSQL's partitions of a day: made ahead, dropped as a whole, and never with anything that is still needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.stores import Bench, open_postgres, opened, recipients_of

from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane
from heliogram.domain.webhooks import EventType, Webhook
from heliogram.ports import NotificationFilter, Window
from heliogram.store.postgres import PostgresStore, keeping, listing
from heliogram.store.postgres.partitions import DAY_MS, days_kept

pytestmark = pytest.mark.anyio

DAY = 86_400.0
KEPT_MS = 7 * DAY_MS


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """An empty store in PostgreSQL."""
    async with opened(tmp_path, open_postgres) as made:
        yield made


async def days(bench: Bench) -> list[int]:
    """The days that have partitions, counted from the clock's."""
    assert isinstance(bench.store, PostgresStore)
    found: list[int] = await bench.store._jobs.look(lambda link: days_kept(link.connection))
    return [day - bench.clock.ms // DAY_MS for day in found]


async def counted(bench: Bench, table: str) -> int:
    store: Any = bench.store
    found: int = await store._read(lambda c: c.execute(f"SELECT count(*) FROM {table}").get)  # noqa: S608 - our names
    return found


async def end_all(bench: Bench) -> None:
    """All that is due is sent."""
    for lane in Lane:
        now = bench.clock.ms
        for chunk in await bench.store.claim(lane, 0, limit=100, now=now, until=now + 60_000, worker="w"):
            last = [DeliveryRecord(sequence=chunk.first, slot=0, outcome=Outcome.ACCEPTED, final=True, at=now)]
            assert await bench.store.finish(chunk, now, last, Counts(sent=len(chunk.recipients)))


async def remove(bench: Bench) -> int:
    """Slice after slice until nothing is left; how many operations went."""
    removal = await bench.store.remove_ended(bench.clock.ms - KEPT_MS, bench.clock.ms)
    total = removal.operations
    while removal.next is not None:
        removal = await bench.store.remove_ended(bench.clock.ms - KEPT_MS, bench.clock.ms, after=removal.next)
        total += removal.operations
    return total


async def test_three_days_ahead_have_partitions(bench: Bench) -> None:
    """So nothing that is sent meets a day without one; retention makes the next."""
    assert await days(bench) == [0, 1, 2, 3]
    bench.clock.advance(DAY)
    assert await remove(bench) == 0
    assert await days(bench) == [-1, 0, 1, 2, 3]


async def test_a_day_that_is_over_is_dropped_with_all_that_is_in_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operations go in slices first, so that nobody sees half of one, then its partitions."""
    monkeypatch.setattr(keeping, "DAY_SLICE", 3)
    for _ in range(7):
        await bench.accept(recipients_of(2))
    await end_all(bench)
    bench.clock.advance(8 * DAY)
    kept = await bench.accept(recipients_of(1))
    assert await remove(bench) == 7
    assert (await days(bench))[0] == -7
    assert [await counted(bench, table) for table in ("operation", "chunk", "chunk_recipients")] == [1, 1, 1]
    assert [await counted(bench, table) for table in ("chunk_result", "leaving", "going")] == [0, 0, 0]
    assert await bench.store.get_operation(bench.account, kept.id) is not None


async def test_a_day_with_something_that_has_not_ended_stays(bench: Bench) -> None:
    """What has ended goes row by row then; 29 days on, the rest can still be sent."""
    over = await bench.accept(recipients_of(2))
    await end_all(bench)
    scheduled = await bench.accept(recipients_of(3), send_at=bench.clock.ms + 29 * DAY_MS)
    bench.clock.advance(29 * DAY)
    assert await remove(bench) == 1
    assert await bench.store.get_operation(bench.account, over.id) is None
    assert (await days(bench))[0] == -29
    assert await counted(bench, "chunk") == 1
    await end_all(bench)
    ended = await bench.store.get_operation(bench.account, scheduled.id)
    assert ended is not None
    assert ended.counts == Counts(sent=3)
    bench.clock.advance(8 * DAY)
    assert await remove(bench) == 1
    assert await counted(bench, "chunk") == 0


async def test_a_day_that_a_webhook_was_not_told_of_goes_row_by_row(bench: Bench) -> None:
    """What it is not told any more is counted as skipped."""
    now = bench.clock.ms
    hook = Webhook(
        account_id=bench.account,
        id=bench.ids.new(),
        url="https://example.com",
        types=(EventType.NOTIFICATION_SENT,),
        created=now,
        updated=now,
    )
    await bench.store.create_webhook(bench.account, hook, b"sealed")
    await bench.accept(recipients_of(2))
    await end_all(bench)
    bench.clock.advance(9 * DAY)
    assert await remove(bench) == 1
    told = await bench.store.get_webhook(bench.account, hook.id)
    assert told is not None
    assert told.skipped == 2
    assert await counted(bench, "chunk_result") == 0


async def test_what_no_partition_was_made_for_is_kept_and_removed_all_the_same(bench: Bench) -> None:
    """A node that stood still for a week finds its place in the default partitions, and others beside it."""
    bench.clock.advance(20 * DAY)
    late = await bench.accept(recipients_of(600))
    assert await counted(bench, "chunk_default") == 2
    assert await remove(bench) == 0
    assert await days(bench) == [1, 2, 3]
    await end_all(bench)
    bench.clock.advance(7 * DAY)
    assert await remove(bench) == 1
    assert await bench.store.get_operation(bench.account, late.id) is None
    assert await counted(bench, "chunk_default") == 0


async def test_a_day_that_is_being_read_is_dropped_later(bench: Bench) -> None:
    """Whoever drops waits a second for a table at most, and nobody waits behind it for longer."""
    assert isinstance(bench.store, PostgresStore)
    await bench.accept(recipients_of(1))
    await end_all(bench)
    bench.clock.advance(9 * DAY)

    async def beside(link: Any) -> int:
        await link.connection.fetch("SELECT 1 FROM chunk")
        return await remove(bench)

    assert await bench.store._jobs.look(beside, "BEGIN") == 1
    assert (await days(bench))[0] < -7
    assert await remove(bench) == 0
    assert (await days(bench))[0] == -7


async def test_a_list_goes_on_over_pages_of_chunks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever places the pages are cut: newest operation first, within it in the order of recipients."""
    monkeypatch.setattr(listing, "AT_ONCE", 2)
    made = [(await bench.accept(recipients_of(5), size=1)).id for _ in range(3)]
    wanted = [notification_id(operation, place) for operation in sorted(made, reverse=True) for place in range(5)]
    found = await bench.store.list_notifications(bench.account, Window(limit=100), NotificationFilter())
    assert [each.id for each in found.items] == wanted
    later = await bench.store.list_notifications(bench.account, Window(limit=4, after=wanted[6]), NotificationFilter())
    assert [each.id for each in later.items] == wanted[7:11]
