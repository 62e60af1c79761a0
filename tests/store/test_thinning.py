"""A chunk's results do not grow with every attempt: what later ones superseded goes when it is given back."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stores import Bench, opened, recipients_of

from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane
from heliogram.domain.webhooks import Webhook
from heliogram.ports import LeasedChunk, Place
from heliogram.store.sqlite.check import examine
from heliogram.store.sqlite.thinning import MOST_PARTS

pytestmark = pytest.mark.anyio


async def claim(bench: Bench) -> LeasedChunk:
    """The one chunk."""
    now = bench.clock.ms
    (chunk,) = await bench.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 1000, worker="w")
    return chunk


def waits(bench: Bench, sequence: int, attempt: int) -> DeliveryRecord:
    """A device that is to be tried again."""
    return DeliveryRecord(
        sequence=sequence,
        slot=0,
        outcome=Outcome.REJECTED,
        final=False,
        at=bench.clock.ms,
        attempt=attempt,
        reason="ServiceUnavailable",
        retry_at=bench.clock.ms,
    )


def taken(bench: Bench, sequence: int, attempt: int = 1) -> DeliveryRecord:
    return DeliveryRecord(
        sequence=sequence, slot=0, outcome=Outcome.ACCEPTED, final=True, at=bench.clock.ms, attempt=attempt
    )


async def attempt(bench: Bench, number: int, *, sent: int = 0) -> LeasedChunk:
    """One more attempt at the first recipient, in vain; so many others were sent before."""
    chunk = await claim(bench)
    assert await bench.store.append_records(chunk, [waits(bench, 0, number)], Counts(sent=sent))
    assert await bench.store.release(chunk, bench.clock.ms, bench.clock.ms)
    return chunk


@pytest.mark.parametrize(("attempts", "left"), [(MOST_PARTS, MOST_PARTS), (MOST_PARTS + 1, 1), (MOST_PARTS + 2, 2)])
async def test_more_parts_than_may_be_are_thinned_out(bench: Bench, attempts: int, left: int) -> None:
    """At the bound all are there; one past it only what counts; then they are counted anew."""
    await bench.accept(recipients_of(1))
    for number in range(1, attempts + 1):
        await attempt(bench, number)
    records = (await claim(bench)).records
    assert [record.attempt for record in records] == list(range(attempts - left + 1, attempts + 1))


async def test_check_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    """Parts are numbered without a gap, and the chunk says how many there are."""
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(2))
        chunk = await claim(bench)
        assert await bench.store.append_records(chunk, [taken(bench, 1), waits(bench, 0, 1)], Counts(sent=1))
        assert await bench.store.release(chunk, bench.clock.ms, bench.clock.ms)
        for number in range(2, 3 * MOST_PARTS):
            await attempt(bench, number, sent=1)
        assert examine(tmp_path / "heliogram.db", full=True).problems == []
        chunk = await claim(bench)
        assert chunk.records[0].sequence == 1
        assert await bench.store.append_records(chunk, [taken(bench, 0, 3 * MOST_PARTS)], Counts(sent=2))
        assert await bench.store.finish(chunk, bench.clock.ms)
        assert examine(tmp_path / "heliogram.db", full=True).problems == []


async def test_who_lost_the_lease_thins_nothing(bench: Bench) -> None:
    """An older attempt changes nothing."""
    await bench.accept(recipients_of(1))
    for number in range(1, MOST_PARTS + 1):
        old = await attempt(bench, number)
    chunk = await claim(bench)
    assert await bench.store.append_records(chunk, [waits(bench, 0, MOST_PARTS + 1)], Counts())
    assert not await bench.store.release(old, bench.clock.ms, bench.clock.ms)
    bench.clock.advance(2)
    assert len((await claim(bench)).records) == MOST_PARTS + 1


async def webhook(bench: Bench) -> Webhook:
    """One that wants to hear everything."""
    now = bench.clock.ms
    url = "https://hooks.example.com/"
    hook = Webhook(account_id=bench.account, id=bench.ids.new(), url=url, types=("*",), created=now, updated=now)
    await bench.store.create_webhook(bench.account, hook, b"sealed")
    return hook


async def test_a_webhook_is_told_each_ending_once(bench: Bench) -> None:
    """Whether it was told before the results were thinned out, in the midst of it, or not at all."""
    hook = await webhook(bench)
    await bench.accept(recipients_of(3))
    chunk = await claim(bench)
    await bench.store.append_records(chunk, [taken(bench, 1), waits(bench, 0, 1)], Counts(sent=1))
    await bench.store.release(chunk, bench.clock.ms, bench.clock.ms)
    told = []
    work = await bench.store.webhook_work_of(bench.account, hook.id)
    assert work is not None
    place = work.place
    for number in range(2, 3 * MOST_PARTS):
        await attempt(bench, number, sent=1)
        if number == MOST_PARTS:
            feed = await bench.store.webhook_feed(bench.account, place, events=True, results=True)
            told += [each.ending.sequence for each in feed.ended]
            assert await bench.store.batch_taken(bench.account, hook.id, place, feed.to, at=bench.clock.ms)
            place = feed.to
    chunk = await claim(bench)
    await bench.store.append_records(chunk, [taken(bench, 0, 3 * MOST_PARTS), taken(bench, 2)], Counts(sent=3))
    await bench.store.finish(chunk, bench.clock.ms)
    feed = await bench.store.webhook_feed(bench.account, place, events=True, results=True)
    assert told + [each.ending.sequence for each in feed.ended] == [1, 0, 2]
    feed = await bench.store.webhook_feed(bench.account, Place(), events=True, results=True)
    assert [each.ending.sequence for each in feed.ended] == [1, 0, 2]
