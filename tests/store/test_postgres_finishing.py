"""Chunks that are ended together by PostgreSQL, beside what ending one after another makes of the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from support.stores import Bench, open_postgres, opened, recipients_of, token_of

from heliogram.domain.accounts import Account
from heliogram.domain.notifications import DeliveryRecord, Outcome, Recipient
from heliogram.domain.operations import Counts, Lane
from heliogram.domain.packing import pack_records
from heliogram.domain.webhooks import Webhook, WebhookState
from heliogram.ports import LeasedChunk, WebhookChange
from heliogram.store.postgres import PostgresStore

pytestmark = pytest.mark.anyio

Row = dict[str, Any]
_TOGETHER = "SELECT unnest(finish_chunks({}))"
_ONE_BY_ONE = "SELECT finish_chunk({}) FROM unnest({}) k (a, b, c, d, e, f, g, h, i, j)"
_TYPES = ("bytea", "bytea", "integer", "integer", "bigint", "integer", "integer", "integer", "bytea", "bigint")
_ARRAYS = ", ".join(f"${place}::{type_}[]" for place, type_ in enumerate(_TYPES, 1))
TOGETHER, ONE_BY_ONE = _TOGETHER.format(_ARRAYS), _ONE_BY_ONE.format("a, b, c, d, e, f, g, h, i, j", _ARRAYS)
KEPT = {
    "operation": "SELECT * FROM operation ORDER BY account_id, id",
    "chunk": "SELECT * FROM chunk ORDER BY account_id, operation_id, first",
    "results": "SELECT account_id, operation_id, first, part, attempt, packed FROM chunk_result ORDER BY 1, 2, 3, 4",
    "depth": "SELECT account_id, sum(waiting), sum(ended) FROM queue_depth GROUP BY 1 ORDER BY 1",
}


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A store, and an app with a credential."""
    async with opened(tmp_path, open_postgres) as made:
        await made.app()
        yield made


async def claimed(bench: Bench, *, worker: str = "w", limit: int = 64) -> list[LeasedChunk]:
    now = bench.clock.ms
    return await bench.store.claim(Lane.TX, 0, limit=limit, now=now, until=now + 60_000, worker=worker)


def end_of(chunk: LeasedChunk, at: int, *, records: bool = True, sent: int = 1) -> tuple[Any, ...]:
    """The arguments with which a chunk is finished."""
    record = DeliveryRecord(
        sequence=chunk.first, slot=0, outcome=Outcome.ACCEPTED, final=True, at=at, token=token_of(1)
    )
    packed = pack_records([record]) if records else None
    counts = (sent, 0, 0) if records else (0, 0, 0)
    return (chunk.account_id, chunk.operation_id, chunk.first, chunk.attempt, at, *counts, packed, at - 1)


async def compared(bench: Bench, ends: list[tuple[Any, ...]]) -> tuple[list[int], dict[str, list[Row]]]:
    """What both ways say and leave, which is the same."""
    found = []
    link = await cast("PostgresStore", bench.store)._jobs._pool.take()
    try:
        for statement in (ONE_BY_ONE, TOGETHER):
            transaction = link.connection.transaction()
            await transaction.start()
            said = [row[0] for row in await link.connection.fetch(statement, *map(list, zip(*ends, strict=True)))]
            kept = {name: [dict(row) for row in await link.connection.fetch(text)] for name, text in KEPT.items()}
            found.append((said, kept))
            await transaction.rollback()
    finally:
        cast("PostgresStore", bench.store)._jobs._pool.give(link)
    assert found[0] == found[1]
    return found[1]


