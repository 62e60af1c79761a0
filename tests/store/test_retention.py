"""What is removed when it ended long ago, what never is, and that nobody waits for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.clock import FakeClock
from support.stores import Bench, opened, recipients_of, token_of

from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import DeliveryRecord, Outcome, Recipient
from heliogram.domain.operations import Counts, Lane, NewChunk, Operation, OperationStatus
from heliogram.domain.webhooks import KEPT_MS, EventType, Webhook
from heliogram.ports import LeasedChunk, NotificationFilter, Place, Removal, Window
from heliogram.store.sqlite import retention
from heliogram.store.sqlite.connection import APPLICATION_ID
from heliogram.store.sqlite.migrate import migrations
from heliogram.store.sqlite.packed import pack_operation

pytestmark = pytest.mark.anyio

DAY = 86_400
WEEK_MS = 7 * DAY * 1000
TABLES = ("operation", "chunk", "chunk_recipients", "chunk_result", "chunk_user", "leaving")


def record_of(chunk: LeasedChunk, place: int, at: int) -> DeliveryRecord:
    sequence = chunk.first + place
    return DeliveryRecord(sequence=sequence, slot=0, outcome=Outcome.ACCEPTED, final=True, at=at, status=200)


async def claim(bench: Bench, limit: int = 1000) -> list[LeasedChunk]:
    now = bench.clock.ms
    found = []
    for lane in Lane:
        found += await bench.store.claim(lane, 0, limit=limit, now=now, until=now + 60_000, worker="w")
    return found


async def deliver(bench: Bench, *, parts: int = 1) -> int:
    """Records and ends every chunk that is due, in so many parts each; how many these were."""

    async def end(chunk: LeasedChunk) -> None:
        places = range(len(chunk.recipients))
        sent = 0
        for part in range(parts):
            records = [record_of(chunk, place, bench.clock.ms) for place in places if place % parts == part]
            sent += len(records)
            await bench.store.append_records(chunk, records, Counts(sent=sent))
        assert await bench.store.finish(chunk, bench.clock.ms)

    chunks = await claim(bench)
    await asyncio.gather(*map(end, chunks))
    return len(chunks)


async def remove(bench: Bench, kept_ms: int = WEEK_MS) -> list[Removal]:
    """Slice after slice until nothing is left."""
    slices = [await bench.store.remove_ended(bench.clock.ms - kept_ms, bench.clock.ms)]
    while slices[-1].next is not None:
        after = slices[-1].next
        slices.append(await bench.store.remove_ended(bench.clock.ms - kept_ms, bench.clock.ms, after=after))
        assert len(slices) < 10_000
    return slices


async def rows(bench: Bench) -> dict[str, int]:
    """How many rows each of the tables has that hold sends."""
    store: Any = bench.store

    def job(connection: apsw.Connection) -> dict[str, int]:
        counting = "SELECT count(*) FROM "
        counts: dict[str, Any] = {name: connection.execute(counting + name).get for name in TABLES}
        return counts

    counted: dict[str, int] = await store._read(job)
    return counted


async def test_an_operation_goes_a_week_after_its_end_with_all_that_belongs_to_it(bench: Bench) -> None:
    """A millisecond before it is whole; then it is gone from every table and from every answer."""
    user = await bench.store.ensure_user(bench.account, "ada", bench.clock.ms)
    made = await bench.accept([Recipient(user=user), *recipients_of(600)])
    bench.clock.advance(5 * DAY)
    await deliver(bench)
    bench.clock.advance(7 * DAY - 0.001)
    assert [each.operations for each in await remove(bench)] == [0]
    assert await bench.store.get_operation(bench.account, made.id) is not None
    bench.clock.advance(0.001)
    assert sum(each.operations for each in await remove(bench)) == 1
    assert await rows(bench) == dict.fromkeys(TABLES, 0)
    assert await bench.store.get_operation(bench.account, made.id) is None
    assert await bench.store.get_notification(bench.account, made.id) is None
    assert (await bench.store.list_operations(bench.account, Window())).items == ()
    assert (await bench.store.list_notifications(bench.account, Window(), NotificationFilter())).items == ()


async def test_what_has_not_ended_stays_however_old_it_is(bench: Bench) -> None:
    """29 days on: scheduled, queued, leased and waiting for a retry, none of it is touched and all can go out."""
    start = bench.clock.ms
    leased = await bench.accept(recipients_of(1))
    (held,) = await claim(bench)
    retrying = await bench.accept(recipients_of(2))
    (again,) = await claim(bench)
    assert await bench.store.release(again, start + 40 * DAY * 1000, start)
    queued = await bench.accept(recipients_of(700))
    scheduled = await bench.accept(recipients_of(3), send_at=start + 35 * DAY * 1000)
    bench.clock.advance(29 * DAY)
    assert [(each.operations, each.rows) for each in await remove(bench)] == [(0, 0)]
    assert held.operation_id == leased.id
    for made in (leased, retrying, queued, scheduled):
        found = await bench.store.get_operation(bench.account, made.id)
        assert found is not None
        assert found.stats.queued + found.stats.scheduled == made.recipients
    bench.clock.advance(12 * DAY)
    assert await deliver(bench) == 5
    assert sum(each.operations for each in await remove(bench)) == 0
    bench.clock.advance(7 * DAY)
    assert sum(each.operations for each in await remove(bench)) == 4


async def test_a_canceled_operation_ends_when_it_was_canceled(bench: Bench) -> None:
    """What was to leave in a month and was canceled goes a week after that."""
    made = await bench.accept(recipients_of(3), send_at=bench.clock.ms + 28 * DAY * 1000)
    await bench.store.cancel_operation(bench.account, made.id, bench.clock.ms)
    bench.clock.advance(7 * DAY)
    assert sum(each.operations for each in await remove(bench)) == 1


async def test_sending_goes_on_between_slices_of_a_million_recipients(bench: Bench) -> None:
    """2,000 chunks of 500 as a million recipients have them: no slice removes more than its rows, and between any two
    of them a send is accepted, claimed and ended."""
    # 20 chunks each, as 10,000 recipients have
    await asyncio.gather(*(bench.accept(recipients_of(40), size=2) for _ in range(100)))
    while await deliver(bench, parts=2):
        pass
    before = await rows(bench)
    assert before["chunk"] == 2000
    bench.clock.advance(7 * DAY)
    after, slices, gone = None, 0, 0
    while True:
        removal = await bench.store.remove_ended(bench.clock.ms - WEEK_MS, bench.clock.ms, after=after)
        slices, gone, after = slices + 1, gone + removal.rows, removal.next
        assert removal.rows <= retention.SLICE_ROWS
        if slices % 10 == 1:
            made = await bench.accept(recipients_of(1))
            assert await deliver(bench) == 1
            found = await bench.store.get_operation(bench.account, made.id)
            assert found is not None
            assert found.status is OperationStatus.COMPLETED
        if after is None:
            break
    assert gone == sum(before.values())
    assert slices >= gone / retention.SLICE_ROWS
    assert (await rows(bench))["operation"] == (slices + 9) // 10


async def test_half_an_operation_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first slice on it is gone from every answer; a crash in between leaves nothing behind for good."""
    monkeypatch.setattr(retention, "SLICE_ROWS", 5)
    clock = FakeClock()
    async with opened(tmp_path, clock=clock) as bench:
        made = await bench.accept(recipients_of(40), size=4)
        await deliver(bench)
        clock.advance(7 * DAY)
        first = await bench.store.remove_ended(clock.ms - WEEK_MS, clock.ms)
        assert first.next is not None
        left = await rows(bench)
        assert (left["operation"], left["leaving"]) == (0, 1)
        assert left["chunk"] > 0
        assert await bench.store.get_operation(bench.account, made.id) is None
        assert await bench.store.get_notification(bench.account, made.id) is None
        assert (await bench.store.list_notifications(bench.account, Window(), NotificationFilter())).items == ()
        assert await claim(bench) == []
    async with opened(tmp_path, clock=clock) as bench:
        assert all(each.rows <= 5 for each in await remove(bench))
        assert await rows(bench) == dict.fromkeys(TABLES, 0)


