"""What a webhook is told of APNs' answers to devices and credentials, and GOAWAYs that nobody need be told of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.live import Live, living
from support.policy import Trial

from heliogram.domain.webhooks import Event, Webhook
from heliogram.ports import Place

pytestmark = pytest.mark.anyio


@pytest.fixture
async def trial(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Trial]:
    async with living(tmp_path) as live:
        trial = Trial(live)
        await trial.begin()
        yield trial


async def told(live: Live, hook: Webhook) -> list[Event]:
    """The events of devices and credentials since the webhook is there."""
    await live.alarm.close()
    store, account = live.service.store, live.service.account
    feed = await store.webhook_feed(account, Place(), events=True, results=False)
    return [event for _, event in feed.events if "operation" not in event.type]


async def webhook(live: Live) -> Webhook:
    """One that wants to hear everything."""
    account, now = live.service.account, live.clock.ms
    hook = Webhook(
        account_id=account,
        id=live.service.state.ids.new(),
        url="https://hooks.example.com/",
        types=("*",),
        created=now,
        updated=now,
    )
    await live.service.store.create_webhook(account, hook, b"sealed")
    return hook


@pytest.mark.parametrize(
    ("reason", "type_"),
    [
        ("Unregistered", "device.removed"),
        ("ExpiredToken", "device.removed"),
        ("BadDeviceToken", "device.quarantined"),
        ("DeviceTokenNotForTopic", "device.quarantined"),
        ("InvalidProviderToken", "credential.failing"),
        ("TopicDisallowed", "credential.failing"),
        ("BadCertificate", "credential.failing"),
    ],
)
async def test_a_webhook_hears_what_becomes_of_devices_and_credentials(trial: Trial, reason: str, type_: str) -> None:
    """ERR-1, ERR-5: one event with APNs' word for it."""
    live = trial.live
    hook = await webhook(live)
    more = {"timestamp": live.clock.ms + 1} if type_ == "device.removed" else {}
    live.simulator.faults.add(token=trial.token, reason=reason, **more)
    await trial.send()
    await trial.deliver()
    (event,) = await told(live, hook)
    assert event.type == f"com.heliogram.{type_}"
    assert event.data["reason"] == reason


@pytest.mark.parametrize("reason", ["TooManyRequests", "ServiceUnavailable", "PayloadTooLarge"])
async def test_other_answers_are_no_event_of_a_device(trial: Trial, reason: str) -> None:
    """They say nothing of the token or the credential."""
    hook = await webhook(trial.live)
    trial.live.simulator.faults.add(token=trial.token, reason=reason)
    await trial.send()
    await trial.deliver()
    assert await told(trial.live, hook) == []


@pytest.mark.parametrize("every", [1, 2, 3])
async def test_conn_22_goaway_after_every_few_pushes_loses_nothing(trial: Trial, every: int) -> None:
    """CONN-22: each push comes once, over as many connections as it takes."""
    live = trial.live
    tokens = [live.phone()[1] for _ in range(6)]
    for token in tokens[::every]:
        live.simulator.faults.add(kind="goaway", token=token, next=1)
    before = len(live.simulator.requests(100))
    operations = [await live.send(token) for token in tokens]
    for _ in range(3):
        await trial.deliver(silent=True)
        live.clock.advance(60)
    for operation in operations:
        (delivery,) = await live.deliveries(operation)
        assert delivery["outcome"] == "ACCEPTED"
    new = live.simulator.requests(100)[:-before]
    taken = [each for each in new if each.status == 200]
    assert len({each.apns_id for each in taken}) == len(taken) == 6
    assert len({each.connection for each in taken}) >= 6 // every
