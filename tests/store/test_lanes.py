"""What there is to do, by account and lane."""

from __future__ import annotations

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.accounts import Account
from heliogram.domain.operations import Lane
from heliogram.ports import LaneDepth

pytestmark = pytest.mark.anyio


async def depth(bench: Bench, lane: Lane) -> LaneDepth | None:
    """What the account has in a lane now."""
    found = await bench.store.lane_depths(bench.clock.ms)
    return next((each for each in found if (each.account_id, each.lane) == (bench.account, lane)), None)


async def test_what_waits_is_counted_by_account_and_lane(bench: Bench) -> None:
    """Each account sees its own; an account with nothing has no row."""
    other = Bench(bench.store, bench.clock, bench.ids, bench.ids.new())
    await bench.store.create_account(Account(id=other.account, name="other", created=bench.clock.ms))
    await bench.accept(recipients_of(3))
    await bench.accept(recipients_of(150))
    found = await depth(bench, Lane.TX)
    assert found == LaneDepth(account_id=bench.account, lane=Lane.TX, waiting=3, later=0, oldest_due=bench.clock.ms)
    bulk = await depth(bench, Lane.BULK)
    assert bulk is not None
    assert bulk.waiting == 150
    assert await depth(other, Lane.TX) is None


async def test_what_is_not_due_counts_as_later(bench: Bench) -> None:
    """Until its time comes; then it waits since that time."""
    due = bench.clock.ms + 60_000
    await bench.accept(recipients_of(2), send_at=due)
    found = await depth(bench, Lane.TX)
    assert found is not None
    assert (found.waiting, found.later, found.oldest_due) == (0, 2, None)
    bench.clock.advance(60)
    found = await depth(bench, Lane.TX)
    assert found is not None
    assert (found.waiting, found.later, found.oldest_due) == (2, 0, due)


async def test_what_a_worker_holds_waits_and_is_not_the_oldest(bench: Bench) -> None:
    """Somebody took it; once it is done it counts nowhere."""
    await bench.accept(recipients_of(2))
    now = bench.clock.ms
    (chunk,) = await bench.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 60_000, worker="w")
    found = await depth(bench, Lane.TX)
    assert found is not None
    assert (found.waiting, found.later, found.oldest_due) == (2, 0, None)
    await bench.store.finish(chunk, now)
    assert await depth(bench, Lane.TX) is None