async def test_each_ends_as_it_would_by_itself(bench: Bench) -> None:
    """One that is all there is, one with nothing to record, one whose lease is another's, one whose operation was
    asked to stop, one that is there no more; of one with two chunks the first, of another the last; and one of another
    account."""
    now = bench.clock.ms
    other = Account(id=bench.ids.new(), name="other", created=now)
    await bench.store.create_account(other)
    others = await Bench(bench.store, bench.clock, bench.ids, other.id).accept(recipients_of(1))
    plain, silent, stale, stopped, gone = [await bench.accept(recipients_of(1)) for _ in range(5)]
    first_of_two = await bench.accept(recipients_of(2), size=1)
    last_of_two = await bench.accept(recipients_of(2), size=1)
    chunks = {(each.operation_id, each.first): each for each in await claimed(bench)}
    assert len(chunks) == 10
    bench.clock.advance(60)
    again = await bench.store.claim(Lane.TX, 0, limit=64, now=now + 60_000, until=now + 120_000, worker="other")
    held = {(each.operation_id, each.first): each for each in again}
    await bench.store.finish(held[last_of_two.id, 0], now, (), Counts())
    await bench.store.cancel_operation(bench.account, stopped.id, now)
    link = await cast("PostgresStore", bench.store)._jobs._pool.take()
    await link.connection.execute("DELETE FROM chunk WHERE operation_id = $1", gone.id)
    await link.connection.execute("DELETE FROM operation WHERE id = $1", gone.id)
    cast("PostgresStore", bench.store)._jobs._pool.give(link)
    ends = [
        end_of(held[plain.id, 0], now + 1),
        end_of(held[silent.id, 0], now + 2, records=False),
        end_of(chunks[stale.id, 0], now + 3),
        end_of(held[stopped.id, 0], now + 4),
        end_of(held[gone.id, 0], now + 5),
        end_of(held[first_of_two.id, 0], now + 6),
        end_of(held[last_of_two.id, 1], now + 7),
        end_of(held[others.id, 0], now + 8),
    ]
    said, kept = await compared(bench, ends)
    assert said == [1, 1, 0, 2, 0, 1, 1, 1]
    finished = {row["id"]: row["finished"] for row in kept["operation"]}
    assert (finished[plain.id], finished[silent.id], finished[last_of_two.id]) == (now + 1, now + 2, now + 7)
    assert finished[others.id] == now + 8
    assert finished[stale.id] is finished[first_of_two.id] is None


async def test_two_chunks_of_one_operation_end_it(bench: Bench) -> None:
    """The second sees that it is the last."""
    operation = await bench.accept(recipients_of(3), size=1)
    other = await bench.accept(recipients_of(1))
    now, ends = bench.clock.ms, []
    for chunk in sorted(await claimed(bench), key=lambda each: (each.operation_id, each.first)):
        ends.append(end_of(chunk, now))
    said, kept = await compared(bench, ends)
    assert said == [1, 1, 1, 1]
    assert {row["id"]: row["status"] for row in kept["operation"]} == {
        operation.id: "COMPLETED",
        other.id: "COMPLETED",
    }


async def test_one_end_twice_is_written_once(bench: Bench) -> None:
    """As when it was asked for again because the first answer was lost."""
    await bench.accept(recipients_of(1))
    (chunk,) = await claimed(bench)
    end = end_of(chunk, bench.clock.ms)
    said, kept = await compared(bench, [end, end])
    assert sorted(said) == [0, 1]
    assert len(kept["results"]) == 1


async def test_what_was_canceled_whole_ends_as_canceled(bench: Bench) -> None:
    """An operation all of whose recipients were canceled while its chunk was on its way."""
    operation = await bench.accept([Recipient(token=token_of(1))])
    link = await cast("PostgresStore", bench.store)._jobs._pool.take()
    (chunk,) = await claimed(bench)
    await link.connection.execute("UPDATE chunk SET canceled = 1 WHERE operation_id = $1", operation.id)
    cast("PostgresStore", bench.store)._jobs._pool.give(link)
    said, kept = await compared(bench, [end_of(chunk, bench.clock.ms, records=False)])
    assert (said, kept["operation"][0]["status"]) == ([1], "CANCELED")


async def test_a_webhook_is_told_by_the_longer_way(bench: Bench) -> None:
    """Where its own account has one that is not disabled; what another account has makes no difference."""
    operation = await bench.accept(recipients_of(1))
    ends = [end_of(chunk, bench.clock.ms) for chunk in await claimed(bench)]
    other = Account(id=bench.ids.new(), name="other", created=bench.clock.ms)
    await bench.store.create_account(other)
    await webhook(bench, other.id)
    assert (await compared(bench, ends))[0] == [1]
    own = await webhook(bench, bench.account)
    said, kept = await compared(bench, ends)
    assert said == [2]
    assert [row["status"] for row in kept["operation"] if row["id"] == operation.id] == ["PROCESSING"]
    off = WebhookChange(state=WebhookState.DISABLED)
    await bench.store.update_webhook(bench.account, own.id, off, bench.clock.ms)
    assert (await compared(bench, ends))[0] == [1]


async def webhook(bench: Bench, account: bytes) -> Webhook:
    now = bench.clock.ms
    made = Webhook(
        account_id=account, id=bench.ids.new(), url="https://hooks.example.com/", types=("*",), created=now, updated=now
    )
    await bench.store.create_webhook(account, made, b"sealed")
    return made
