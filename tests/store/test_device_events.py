"""What webhooks are told of devices: that one left, why, and that one is quarantined."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.stores import Bench, token_of
from support.telling import Telling

from heliogram.domain import ids
from heliogram.domain.apps import Environment, ProviderName
from heliogram.domain.devices import TokenKind
from heliogram.ports import Place, WebhookChange, Window
from heliogram.store.sqlite.apps import SLICE

pytestmark = pytest.mark.anyio

APN = ProviderName.APN


@pytest.fixture(autouse=True)
async def hook(bench: Bench) -> None:
    """An app, and a webhook that wants to know of devices."""
    await bench.app()
    await Telling(bench).webhook("https://hook.example", "device.*")


async def told(bench: Bench) -> list[tuple[str, str | None, int]]:
    """What was told so far: the event, why, and the number of the token."""
    return [(type_, data.get("reason"), int(data["token"], 16)) for type_, data in await events(bench)]


async def events(bench: Bench) -> list[tuple[str, dict[str, Any]]]:
    feed = await bench.store.webhook_feed(bench.account, Place(), events=True, results=False)
    return [(event.type.removeprefix("com.heliogram."), event.data) for _, event in feed.events]


async def test_an_event_says_which_device_whose_and_why(bench: Bench) -> None:
    """All that a back end needs to keep its own list in step."""
    made = await bench.device(token_of(1), environment=Environment.SANDBOX, kind=TokenKind.VOIP)
    await bench.store.remove_device(bench.account, "shop", APN, token_of(1), dead_since=None, reason="Unregistered")
    assert await events(bench) == [
        (
            "device.removed",
            {
                "registrationId": ids.encode(ids.DEVICE_REGISTRATION, made.registration_id),
                "userId": ids.encode(ids.USER, made.user_id),
                "appName": "shop",
                "token": token_of(1).hex(),
                "provider": "APN",
                "environment": "sandbox",
                "kind": "voip",
                "reason": "Unregistered",
            },
        )
    ]


async def test_registering_tells_who_had_to_leave(bench: Bench) -> None:
    """The installation's older token, the token that moved, the 51st device; and nothing else."""
    first = await bench.device(token_of(1), installation_id="i")
    await bench.device(token_of(1), first.user_id, installation_id="i")
    assert await told(bench) == []
    await bench.device(token_of(2), first.user_id, installation_id="i")
    second = await bench.device(token_of(3))
    await bench.device(token_of(2), second.user_id)
    assert await told(bench) == [
        ("device.removed", "ReplacedByInstallation", 1),
        ("device.removed", "MovedToOtherUser", 2),
    ]
    for number in range(4, 53):
        await bench.device(token_of(number), second.user_id)
    assert (await told(bench))[2:] == [("device.displaced", None, 3)]
    assert (await events(bench))[1][1]["userId"] == ids.encode(ids.USER, first.user_id)


async def test_every_way_out_is_told(bench: Bench) -> None:
    """A device, a registration, a user: by request, each device once."""
    made = await bench.device(token_of(1))
    for number in (2, 3):
        await bench.device(token_of(number), made.user_id)
    other = await bench.device(token_of(4))
    await bench.store.delete_devices(bench.account, made.registration_id, {(APN, token_of(2))})
    await bench.store.delete_registration(bench.account, made.registration_id)
    await bench.store.delete_user(bench.account, other.user_id, bench.clock.ms)
    assert await told(bench) == [
        ("device.removed", "DeletedByRequest", 2),
        ("device.removed", "DeletedByRequest", 1),
        ("device.removed", "DeletedByRequest", 3),
        ("device.removed", "UserDeleted", 4),
    ]


async def test_quarantine_is_told(bench: Bench) -> None:
    """With APNs' word; a verdict that changes nothing is not told."""
    await bench.device(token_of(1))
    store, account, now = bench.store, bench.account, bench.clock.ms
    await store.quarantine_device(account, "shop", APN, token_of(1), reason="BadDeviceToken", at=now - 1)
    await store.quarantine_device(account, "shop", APN, token_of(1), reason="BadDeviceToken", at=now)
    await store.remove_device(account, "shop", APN, token_of(1), dead_since=now, reason="Unregistered")
    assert await told(bench) == [("device.quarantined", "BadDeviceToken", 1)]


@pytest.mark.parametrize("wanted", ["device.*", "app.*", "com.heliogram.app.deleted", "*"])
async def test_the_end_of_an_app_is_told_once_for_all_its_devices(bench: Bench, wanted: str) -> None:
    """By its name, with how many registrations went: now, and not again while slices remove them."""
    going = await bench.app("going")
    hook = await Telling(bench).webhook("https://hook.example", wanted)
    await asyncio.gather(*(bench.device(token_of(number), app_name="going") for number in range(SLICE + 1)))
    await bench.store.delete_credential(bench.account, going.id, bench.clock.ms)
    deleted = ("app.deleted", {"appName": "going", "registrations": SLICE + 1})
    assert await events(bench) == [deleted]
    while await bench.store.remove_leaving_apps():
        assert await events(bench) == [deleted]
    feed = await bench.store.webhook_feed(bench.account, Place(), events=True, results=False)
    assert [event.subject for _, event in feed.events] == ["going"]
    assert (await bench.store.webhook_backlog(bench.account, hook)).waiting == 1


async def test_an_app_that_keeps_a_credential_is_not_told_of(bench: Bench) -> None:
    """Nor is the end of one that nobody asked to be told of."""
    first = await bench.app("going")
    second = await bench.app("going")
    await bench.store.delete_credential(bench.account, first.id, bench.clock.ms)
    assert await events(bench) == []
    (hook,) = (await bench.store.list_webhooks(bench.account, Window())).items
    change = WebhookChange(types=("com.heliogram.device.removed",))
    await bench.store.update_webhook(bench.account, hook.id, change, bench.clock.ms)
    await bench.store.delete_credential(bench.account, second.id, bench.clock.ms)
    assert await events(bench) == []


async def test_an_apps_registrations_are_told_as_far_as_they_are_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound and one past it the same: nothing waits for a million to be counted."""
    for name, devices in (("one", 2), ("other", 3)):
        credential = await bench.app(name)
        for number in range(devices):
            await bench.device(token_of(number), app_name=name)
        monkeypatch.setattr("heliogram.store.sqlite.apps.MOST_USERS", 2)
        await bench.store.delete_credential(bench.account, credential.id, bench.clock.ms)
    assert [data["registrations"] for _, data in await events(bench)] == [2, 2]
