"""What a store tells of itself."""

from __future__ import annotations

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.webhooks import Webhook, WebhookState
from heliogram.measures import WebhookStand
from heliogram.ports import Batch, Failure, WebhookChange

pytestmark = pytest.mark.anyio


async def test_a_store_counts_its_commits(bench: Bench) -> None:
    """Each write is one, or part of one, and nothing has failed."""
    before = sum(bench.store.stats().commits.counts)
    await bench.accept(recipients_of(1))
    stats = bench.store.stats()
    assert sum(stats.commits.counts) > before
    assert stats.commits.total > 0
    assert (stats.waiting, stats.failed) == (0, 0)


async def test_a_store_knows_its_own_limits(bench: Bench) -> None:
    """The log of the embedded one, the connections of a shared one."""
    await bench.accept(recipients_of(1))
    stats = bench.store.stats()
    if stats.wal_bytes is None:
        assert stats.pool_size == 8
        assert stats.pool_busy == 0
    else:
        assert stats.wal_bytes > 0
        assert stats.pool_size is None


async def test_what_webhooks_did_not_take_is_counted(bench: Bench) -> None:
    """Of all of them: what is tried again, since when, and what is given up."""
    assert await bench.store.webhook_stand() == WebhookStand()
    now = bench.clock.ms
    hook = Webhook(
        account_id=bench.account,
        id=bench.ids.new(),
        url="https://example.com",
        types=("com.heliogram.device.removed",),
        created=now,
        updated=now,
    )
    await bench.store.create_webhook(bench.account, hook, b"sealed")
    for due in (now + 60_000, None):
        work = await bench.store.webhook_work_of(bench.account, hook.id)
        assert work is not None
        batch = Batch(id=bench.ids.new(), body=b"[]", events=1, created=now)
        failure = Failure(error="no", at=now, due=due)
        places = (work.place, work.place)
        assert await bench.store.batch_refused(bench.account, hook.id, *places, batch, failure, skipped=0)
    assert await bench.store.webhook_stand() == WebhookStand(retrying=1, dead=1, oldest=now)
    await bench.store.update_webhook(bench.account, hook.id, WebhookChange(state=WebhookState.DISABLED), now)
    assert (await bench.store.webhook_stand()).disabled == 1
