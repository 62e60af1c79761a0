"""Receivers that do not take what they are sent: tried again, held back, given up."""

from __future__ import annotations

import pytest
from support.telling import Telling
from support.webhooks import Receiver, receiving, status

from heliogram.domain.webhooks import DEAD_MS, KEPT_MS, MAX_DEAD, MAX_EVENTS, MAX_KEPT, WebhookState
from heliogram.ports import DeadLetter, WebhookChange, Window

pytestmark = pytest.mark.anyio

HOUR = 3600
DAY = 24 * HOUR


async def dead_letters(telling: Telling, webhook: bytes) -> tuple[DeadLetter, ...]:
    listed = await telling.bench.store.list_dead_letters(telling.bench.account, webhook, Window(limit=1000))
    return listed.items


async def test_a_batch_is_tried_again_after_five_seconds(telling: Telling, receiver: Receiver) -> None:
    """Not before."""
    receiver.refuse(500)
    webhook = await telling.webhook(receiver.url)
    await telling.emit()
    await telling.step()
    await telling.step(4.9)
    assert len(receiver.got) == 1
    receiver.accept()
    await telling.step(0.1)
    assert len(receiver.got) == 2
    assert (await telling.backlog(webhook)).retrying == 0
    known = await telling.state(webhook)
    assert known.last_error == "the receiver answered 500"
    assert known.last_success == telling.bench.clock.ms


async def test_later_batches_go_on_meanwhile(telling: Telling, receiver: Receiver) -> None:
    """One batch that the receiver cannot stand does not stop the others."""
    await telling.webhook(receiver.url)
    receiver.refuse(400)
    await telling.emit(1, name="bad")
    await telling.step()
    receiver.accept()
    await telling.emit(1, name="good")
    await telling.step()
    assert [event["data"]["name"] for event in receiver.events] == ["bad", "good"]


async def test_a_receiver_that_is_down_is_tried_by_one_batch_at_a_time(telling: Telling, receiver: Receiver) -> None:
    """After three failures nothing is posted until it is time for one probe; the rest waits where it is."""
    receiver.refuse(503)
    webhook = await telling.webhook(receiver.url)
    await telling.emit(500)
    await telling.step()
    assert len(receiver.got) == 3
    await telling.step(100)
    assert len(receiver.got) == 3
    await telling.step(20)
    assert len(receiver.got) == 4
    await telling.step(1)
    assert len(receiver.got) == 4
    backlog = await telling.backlog(webhook)
    assert (backlog.retrying, backlog.waiting) == (3, 200)


async def test_when_it_is_back_all_that_waited_goes_at_once(telling: Telling, receiver: Receiver) -> None:
    """The probe that is taken opens the way; every event arrives."""
    receiver.refuse(503)
    webhook = await telling.webhook(receiver.url)
    await telling.emit(500)
    await telling.step()
    receiver.got.clear()
    receiver.accept()
    await telling.step(120)
    assert len({event["id"] for event in receiver.events}) == 500
    backlog = await telling.backlog(webhook)
    assert (backlog.retrying, backlog.waiting, backlog.dead_letters) == (0, 0, 0)


async def test_a_receiver_that_is_down_is_probed_at_least_every_half_hour(telling: Telling, receiver: Receiver) -> None:
    """So that it is noticed when it is back."""
    receiver.refuse(503)
    await telling.webhook(receiver.url)
    await telling.emit()
    for _ in range(6):
        await telling.step(HOUR)
    before = len(receiver.got)
    await telling.step(HOUR / 2)
    assert len(receiver.got) == before + 1


async def test_after_three_days_it_is_a_dead_letter(telling: Telling, receiver: Receiver) -> None:
    """Tried to the end, then listed with what was wrong, and not tried any more."""
    receiver.refuse(500)
    webhook = await telling.webhook(receiver.url)
    await telling.emit(2)
    await telling.step()
    for _ in range(3 * 48 - 1):
        await telling.step(HOUR / 2)
    assert (await telling.backlog(webhook)).dead_letters == 0
    await telling.step(HOUR / 2)
    backlog = await telling.backlog(webhook)
    assert (backlog.retrying, backlog.dead_letters) == (0, 1)
    (letter,) = await dead_letters(telling, webhook)
    assert (letter.events, letter.error) == (2, "the receiver answered 500")
    posted = len(receiver.got)
    await telling.step(DAY)
    assert len(receiver.got) == posted


