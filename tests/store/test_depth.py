"""How much may wait: the bounds of the queue, and the counters they are measured by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from structlog.testing import capture_logs
from support.clock import FakeClock
from support.stores import Bench, open_sqlite, opened, recipients_of

from heliogram.domain.accounts import Account
from heliogram.domain.backlog import QueueBounds, QueueFull
from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, NewChunk, Operation, OperationStatus, cut
from heliogram.ports import LeasedChunk
from heliogram.store.sqlite.backup import Restoring, back_up
from heliogram.store.sqlite.check import examine
from heliogram.store.sqlite.depth import RATE_SECONDS
from heliogram.store.sqlite.migrate import migrations

pytestmark = pytest.mark.anyio

WIDE = 1_000_000


async def send(
    bench: Bench, count: int, *, total: int = WIDE, account: int = WIDE, lane: Lane | None = None, later: bool = False
) -> Operation:
    """Accepts a send within these bounds."""
    recipients = recipients_of(count)
    operation = bench.operation(recipients)
    changes: dict[str, Any] = {} if lane is None else {"lane": lane}
    if later:
        changes |= {"status": OperationStatus.SCHEDULED, "send_at": bench.clock.ms + 60_000, "send_at_text": "then"}
    made = Operation(**{name: getattr(operation, name) for name in operation.__struct_fields__} | changes)
    chunks: list[NewChunk] = cut(made.id, recipients)
    await bench.store.accept(bench.account, made, chunks, bounds=QueueBounds(total=total, account=account))
    return made


async def neighbour(bench: Bench, name: str = "other") -> Bench:
    """Another account of the same store."""
    account = Account(id=bench.ids.new(), name=name, created=bench.clock.ms)
    await bench.store.create_account(account)
    return Bench(bench.store, bench.clock, bench.ids, account.id)


async def waiting(bench: Bench) -> int:
    """How many recipients of the account wait."""
    return (await bench.store.count_account(bench.account, bench.clock.ms)).waiting


async def claim(bench: Bench, lane: Lane = Lane.TX, limit: int = 100) -> list[LeasedChunk]:
    now = bench.clock.ms
    return await bench.store.claim(lane, 0, limit=limit, now=now, until=now + 60_000, worker="w")


async def end(bench: Bench, chunk: LeasedChunk, count: int) -> None:
    """Records that the first of a chunk's recipients were sent to, and finishes it if these are all."""
    records = [
        DeliveryRecord(
            sequence=chunk.first + n,
            slot=0,
            outcome=Outcome.ACCEPTED,
            final=True,
            at=bench.clock.ms,
            token=b"",
            attempt=1,
        )
        for n in range(count)
    ]
    assert await bench.store.append_records(chunk, records, Counts(sent=count))
    if count == len(chunk.recipients):
        assert await bench.store.finish(chunk, bench.clock.ms)


async def test_exactly_at_the_bound_passes_and_one_past_does_not(bench: Bench) -> None:
    """Of the account, and over all of them."""
    await send(bench, 60, account=100)
    await send(bench, 40, account=100)
    with pytest.raises(QueueFull, match="the account's queue is full: at most 100 recipients"):
        await send(bench, 1, account=100)
    other = await neighbour(bench)
    await send(other, 20, total=120, account=100)
    with pytest.raises(QueueFull, match="the service's queue is full: at most 120 recipients"):
        await send(other, 1, total=120, account=100)
    assert (await waiting(bench), await waiting(other)) == (100, 20)


async def test_nothing_of_a_refused_send_is_kept(bench: Bench) -> None:
    """Neither the operation nor its recipients."""
    refused = bench.operation(recipients_of(11))
    with pytest.raises(QueueFull):
        await bench.store.accept(
            bench.account, refused, cut(refused.id, recipients_of(11)), bounds=QueueBounds(total=10, account=10)
        )
    assert await bench.store.get_operation(bench.account, refused.id) is None
    assert await bench.store.get_notification(bench.account, notification_id(refused.id, 0)) is None
    assert await claim(bench) == []
    await send(bench, 10, total=10, account=10)


async def test_the_last_twentieth_takes_small_sends_alone(bench: Bench) -> None:
    """A campaign that fills the queue does not shut them out, and they in turn end at the bound."""
    await send(bench, 950, total=1000, lane=Lane.BULK)
    with pytest.raises(QueueFull, match="at most 1000 recipients may wait, 950 for sends to more than 100"):
        await send(bench, 1, total=1000, lane=Lane.BULK)
    await send(bench, 49, total=1000)
    await send(bench, 1, total=1000)
    with pytest.raises(QueueFull):
        await send(bench, 1, total=1000)


