"""Webhooks in the store: kept, changed, and what they are still to be told."""

from __future__ import annotations

from typing import Any

import pytest
from support.stores import Bench, recipients_of
from support.telling import Telling, record

from heliogram.domain.accounts import Account
from heliogram.domain.errors import Code, LimitReached
from heliogram.domain.notifications import Outcome
from heliogram.domain.operations import Counts, Lane
from heliogram.domain.webhooks import MAX_WEBHOOKS, EventType, Webhook, WebhookState
from heliogram.ports import Batch, Failure, Place, WebhookChange, WebhookWork, Window

pytestmark = pytest.mark.anyio


def webhook(bench: Bench, **changes: Any) -> Webhook:
    now = bench.clock.ms
    fields = {
        "account_id": bench.account,
        "id": bench.ids.new(),
        "url": "https://hooks.example.com/",
        "types": ("*",),
        "created": now,
        "updated": now,
    }
    return Webhook(**{**fields, **changes})


async def made(bench: Bench, **changes: Any) -> Webhook:
    """A webhook that is kept."""
    new = webhook(bench, **changes)
    await bench.store.create_webhook(bench.account, new, b"sealed")
    return new


async def work_of(bench: Bench, kept: Webhook) -> WebhookWork:
    work = await bench.store.webhook_work_of(bench.account, kept.id)
    assert work is not None
    return work


def batch(bench: Bench, **changes: Any) -> Batch:
    return Batch(**{"id": bench.ids.new(), "body": b"[]", "events": 1, "created": bench.clock.ms, **changes})


async def refused(bench: Bench, kept: Webhook, due: int | None) -> Batch:
    """A batch that was not taken."""
    sent, place = batch(bench), (await work_of(bench, kept)).place
    failure = Failure(error="no", at=bench.clock.ms, due=due)
    assert await bench.store.batch_refused(bench.account, kept.id, place, place, sent, failure, skipped=0)
    return sent


async def test_a_webhook_is_read_as_it_was_kept(bench: Bench) -> None:
    """And its secrets stay apart from it."""
    new = await made(bench, description="ours", types=("device.*", "*"))
    assert await bench.store.get_webhook(bench.account, new.id) == new
    assert (await bench.store.list_webhooks(bench.account, Window())).items == (new,)
    assert await bench.store.webhook_secrets(bench.account, new.id) == b"sealed"


async def test_an_account_has_at_most_ten(bench: Bench) -> None:
    """The eleventh is refused; another account has its own ten."""
    for _ in range(MAX_WEBHOOKS):
        await made(bench)
    with pytest.raises(LimitReached) as caught:
        await made(bench)
    assert caught.value.code is Code.TOO_MANY_WEBHOOKS
    other = Account(id=bench.ids.new(), name="other", created=bench.clock.ms)
    await bench.store.create_account(other)
    new = webhook(bench, account_id=other.id)
    await bench.store.create_webhook(other.id, new, b"sealed")


async def test_nothing_of_it_is_another_accounts(bench: Bench) -> None:
    """Not to read, not to change, not to be told."""
    kept = await made(bench)
    store, other, now = bench.store, b"o" * 16, bench.clock.ms
    await refused(bench, kept, None)
    assert await store.get_webhook(other, kept.id) is None
    assert (await store.list_webhooks(other, Window())).items == ()
    assert not await store.update_webhook(other, kept.id, WebhookChange(url="https://x.example"), now)
    assert not await store.delete_webhook(other, kept.id)
    assert await store.webhook_secrets(other, kept.id) is None
    assert not await store.set_webhook_secrets(other, kept.id, b"sealed", b"theirs")
    assert (await store.list_dead_letters(other, kept.id, Window())).items == ()
    assert await store.redeliver(other, kept.id, None, now) == 0
    assert await store.webhook_work_of(other, kept.id) is None
    with pytest.raises(ValueError, match="another account's"):
        await store.create_webhook(other, webhook(bench), b"sealed")


async def test_what_is_left_out_of_a_change_stays(bench: Bench) -> None:
    """Each field for itself."""
    kept = await made(bench, description="old")
    bench.clock.advance(1)
    for change in (WebhookChange(url="https://n.example/"), WebhookChange(types=("device.*",)), WebhookChange()):
        assert await bench.store.update_webhook(bench.account, kept.id, change, bench.clock.ms)
    known = await bench.store.get_webhook(bench.account, kept.id)
    assert known is not None
    assert (known.url, known.types, known.description) == ("https://n.example/", ("device.*",), "old")
    assert (known.created, known.updated) == (kept.created, bench.clock.ms)
    assert await bench.store.update_webhook(bench.account, kept.id, WebhookChange(description=""), bench.clock.ms)
    known = await bench.store.get_webhook(bench.account, kept.id)
    assert known is not None
    assert known.description == ""