async def test_a_dead_letter_is_redelivered_under_its_id(telling: Telling, receiver: Receiver) -> None:
    """By id, or all; an id that is none counts nothing."""
    receiver.refuse(500)
    webhook = await telling.webhook(receiver.url)
    await telling.emit()
    await telling.step()
    await telling.step(3 * DAY)
    await telling.step(60)
    (letter,) = await dead_letters(telling, webhook)
    store, account, now = telling.bench.store, telling.bench.account, telling.bench.clock.ms
    assert await store.redeliver(account, webhook, [b"x" * 16], now) == 0
    assert await store.redeliver(account, webhook, [letter.id], now) == 1
    receiver.accept()
    await telling.step(1800)
    assert receiver.got[0].headers["webhook-id"] == receiver.got[-1].headers["webhook-id"]
    assert await dead_letters(telling, webhook) == ()


async def test_retry_after_is_honoured(telling: Telling, receiver: Receiver) -> None:
    """Nothing is posted to the webhook before, new events neither."""
    receiver.refuse(429, "Retry-After: 600")
    await telling.webhook(receiver.url)
    await telling.emit()
    await telling.step()
    await telling.emit()
    await telling.step(599)
    assert len(receiver.got) == 1
    receiver.accept()
    await telling.step(1)
    assert len(receiver.events) == 3


async def test_a_410_disables_the_webhook(telling: Telling, receiver: Receiver) -> None:
    """With its reason; what waited is in the dead letters, and what happens later is not kept."""
    receiver.refuse(500)
    webhook = await telling.webhook(receiver.url)
    await telling.emit()
    await telling.step()
    receiver.refuse(410)
    await telling.emit()
    await telling.step()
    known = await telling.state(webhook)
    assert (known.state, known.disabled_reason) == (
        WebhookState.DISABLED,
        "the receiver answered 410 Gone: it wants no more",
    )
    assert (await telling.backlog(webhook)).dead_letters == 2
    posted = len(receiver.got)
    await telling.emit()
    await telling.step(DAY)
    assert len(receiver.got) == posted


async def test_a_disabled_webhook_starts_anew(telling: Telling, receiver: Receiver) -> None:
    """Made active again, it is told what happens from then on."""
    receiver.refuse(410)
    webhook = await telling.webhook(receiver.url)
    await telling.webhook("http://localhost:1/", "*")
    await telling.emit(1, name="first")
    await telling.step()
    await telling.emit(1, name="missed")
    store, account = telling.bench.store, telling.bench.account
    change = WebhookChange(state=WebhookState.ACTIVE)
    assert await store.update_webhook(account, webhook, change, telling.bench.clock.ms)
    receiver.got.clear()
    receiver.accept()
    await telling.emit(1, name="told")
    await telling.step()
    assert [event["data"]["name"] for event in receiver.events] == ["told"]
    assert (await telling.state(webhook)).disabled_reason == ""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(302, "Location: http://localhost:1/"), "the receiver answered 302: redirects are not followed"),
        (status(404), "the receiver answered 404"),
        (b"", "the connection was closed before an answer came"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "the answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 4000, "the answer's head is over 16384 bytes"),
    ],
)
async def test_what_went_wrong_is_shown(telling: Telling, receiver: Receiver, answer: bytes, error: str) -> None:
    """In words, at the webhook."""
    webhook = await telling.webhook(receiver.url)
    receiver.answer = lambda got: answer
    await telling.emit()
    await telling.step()
    assert (await telling.state(webhook)).last_error.startswith(error)
    assert (await telling.backlog(webhook)).retrying == 1


async def test_an_address_that_nobody_listens_at_is_shown(telling: Telling) -> None:
    """And tried again like any failure."""
    async with receiving() as gone:
        url = gone.url
    webhook = await telling.webhook(url)
    await telling.emit()
    await telling.step()
    assert (await telling.state(webhook)).last_error.startswith("cannot connect to localhost: ")


async def test_at_most_a_hundred_batches_are_kept(telling: Telling, receiver: Receiver) -> None:
    """At the bound no new one is begun: events wait where they are."""
    good = False

    def every_other(got: object) -> bytes:
        nonlocal good
        good = not good
        return status(200 if good else 500)

    receiver.answer = every_other
    webhook = await telling.webhook(receiver.url)
    for _ in range(2 * MAX_KEPT + 20):
        await telling.emit()
        await telling.pump.step()
        telling.bench.clock.advance(0.01)
    backlog = await telling.backlog(webhook)
    assert backlog.retrying == MAX_KEPT
    assert backlog.waiting > 0