async def test_the_reserve_is_each_accounts_too(bench: Bench) -> None:
    """Its own campaign leaves its small sends room."""
    with pytest.raises(QueueFull, match="the account's"):
        await send(bench, 951, account=1000, lane=Lane.BULK)
    await send(bench, 950, account=1000, lane=Lane.BULK)
    await send(bench, 50, account=1000)
    with pytest.raises(QueueFull, match="the account's"):
        await send(bench, 1, account=1000)


async def test_scheduled_sends_count(bench: Bench) -> None:
    """They wait, too."""
    await send(bench, 10, account=10, later=True)
    with pytest.raises(QueueFull):
        await send(bench, 1, account=10)


async def test_who_has_ended_makes_room(bench: Bench) -> None:
    """One by one, as answers are recorded; chunks that go on waiting keep theirs."""
    await send(bench, 10, account=10)
    (chunk,) = await claim(bench)
    assert await waiting(bench) == 10
    await end(bench, chunk, 4)
    assert await waiting(bench) == 6
    await send(bench, 4, account=10)
    with pytest.raises(QueueFull):
        await send(bench, 1, account=10)
    assert await bench.store.release(chunk, bench.clock.ms, bench.clock.ms)
    assert await waiting(bench) == 10


async def test_cancelling_makes_room(bench: Bench) -> None:
    """Of one recipient, and of the rest of an operation."""
    operation = await send(bench, 10, account=10, later=True)
    await bench.store.cancel_notification(bench.account, notification_id(operation.id, 3), bench.clock.ms)
    assert await waiting(bench) == 9
    await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms)
    assert await waiting(bench) == 0


async def test_without_bounds_everything_is_counted_and_passes(bench: Bench) -> None:
    """A store that nobody gave bounds refuses nothing."""
    await bench.accept(recipients_of(1200))
    assert await waiting(bench) == 1200


async def test_the_wait_is_as_long_as_the_queue_needs(bench: Bench) -> None:
    """From how many ended in the last seconds; before anything is known it is 5 s."""
    await send(bench, 1000, account=1000, lane=Lane.TX)
    with pytest.raises(QueueFull) as refused:
        await send(bench, 100, account=1000)
    assert refused.value.retry_after == 5
    (chunk, _) = await claim(bench)
    bench.clock.advance(10)
    await end(bench, chunk, 200)  # 20 a second
    await send(bench, 200, account=1000, lane=Lane.TX)
    for excess, seconds in ((100, 5), (101, 6), (1, 1)):
        with pytest.raises(QueueFull) as refused:
            await send(bench, excess, account=1000, lane=Lane.TX)
        assert refused.value.retry_after == seconds


async def test_a_queue_that_does_not_move_is_asked_again_in_a_minute(bench: Bench) -> None:
    """And what was long ago is not taken for the rate of now."""
    await send(bench, 10, account=10)
    (chunk,) = await claim(bench)
    await end(bench, chunk, 9)
    for _ in range(3):
        bench.clock.advance(RATE_SECONDS)
        await send(bench, 1, account=WIDE)
    with pytest.raises(QueueFull) as refused:
        await send(bench, 1, account=4)
    assert refused.value.retry_after == 60
    bench.clock.advance(3600)
    with pytest.raises(QueueFull) as refused:
        await send(bench, 1, account=4)
    assert refused.value.retry_after == 5


async def test_the_log_tells_once_that_the_queue_is_full_and_once_that_it_is_not(bench: Bench) -> None:
    """Not for every send that is refused; there is room again when a tenth is free."""
    with capture_logs() as logs:
        await send(bench, 10, account=10)
        for _ in range(3):
            with pytest.raises(QueueFull):
                await send(bench, 1, account=10)
        (chunk,) = await claim(bench)
        await end(bench, chunk, 2)
        await send(bench, 1, account=10)
        await send(bench, 1, account=10)
    told = [(line["event"], line["lane"], line["waiting"], line["bound"]) for line in logs]
    assert told == [("queue.full", "TX", 10, 10), ("queue.room_again", "TX", 8, 10)]
    assert "Doorkeeper(waiting=9, full=0)" in repr(bench.store)