async def test_newly_wanted_notifications_are_told_from_then_on(bench: Bench) -> None:
    """A webhook that widens its types does not get the past."""
    telling = Telling(bench)
    kept = await made(bench, types=("device.*",))
    await telling.sent(2)
    change = WebhookChange(types=("notification.*",))
    assert await bench.store.update_webhook(bench.account, kept.id, change, bench.clock.ms)
    place = (await work_of(bench, kept)).place
    feed = await bench.store.webhook_feed(bench.account, place, events=True, results=True)
    assert feed.ended == ()
    await telling.sent(1)
    feed = await bench.store.webhook_feed(bench.account, place, events=True, results=True)
    assert len(feed.ended) == 1


async def test_secrets_are_changed_only_from_what_they_were(bench: Bench) -> None:
    """Two rotations at one moment: one of them is told."""
    kept = await made(bench)
    assert await bench.store.set_webhook_secrets(bench.account, kept.id, b"sealed", b"new")
    assert not await bench.store.set_webhook_secrets(bench.account, kept.id, b"sealed", b"newer")
    assert await bench.store.webhook_secrets(bench.account, kept.id) == b"new"


async def test_a_place_moves_only_from_where_it_was(bench: Bench) -> None:
    """A sender that was overtaken changes nothing."""
    kept = await made(bench)
    store, before = bench.store, (await work_of(bench, kept)).place
    to = Place(event=before.event + 3, result=before.result + 2, offset=1)
    assert await store.batch_taken(bench.account, kept.id, before, to, at=bench.clock.ms, skipped=2)
    assert (await work_of(bench, kept)).place == to
    assert not await store.batch_taken(bench.account, kept.id, before, to, at=bench.clock.ms)
    failure = Failure(error="no", at=bench.clock.ms, due=bench.clock.ms)
    assert not await store.batch_refused(bench.account, kept.id, before, to, batch(bench), failure, skipped=0)
    work = await work_of(bench, kept)
    assert (work.kept, work.failures, work.webhook.skipped) == (0, 0, 2)


async def test_failures_are_counted_until_one_is_taken(bench: Bench) -> None:
    """And what waited for a receiver that was down is due when it is back."""
    kept = await made(bench)
    store, now = bench.store, bench.clock.ms
    first = await refused(bench, kept, now + 5_000)
    bench.clock.advance(1)
    await refused(bench, kept, now + 9_000_000)
    failure = Failure(error="again", at=bench.clock.ms, due=now + 30_000, held_until=now + 120_000)
    await store.kept_batch_refused(bench.account, kept.id, first.id, failure)
    work = await work_of(bench, kept)
    assert (work.failures, work.held_until, work.kept, work.due) == (3, now + 120_000, 2, now + 30_000)
    assert work.webhook.last_error == "again"
    assert await store.due_batch(bench.account, kept.id, now) is None
    probe = await store.due_batch(bench.account, kept.id, None)
    assert probe is not None
    assert (probe.id, probe.attempts) == (first.id, 2)
    await store.kept_batch_taken(bench.account, kept.id, first.id, now + 1)
    work = await work_of(bench, kept)
    assert (work.failures, work.held_until, work.kept, work.due) == (0, 0, 1, now + 1)
    assert work.webhook.last_success == now + 1


@pytest.mark.parametrize(
    ("change", "at_once"),
    [
        (WebhookChange(state=WebhookState.ACTIVE), True),
        (WebhookChange(url="https://n.example/"), True),
        (WebhookChange(description="x"), False),
        (WebhookChange(types=("device.*",)), False),
    ],
)
async def test_what_waits_is_tried_at_once_when_there_is_reason_to(
    bench: Bench, change: WebhookChange, at_once: bool
) -> None:
    """Made active, or under another address; a new description changes nothing about the back-off."""
    kept, now = await made(bench), bench.clock.ms
    sent = await refused(bench, kept, now + 9_000)
    failure = Failure(error="no", at=now, due=now + 9_000, held_until=now + 9_000)
    await bench.store.kept_batch_refused(bench.account, kept.id, sent.id, failure)
    assert await bench.store.update_webhook(bench.account, kept.id, change, now)
    work = await work_of(bench, kept)
    assert (work.due, work.held_until) == ((now, 0) if at_once else (now + 9_000, now + 9_000))


async def test_a_single_failure_does_not_hurry_the_others(bench: Bench) -> None:
    """Each batch keeps its own back-off while the receiver takes others."""
    kept = await made(bench)
    await refused(bench, kept, bench.clock.ms + 9_000)
    place = (await work_of(bench, kept)).place
    assert await bench.store.batch_taken(bench.account, kept.id, place, place, at=bench.clock.ms)
    assert (await work_of(bench, kept)).due == bench.clock.ms + 9_000