async def test_events_older_than_three_days_are_skipped_and_counted(telling: Telling, receiver: Receiver) -> None:
    """A webhook that was paused too long: the bound of the backlog is time."""
    webhook = await telling.webhook(receiver.url, "device.*", "notification.*")
    store, account = telling.bench.store, telling.bench.account
    await store.update_webhook(account, webhook, WebhookChange(state=WebhookState.PAUSED), telling.bench.clock.ms)
    await telling.emit(3, name="old")
    await telling.sent(2)
    telling.bench.clock.advance(KEPT_MS / 1000 + 1)
    await telling.emit(1, name="new")
    await store.update_webhook(account, webhook, WebhookChange(state=WebhookState.ACTIVE), telling.bench.clock.ms)
    await telling.step()
    assert [event["data"].get("name") for event in receiver.events] == ["new"]
    assert (await telling.state(webhook)).skipped == 5


async def test_the_number_of_events_that_wait_is_bounded(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past it the oldest go, and are counted for the webhook that wanted them."""
    assert MAX_EVENTS == 100_000
    monkeypatch.setattr("heliogram.store.sqlite.webhook_sweep.MAX_EVENTS", 5)
    webhook = await telling.webhook("http://localhost:1/", "device.*")
    await telling.emit(5)
    assert await telling.bench.store.sweep_webhooks(telling.bench.clock.ms) == 0
    await telling.emit(2)
    assert await telling.bench.store.sweep_webhooks(telling.bench.clock.ms) == 2
    assert (await telling.state(webhook)).skipped == 2
    assert (await telling.backlog(webhook)).waiting == 5


async def test_events_that_all_were_told_go(telling: Telling, receiver: Receiver) -> None:
    """The table of events holds what somebody waits for."""
    await telling.webhook(receiver.url)
    await telling.emit(3)
    await telling.step()
    assert await telling.bench.store.sweep_webhooks(telling.bench.clock.ms) == 3


async def test_a_sweep_goes_in_slices(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    """No write waits for 100,000 rows; each event is counted once."""
    monkeypatch.setattr("heliogram.store.sqlite.webhook_sweep.MAX_EVENTS", 1)
    monkeypatch.setattr("heliogram.store.sqlite.webhook_sweep.MOST", 2)
    webhook = await telling.webhook("http://localhost:1/", "device.*")
    await telling.emit(6)
    store, now = telling.bench.store, telling.bench.clock.ms
    assert [await store.sweep_webhooks(now) for _ in range(4)] == [2, 2, 1, 0]
    assert (await telling.state(webhook)).skipped == 5


async def test_events_without_a_webhook_left_go(telling: Telling) -> None:
    """Nobody waits for them."""
    webhook = await telling.webhook("http://localhost:1/")
    await telling.emit(3)
    await telling.bench.store.delete_webhook(telling.bench.account, webhook)
    assert await telling.bench.store.sweep_webhooks(telling.bench.clock.ms) == 3


async def test_dead_letters_are_bounded_in_number_and_time(telling: Telling, receiver: Receiver) -> None:
    """A hundred, for thirty days; what goes is counted."""
    receiver.refuse(410)
    webhook = await telling.webhook(receiver.url)
    store, account, clock = telling.bench.store, telling.bench.account, telling.bench.clock
    for _ in range(MAX_DEAD + 1):
        await store.update_webhook(account, webhook, WebhookChange(state=WebhookState.ACTIVE), clock.ms)
        await telling.emit()
        await telling.step(0.01)
    assert (await telling.backlog(webhook)).dead_letters == MAX_DEAD
    assert (await telling.state(webhook)).skipped == 1
    await store.sweep_webhooks(clock.ms + DEAD_MS)
    assert (await telling.backlog(webhook)).dead_letters == 0
    assert (await telling.state(webhook)).skipped == MAX_DEAD + 1


async def test_a_secret_that_does_not_open_is_said_without_showing_it(telling: Telling, receiver: Receiver) -> None:
    """The batch waits for the master key to come back."""
    webhook = await telling.webhook(receiver.url)
    store, account = telling.bench.store, telling.bench.account
    sealed = await store.webhook_secrets(account, webhook)
    assert sealed is not None
    assert await store.set_webhook_secrets(account, webhook, sealed, b"\x01other" + sealed)
    await telling.emit()
    await telling.step()
    assert receiver.got == []
    assert (await telling.state(webhook)).last_error == "its secret cannot be opened: see the server's log"
    assert (await telling.backlog(webhook)).retrying == 1