async def test_large_rows_end_a_slice_before_many_do(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes that a slice frees are bounded, too: with little room for them it removes one large row at a time."""
    text = {"text": "".join(chr(0x4E00 + n * 37 % 20_000) for n in range(3_000))}
    for number in range(4):
        await bench.accept([Recipient(token=token_of(number), variables={f"{number}": text})])
    await deliver(bench)
    bench.clock.advance(7 * DAY)
    monkeypatch.setattr(retention, "SLICE_PAGES", 1)
    assert [each.operations for each in await remove(bench)][:4] == [1, 1, 1, 1]


async def webhook(bench: Bench, types: tuple[str, ...] = ("*",)) -> Webhook:
    now = bench.clock.ms
    made = Webhook(
        account_id=bench.account, id=bench.ids.new(), url="https://example.com", types=types, created=now, updated=now
    )
    await bench.store.create_webhook(bench.account, made, b"sealed")
    return made


async def told(bench: Bench, made: Webhook, results: int) -> None:
    """A webhook was told how the first so many notifications ended."""
    feed = await bench.store.webhook_feed(bench.account, Place(), events=True, results=True)
    result = feed.ended[results - 1].result
    work = await bench.store.webhook_work_of(bench.account, made.id)
    assert work is not None
    place = Place(event=work.place.event, result=result)
    assert await bench.store.batch_taken(bench.account, made.id, work.place, place, at=bench.clock.ms)


async def test_results_stay_until_webhooks_were_told_of_them(bench: Bench) -> None:
    """With a retention shorter than their backlog's three days; one that wants no results keeps nothing."""
    await webhook(bench, (EventType.DEVICE_REMOVED,))
    slow, quick = await webhook(bench), await webhook(bench)
    await bench.accept(recipients_of(2))
    await deliver(bench)
    bench.clock.advance(DAY + 1)
    assert sum(each.operations for each in await remove(bench, DAY * 1000)) == 0
    await told(bench, quick, 2)
    assert sum(each.operations for each in await remove(bench, DAY * 1000)) == 0
    await told(bench, slow, 2)
    assert sum(each.operations for each in await remove(bench, DAY * 1000)) == 1


async def test_what_a_webhook_was_not_told_in_time_counts_as_skipped(bench: Bench) -> None:
    """Past the three days of its backlog the results go, and the webhook says how many it missed of what it wants."""
    everything = await webhook(bench)
    failures = await webhook(bench, (EventType.NOTIFICATION_FAILED,))
    await bench.accept(recipients_of(2))
    await deliver(bench)
    await bench.accept(recipients_of(3))
    await deliver(bench)
    bench.clock.advance(KEPT_MS / 1000 - 0.001)
    assert sum(each.operations for each in await remove(bench, DAY * 1000)) == 0
    bench.clock.advance(0.001)
    assert sum(each.operations for each in await remove(bench, DAY * 1000)) == 2
    skipped = {each.id: each.skipped for each in (await bench.store.list_webhooks(bench.account, Window())).items}
    assert skipped == {everything.id: 5, failures.id: 0}


async def test_an_account_that_waits_for_its_webhook_keeps_no_other_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice goes on where the one before looked last, also past what must stay."""
    monkeypatch.setattr(retention, "SLICE_LOOKS", 3)
    await webhook(bench)
    for _ in range(7):
        await bench.accept(recipients_of(1))
    await deliver(bench)
    for made in (await bench.store.list_webhooks(bench.account, Window())).items:
        await told(bench, made, 4)
    bench.clock.advance(2 * DAY)
    assert sum(each.operations for each in await remove(bench, DAY * 1000)) == 4


async def test_deleted_users_go_after_the_time_of_retention(bench: Bench) -> None:
    """Their entry is the last of them; whoever was not deleted stays, and no device hinders it."""
    await bench.app()
    first, second = [await bench.device(token_of(n), external_id=f"user {n}") for n in range(2)]
    assert await bench.store.delete_user(bench.account, first.user_id, bench.clock.ms)
    bench.clock.advance(7 * DAY - 0.001)
    assert await bench.store.remove_deleted_users(bench.clock.ms - WEEK_MS) == 0
    bench.clock.advance(0.001)
    assert await bench.store.remove_deleted_users(bench.clock.ms - WEEK_MS) == 1
    assert await bench.store.remove_deleted_users(bench.clock.ms - WEEK_MS) == 0
    assert await bench.store.get_user(bench.account, first.user_id) is None
    assert await bench.store.get_user(bench.account, second.user_id) is not None


async def test_deleted_users_go_in_slices(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many at once, those deleted first before the others."""
    monkeypatch.setattr(retention, "SLICE_USERS", 2)
    users = [await bench.store.ensure_user(bench.account, f"user {n}", bench.clock.ms) for n in range(5)]
    for user in users:
        await bench.store.delete_user(bench.account, user, bench.clock.ms)
        bench.clock.advance(1)
    counts = [await bench.store.remove_deleted_users(bench.clock.ms) for _ in range(4)]
    assert counts == [2, 2, 1, 0]


async def test_the_file_gives_back_what_it_does_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In slices, down to the slack; and it does not grow while as much comes as goes."""
    monkeypatch.setattr(retention, "SLACK_PAGES", 20)
    async with opened(tmp_path) as bench:
        for _ in range(20):
            await bench.accept(recipients_of(2000))
        while await deliver(bench):
            pass
        await bench.store.checkpoint()
        full = (tmp_path / "heliogram.db").stat().st_size
        bench.clock.advance(7 * DAY)
        await remove(bench)
        moved = []
        while pages := await bench.store.compact():
            moved.append(pages)
        assert max(moved) <= retention.VACUUM_PAGES
        await bench.store.checkpoint()
        empty = (tmp_path / "heliogram.db").stat().st_size
        assert empty <= full - 4096 * sum(moved)
        sizes = []
        for _ in range(3):
            for _ in range(5):
                await bench.accept(recipients_of(2000))
            while await deliver(bench):
                pass
            bench.clock.advance(7 * DAY)
            await remove(bench)
            await bench.store.checkpoint()
            sizes.append((tmp_path / "heliogram.db").stat().st_size)
        assert max(sizes) == sizes[0] < full


async def test_idempotency_keys_are_forgotten_after_a_day(bench: Bench) -> None:
    """Also where no other write comes to do it."""
    now = bench.clock.ms
    for number in range(60):
        await bench.store.reserve_key(
            bench.account, str(number), b"f", ident=bench.ids.new(), now=now, until=now + 1000
        )
    assert await bench.store.forget_idempotency(now + DAY * 1000 - 1) == 0
    assert [await bench.store.forget_idempotency(now + DAY * 1000) for _ in range(3)] == [50, 10, 0]


async def test_the_migration_keeps_what_was_queued(tmp_path: Path) -> None:
    """A database of the schema before this one: its chunks go out after it was brought up to date."""
    clock = FakeClock()
    factory = IdFactory(lambda: clock.ms)
    recipients = recipients_of(2)
    async with opened(tmp_path, clock=clock) as other:
        operation = other.operation(recipients)
    (tmp_path / "old").mkdir()
    old = apsw.Connection(str(tmp_path / "old" / "heliogram.db"))
    for number in (1, 2):
        old.execute(migrations()[number]).fetchall()
    account = factory.new()
    old.execute("INSERT INTO account (id, name, created) VALUES (?, 'default', 1)", (account,))
    _insert_old(old, account, operation, recipients)
    old.pragma("user_version", 2)
    old.pragma("application_id", APPLICATION_ID)
    old.close()
    async with opened(tmp_path / "old", clock=clock) as bench:
        assert bench.account == account
        (chunk,) = await claim(bench)
        assert chunk.recipients == recipients
        assert await bench.store.finish(chunk, clock.ms)


def _insert_old(old: apsw.Connection, account: bytes, operation: Operation, recipients: list[Recipient]) -> None:
    packed = pack_operation(operation, [NewChunk(id=operation.id, first=0, recipients=recipients)])
    old.execute(
        "INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated)"
        " VALUES (?, ?, 'shop', ?, 0, 2, 'PROCESSING', 1, 1)",
        (account, operation.id, packed.spec),
    )
    old.execute(
        "INSERT INTO chunk VALUES (?, ?, 0, 2, 0, 0, 0, 1, 0, '', 0, 0, 0, 0, 0, 1, 0)",
        (account, operation.id),
    )
    old.execute("INSERT INTO chunk_recipients VALUES (?, ?, 0, ?)", (account, operation.id, packed.chunks[0].packed))