async def test_work_is_what_has_something_to_do(bench: Bench) -> None:
    """Nothing for a webhook without news; nothing for one that is not active; results only for who wants them."""
    telling, store = Telling(bench), bench.store
    operations = await made(bench, types=("device.*",))
    both = await made(bench)
    paused = await made(bench)
    pause = WebhookChange(state=WebhookState.PAUSED)
    assert await store.update_webhook(bench.account, paused.id, pause, bench.clock.ms)
    assert await store.webhook_work() == []
    await bench.accept(recipients_of(1))
    (chunk,) = await store.claim(Lane.TX, 0, limit=1, now=bench.clock.ms, until=bench.clock.ms + 9, worker="w")
    before = {work.webhook.id for work in await store.webhook_work()}
    assert await store.append_records(chunk, [record(0)], Counts())
    assert both.id in {work.webhook.id for work in await store.webhook_work()}
    assert operations.id not in {work.webhook.id for work in await store.webhook_work()} - before
    await telling.emit(1, EventType.DEVICE_REMOVED)
    assert {work.webhook.id for work in await store.webhook_work()} == {operations.id, both.id}


async def test_a_stream_that_is_not_wanted_is_at_its_end(bench: Bench) -> None:
    """Its rows are not read, and are not found again."""
    telling = Telling(bench)
    await made(bench)
    await telling.emit(2)
    await telling.sent(1)
    feed = await bench.store.webhook_feed(bench.account, Place(), events=False, results=False)
    assert (feed.events, feed.ended, feed.more_events, feed.more_ended) == ((), (), False, False)
    rest = await bench.store.webhook_feed(bench.account, feed.to, events=True, results=True)
    assert (rest.events, rest.ended) == ((), ())


async def test_dead_letters_are_paged_newest_first(bench: Bench) -> None:
    """With what was wrong."""
    kept = await made(bench)
    sent = []
    for _ in range(3):
        sent.append(await refused(bench, kept, None))
        bench.clock.advance(1)
    first = await bench.store.list_dead_letters(bench.account, kept.id, Window(limit=2))
    assert [letter.id for letter in first.items] == [sent[2].id, sent[1].id]
    rest = await bench.store.list_dead_letters(bench.account, kept.id, Window(limit=2, after=first.next))
    assert ([letter.id for letter in rest.items], rest.next) == ([sent[0].id], None)
    assert (rest.items[0].error, rest.items[0].attempts) == ("no", 1)


async def test_redelivered_letters_have_three_more_days(bench: Bench) -> None:
    """Due now, counted anew."""
    kept = await made(bench)
    letter = await refused(bench, kept, None)
    bench.clock.advance(1000)
    assert await bench.store.redeliver(bench.account, kept.id, None, bench.clock.ms) == 1
    again = await bench.store.due_batch(bench.account, kept.id, bench.clock.ms)
    assert again is not None
    assert (again.id, again.attempts, again.created) == (letter.id, 0, bench.clock.ms)


async def test_a_deleted_webhook_leaves_nothing(bench: Bench) -> None:
    """Its batches go with it."""
    kept = await made(bench)
    await refused(bench, kept, None)
    assert await bench.store.delete_webhook(bench.account, kept.id)
    assert await bench.store.get_webhook(bench.account, kept.id) is None
    assert not await bench.store.delete_webhook(bench.account, kept.id)


async def test_a_chunk_whose_first_parts_are_gone_is_not_told(bench: Bench) -> None:
    """Without them it is not known what had ended before: nothing is told twice in another way."""
    telling = Telling(bench)
    await made(bench)
    _, (chunk,) = await telling.send(2)
    await telling.end(chunk, [record(0)])
    await telling.end(chunk, [record(0, Outcome.REJECTED, slot=1), record(1)])
    store: Any = bench.store
    await store._write(lambda c: c.execute("DELETE FROM chunk_result WHERE part = 1").fetchall())
    feed = await bench.store.webhook_feed(bench.account, Place(), events=True, results=True)
    assert (feed.ended, feed.more_ended) == ((), False)
    (work,) = await bench.store.webhook_work()
    assert await bench.store.batch_taken(bench.account, work.webhook.id, work.place, feed.to, at=None)
    assert await bench.store.webhook_work() == []


async def test_numbers_of_result_parts_are_never_used_twice(bench: Bench) -> None:
    """A webhook's place stays good when all parts it was told of are gone."""
    telling = Telling(bench)
    kept = await made(bench)
    await telling.sent(1)
    feed = await bench.store.webhook_feed(bench.account, (await work_of(bench, kept)).place, events=True, results=True)
    store: Any = bench.store
    await store._write(lambda c: c.execute("DELETE FROM chunk_result").fetchall())
    await telling.sent(1)
    later = await bench.store.webhook_feed(bench.account, feed.to, events=True, results=True)
    assert len(later.ended) == 1
