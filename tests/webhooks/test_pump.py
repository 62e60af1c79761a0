"""What webhooks are told: everything they asked for, signed, in order, in bounded batches."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path

import msgspec
import pytest
from support.stores import Bench, opened, recipients_of, token_of
from support.telling import SECRET, Telling, record
from support.webhooks import Receiver, receiving, status

from heliogram.domain import ids
from heliogram.domain.notifications import Outcome, Recipient
from heliogram.domain.operations import OperationStatus, cut
from heliogram.domain.webhooks import EventType, WebhookState
from heliogram.ports import WebhookChange
from heliogram.webhooks import signing, verify

pytestmark = pytest.mark.anyio

ACTIVE, PAUSED = WebhookState.ACTIVE, WebhookState.PAUSED


async def test_an_event_is_posted_as_a_signed_batch_of_cloudevents(telling: Telling, receiver: Receiver) -> None:
    """JSON batch mode, the three headers of Standard Webhooks, and a signature that `verify` takes (OWN-35)."""
    await telling.webhook(receiver.url)
    await telling.emit(1, EventType.DEVICE_REMOVED, registrationId="comms_device_registration_x", token="ab")
    await telling.step()
    (got,) = receiver.got
    assert got.path == "/hook"
    assert got.headers["content-type"] == "application/cloudevents-batch+json; charset=utf-8"
    now = telling.bench.clock.time()
    assert verify(SECRET, got.headers, got.body, now) == got.headers["webhook-id"]
    (event,) = got.events
    assert event["id"].startswith("event_")
    assert event | {"id": ""} == {
        "specversion": "1.0",
        "id": "",
        "source": "/accounts/" + ids.encode(ids.ACCOUNT, telling.bench.account),
        "type": "com.heliogram.device.removed",
        "subject": "comms_device_registration_x",
        "time": "2027-01-15T08:00:00.000Z",
        "datacontenttype": "application/json",
        "data": {"registrationId": "comms_device_registration_x", "token": "ab"},
    }


async def test_the_instances_address_is_the_source(bench: Bench, receiver: Receiver) -> None:
    """Where one is set."""
    telling = Telling(bench, public_url="https://push.example.com/")
    await telling.webhook(receiver.url)
    await telling.emit()
    await telling.step()
    assert receiver.events[0]["source"] == "https://push.example.com"


async def test_a_webhook_is_not_told_the_past(telling: Telling, receiver: Receiver) -> None:
    """Neither events nor notifications from before it was made."""
    early = await telling.webhook("http://localhost:1/", "*")
    await telling.emit()
    await telling.sent()
    await telling.webhook(receiver.url)
    await telling.bench.store.delete_webhook(telling.bench.account, early)
    await telling.step()
    assert receiver.got == []
    await telling.emit()
    await telling.step()
    assert receiver.types == ["removed"]


async def test_only_what_is_subscribed_to_is_told(telling: Telling, receiver: Receiver) -> None:
    """Types, groups, nothing else; the rest is passed over and not looked at again."""
    webhook = await telling.webhook(receiver.url, "com.heliogram.notification.failed", "credential.*")
    await telling.emit(3, EventType.DEVICE_REMOVED)
    await telling.emit(1, EventType.CREDENTIAL_FAILING)
    _, (chunk,) = await telling.send(2)
    await telling.end(chunk, [record(0), record(1, Outcome.REJECTED, reason="Unregistered")])
    await telling.step()
    assert sorted(receiver.types) == ["failed", "failing"]
    backlog = await telling.backlog(webhook)
    assert (backlog.waiting, backlog.waiting_parts) == (0, 0)


async def test_a_notification_is_told_with_what_became_of_its_devices(telling: Telling, receiver: Receiver) -> None:
    """Its ids, whom it was for, and one entry for each device."""
    await telling.webhook(receiver.url, "notification.*")
    operation, (chunk,) = await telling.send(1)
    failed = record(0, Outcome.REJECTED, status=410, reason="Unregistered")
    await telling.end(chunk, [failed])
    await telling.step()
    (event,) = receiver.events
    ident = ids.notification_id(operation.id, 0)
    assert event["type"] == "com.heliogram.notification.failed"
    assert event["subject"] == event["data"]["notificationId"] == ids.encode(ids.NOTIFICATION, ident)
    data = event["data"]
    assert data["operationId"] == ids.encode(ids.OPERATION, operation.id)
    assert data["to"] == {"token": token_of(0).hex(), "provider": "APN"}
    assert (data["appName"], data["status"], data["reason"]) == ("shop", "FAILED", "Unregistered")
    assert data["deliveries"][0]["apnsId"] == ids.uuid_text(ident)
    assert data["deliveries"][0]["outcome"] == "REJECTED"


async def test_a_user_of_several_devices_is_sent_with_the_first_that_took_it(
    telling: Telling, receiver: Receiver
) -> None:
    """One event, however many devices answer later."""
    await telling.webhook(receiver.url, "notification.*")
    operation = await telling.bench.accept([Recipient(user=b"u" * 16)])
    (chunk,) = await telling.bench.store.claim(
        operation.lane, 0, limit=1, now=telling.bench.clock.ms, until=telling.bench.clock.ms + 1, worker="w"
    )
    await telling.end(chunk, [record(0, Outcome.REJECTED, slot=1, of=3)])
    await telling.step()
    assert receiver.got == []
    await telling.end(chunk, [record(0, slot=2, of=3)])
    await telling.step()
    await telling.end(chunk, [record(0, slot=3, of=3)])
    await telling.step()
    (event,) = receiver.events
    assert event["type"] == "com.heliogram.notification.sent"
    assert event["data"]["to"] == {"userId": ids.encode(ids.USER, b"u" * 16)}
    assert [each["outcome"] for each in event["data"]["deliveries"]] == ["REJECTED", "ACCEPTED"]


@pytest.mark.parametrize(
    ("outcome", "type_", "reason"),
    [
        (Outcome.UNADDRESSABLE, "com.heliogram.notification.failed", "NoDevice"),
        (Outcome.CANCELED, "com.heliogram.notification.canceled", None),
        (Outcome.UNKNOWN, "com.heliogram.notification.failed", "UNKNOWN"),
    ],
)
async def test_every_way_to_end_is_told(
    telling: Telling, receiver: Receiver, outcome: Outcome, type_: str, reason: str | None
) -> None:
    """Without a device, canceled, without an answer."""
    await telling.webhook(receiver.url, "notification.*")
    _, (chunk,) = await telling.send(1)
    await telling.end(chunk, [record(0, outcome, token=b"")])
    await telling.step()
    (event,) = receiver.events
    assert event["type"] == type_
    assert event["data"].get("reason") == reason
    assert event["data"]["unaddressable"] is (outcome is Outcome.UNADDRESSABLE)
    assert event["data"]["deliveries"] == []


async def test_an_operations_end_comes_after_its_notifications(telling: Telling, receiver: Receiver) -> None:
    """Both streams are merged by time."""
    await telling.webhook(receiver.url)
    operation, (chunk,) = await telling.send(3)
    await telling.end(chunk, [record(n) for n in range(3)])
    await telling.bench.store.finish(chunk, telling.bench.clock.ms)
    await telling.step()
    ends = [each for each in receiver.events if each["type"] != EventType.OPERATION_PROCESSING]
    assert [each["type"].rsplit(".", 1)[1] for each in ends] == ["sent", "sent", "sent", "completed"]
    assert ends[-1]["data"]["operation_id"] == ids.encode(ids.OPERATION, operation.id)


@pytest.mark.parametrize(("events", "batches"), [(100, [100]), (101, [100, 1])])
async def test_a_batch_has_at_most_100_events(
    telling: Telling, receiver: Receiver, events: int, batches: list[int]
) -> None:
    """The hundred-and-first goes with the next, over the same connection."""
    await telling.webhook(receiver.url)
    await telling.emit(events)
    await telling.step()
    assert [len(got.events) for got in receiver.got] == batches
    assert receiver.connections == 1


async def test_a_batch_has_at_most_256_kib(telling: Telling, receiver: Receiver) -> None:
    """Five events of 100 KB go in three batches."""
    await telling.webhook(receiver.url)
    await telling.emit(5, text="x" * 100_000)
    await telling.step()
    assert [len(got.events) for got in receiver.got] == [2, 2, 1]
    assert all(len(got.body) <= 256 * 1024 for got in receiver.got)


async def test_a_large_part_is_cut_into_batches_in_its_order(telling: Telling, receiver: Receiver) -> None:
    """700 notifications of two chunks: each once, in the order they ended."""
    await telling.webhook(receiver.url, "notification.*")
    operation = await telling.sent(700)
    await telling.step()
    assert [len(got.events) for got in receiver.got] == [100] * 7
    wanted = [ids.encode(ids.NOTIFICATION, ids.notification_id(operation.id, n)) for n in range(700)]
    assert [event["subject"] for event in receiver.events] == wanted


async def test_a_new_pump_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    """Places and half-told parts are in the store: after a restart nothing comes twice and nothing is missing."""
    async with receiving() as receiver:
        async with opened(tmp_path) as bench:
            telling = Telling(bench)
            webhook = await telling.webhook(receiver.url, "notification.*")
            operation = await telling.sent(250)
            work = await bench.store.webhook_work_of(bench.account, webhook)
            assert work is not None

            def stop(got: object) -> bytes:
                telling.pump.drain()
                return status(200)

            receiver.answer = stop
            await telling.step()
            assert len(receiver.events) == 100
        receiver.accept()
        async with opened(tmp_path, clock=bench.clock) as bench:
            await Telling(bench).step()
        wanted = [ids.encode(ids.NOTIFICATION, ids.notification_id(operation.id, n)) for n in range(250)]
        assert [event["subject"] for event in receiver.events] == wanted


async def test_nothing_is_posted_while_paused_and_all_of_it_after(telling: Telling, receiver: Receiver) -> None:
    """A paused webhook keeps its place."""
    webhook = await telling.webhook(receiver.url)
    store, account, now = telling.bench.store, telling.bench.account, telling.bench.clock.ms
    assert await store.update_webhook(account, webhook, WebhookChange(state=PAUSED), now)
    await telling.emit(2)
    await telling.step()
    assert receiver.got == []
    assert await store.update_webhook(account, webhook, WebhookChange(state=ACTIVE), now)
    await telling.step()
    assert len(receiver.events) == 2


async def test_two_secrets_sign_while_one_is_turned_over(telling: Telling, receiver: Receiver) -> None:
    """For 24 hours both fit; afterwards the new one alone."""
    held = signing.Secrets(signing.new_secret()).rotated(telling.bench.clock.ms, SECRET)
    assert held.previous is not None
    await telling.webhook(receiver.url, held=held)
    for seconds in (0, signing.OVERLAP_MS // 1000 - 1, 1):
        telling.bench.clock.advance(seconds)
        await telling.emit()
        await telling.step()
    counts = [len(got.headers["webhook-signature"].split(" ")) for got in receiver.got]
    assert counts == [2, 2, 1]
    first, last = receiver.got[0], receiver.got[-1]
    at = float(first.headers["webhook-timestamp"])
    assert verify(held.previous, first.headers, first.body, at) == verify(SECRET, first.headers, first.body, at)
    assert verify(SECRET, last.headers, last.body, telling.bench.clock.time())


async def test_one_slow_receiver_does_not_keep_another_waiting(telling: Telling) -> None:
    """Each has a courier of its own."""
    async with receiving() as quick, receiving() as slow:
        slow.answer = lambda got: b""  # the connection stays open as long as nothing is read from it
        await telling.webhook(slow.url)
        await telling.webhook(quick.url)
        await telling.emit()
        await telling.step()
        assert len(quick.events) == 1


async def test_over_tls_the_hosts_name_is_verified(
    bench: Bench, trust: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """A certificate of localhost serves localhost."""
    telling = Telling(bench, tls=trust)
    async with receiving(server_tls) as receiver:
        await telling.webhook(receiver.url)
        await telling.emit()
        await telling.step()
        assert len(receiver.events) == 1


async def test_ids_stay_the_same_however_often_an_event_is_posted(telling: Telling, receiver: Receiver) -> None:
    """Of the events and of the batch."""
    await telling.webhook(receiver.url)
    await telling.emit()
    await telling.sent()
    receiver.refuse()
    await telling.step()
    receiver.accept()
    await telling.step(10)
    first, second = receiver.got
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


async def test_the_pump_runs_by_itself(telling: Telling, receiver: Receiver) -> None:
    """Looks every half second, and ends when it is drained with nothing under way."""

    clock, pump = telling.bench.clock, telling.pump
    await telling.webhook(receiver.url)
    running = asyncio.create_task(pump.run())
    await clock.timer_set()
    await telling.emit()
    arrived = asyncio.Event()

    def answer(got: object) -> bytes:
        arrived.set()
        return status(200)

    receiver.answer = answer
    clock.advance(0.5)
    await arrived.wait()
    pump.drain()
    await running
    assert json.loads(receiver.got[0].body)[0]["type"] == "com.heliogram.device.removed"
    assert repr(pump) == "Pump(couriers=0, posts=1)"


async def test_an_operations_life_is_told_under_twilios_names(telling: Telling, receiver: Receiver) -> None:
    """Scheduled, processing, completed, each with `operation_id` (TW-71)."""
    bench = telling.bench
    await telling.webhook(receiver.url, "operation.*")
    due = bench.clock.ms + 60_000
    operation = msgspec.structs.replace(
        bench.operation(recipients_of(1)),
        status=OperationStatus.SCHEDULED,
        send_at=due,
        send_at_text="2027-01-15T08:01Z",
    )
    await bench.store.accept(bench.account, operation, cut(operation.id, recipients_of(1)))
    await telling.step(60)
    (chunk,) = await bench.store.claim(operation.lane, 0, limit=1, now=due, until=due + 9, worker="w")
    await telling.end(chunk, [record()])
    await bench.store.finish(chunk, bench.clock.ms)
    await telling.step()
    name = "com.twilio.comms-api.operation."
    assert [each["type"] for each in receiver.events] == [name + "scheduled", name + "processing", name + "completed"]
    assert [each["data"]["status"] for each in receiver.events] == ["SCHEDULED", "PROCESSING", "COMPLETED"]
    assert {each["data"]["operation_id"] for each in receiver.events} == {ids.encode(ids.OPERATION, operation.id)}
    assert receiver.events[0]["data"]["sendAt"] == "2027-01-15T08:01Z"


async def test_a_canceled_operation_is_told_with_each_of_its_notifications(
    telling: Telling, receiver: Receiver
) -> None:
    """Canceled before anything left: the operation, and one event for each recipient."""
    bench = telling.bench
    await telling.webhook(receiver.url)
    operation = await bench.accept(recipients_of(3))
    bench.clock.advance(1)
    await bench.store.cancel_operation(bench.account, operation.id, bench.clock.ms)
    await telling.step()
    ended = [each["type"].removeprefix("com.heliogram.") for each in receiver.events][1:]
    assert sorted(ended) == ["notification.canceled"] * 3 + ["operation.canceled"]


async def test_a_broadcast_is_told_with_its_channel(telling: Telling, receiver: Receiver) -> None:
    """And with no token, for there is none."""
    bench = telling.bench
    await telling.webhook(receiver.url, "notification.*")
    operation = await bench.accept([Recipient(channel="dHN0LXNyY2gtY2hubA==")])
    now = bench.clock.ms
    (chunk,) = await bench.store.claim(operation.lane, 0, limit=1, now=now, until=now + 9, worker="w")
    await telling.end(chunk, [record(0, token=b"dHN0LXNyY2gtY2hubA==")])
    await telling.step()
    (event,) = receiver.events
    assert event["data"]["to"] == {"channelId": "dHN0LXNyY2gtY2hubA=="}
    assert event["data"]["deliveries"][0]["token"] is None


async def test_a_stopped_pump_does_not_wait_for_an_answer(telling: Telling, receiver: Receiver) -> None:
    """What was under way is posted again by the next one."""
    arrived = asyncio.Event()

    def silent(got: object) -> bytes:
        arrived.set()
        return b"HTTP/1.1 "

    receiver.answer = silent
    webhook = await telling.webhook(receiver.url)
    await telling.emit()
    await telling.pump.look()
    await arrived.wait()
    await telling.pump.stop()
    receiver.accept()
    await Telling(telling.bench).step()
    assert receiver.got[0].body == receiver.got[1].body
    assert (await telling.backlog(webhook)).waiting == 0