async def test_a_database_of_the_version_before_is_counted(tmp_path: Path) -> None:
    """What waits in it, started or not, and in which queue; what has ended is not."""
    path = tmp_path / "heliogram.db"
    old = apsw.Connection(str(path))
    for script in list(migrations().values())[:4]:
        old.execute(script).fetchall()
    old.pragma("user_version", 4)
    old.pragma("application_id", 0x48454C47)
    account, first, second = b"a" * 16, b"b" * 16, b"c" * 16
    old.execute("INSERT INTO account (id, name, created) VALUES (?, 'default', 1)", (account,))
    insert = (
        "INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated, send_at)"
        " VALUES (?, ?, ?, x'', 1, 900, ?, 1, 1, 5)"
    )
    old.execute(insert, (account, first, "shöp", "PROCESSING"))
    old.execute(insert, (account, second, "news", "SCHEDULED"))
    for operation, begin, state, sent, failed in (
        (first, 0, 2, 500, 0),
        (first, 500, 1, 30, 7),
        (second, 0, 0, 0, 0),
        (second, 500, 0, 0, 0),
    ):
        old.execute(
            "INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, parts,"
            " sent, failed, unaddressable, canceled, updated) VALUES (?, ?, ?, ?, 1, 0, ?, 5, 0, '', 0, ?, ?, 0, 0, 1)",
            (account, operation, begin, 500 - begin // 5, state, sent, failed),
        )
    old.close()
    async with opened(tmp_path) as bench:
        assert bench.account == account
        assert await waiting(bench) == (400 - 37) + 900
        with pytest.raises(QueueFull):
            await send(bench, 1, total=1263)
        await send(bench, 1, total=1264)
    new = apsw.Connection(str(path))
    found: Any = new.execute(
        "SELECT first, flow, starts FROM chunk WHERE lane = 1 ORDER BY operation_id, first"
    ).fetchall()
    new.close()
    shop, news = account + "shöp".encode(), account + b"news"
    assert found == [(0, b"", 0), (500, shop, 0), (0, news, 1), (500, news, 0)]


async def test_a_restored_database_is_counted_anew(tmp_path: Path) -> None:
    """Whatever the backup's counters say."""
    async with opened(tmp_path) as bench:
        await send(bench, 30)
    source = tmp_path / "heliogram.db"
    wrong = apsw.Connection(str(source))
    wrong.execute("UPDATE queue_depth SET waiting = 7")
    wrong.close()
    copy, target = tmp_path / "copy.db", tmp_path / "new" / "heliogram.db"
    back_up(source, copy)
    target.parent.mkdir()
    Restoring(copy, target.with_name("draft"), target).run(1, "now")
    async with opened(target.parent) as bench:
        assert await waiting(bench) == 30


async def test_counters_that_went_astray_are_found_and_a_start_mends_them(tmp_path: Path) -> None:
    """`heliogram check` compares them with the chunks; giving back the leases of the last run counts anew."""
    async with opened(tmp_path) as bench:
        await send(bench, 30)
        assert examine(tmp_path / "heliogram.db").problems == []
        wrong = apsw.Connection(str(tmp_path / "heliogram.db"))
        wrong.execute("UPDATE queue_depth SET waiting = 29 WHERE account_id <> x''")
        assert examine(tmp_path / "heliogram.db").problems == [
            "1 counts of waiting recipients are not what the chunks say: a start counts anew"
        ]
        wrong.execute("DELETE FROM queue_depth")
        wrong.close()
        assert examine(tmp_path / "heliogram.db").problems[0].startswith("2 counts")
        await bench.store.release_all(bench.clock.ms)
        assert examine(tmp_path / "heliogram.db").problems == []
        assert await waiting(bench) == 30


async def test_an_account_that_is_made_later_is_counted(tmp_path: Path) -> None:
    """Its counter comes with it, and goes with it."""
    clock = FakeClock()
    async with opened(tmp_path, open_sqlite, clock) as bench:
        other = await neighbour(bench)
        await send(other, 3)
        assert (await waiting(bench), await waiting(other)) == (0, 3)
        direct = apsw.Connection(str(tmp_path / "heliogram.db"))
        direct.execute("DELETE FROM account WHERE name = 'other'")
        left: Any = direct.execute("SELECT account_id, waiting FROM queue_depth ORDER BY account_id").fetchall()
        direct.close()
        assert left == [(b"", 0), (bench.account, 0)]
