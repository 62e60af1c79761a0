"""Tokens of unknown environment, end to end: the API, the delivery and the simulator, with a key for each world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from support.live import Live, living

pytestmark = pytest.mark.anyio


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    """An app with a production and a sandbox key."""
    async with living(tmp_path) as made:
        await made.credential("shop", "APN")
        await made.credential("shop", "APN_SANDBOX")
        yield made


async def registered(live: Live, token: str, **more: Any) -> dict[str, Any]:
    """The registration after the app handed over its token."""
    body = {"appName": "shop", "token": token, "provider": "APN", **more}
    return await live.get(f"/DeviceRegistrations/{(await live.post('/DeviceRegistrations', body))['resourceId']}")


async def sent(live: Live, *to: dict[str, Any]) -> list[dict[str, Any]]:
    """Sends, delivers, and tells what became of each device."""
    operation = str((await live.post("", {"to": list(to), "content": {"body": "Hello"}}))["operationId"])
    assert await live.deliver() == 1
    return await live.deliveries(operation)


async def device_of(live: Live, registration: dict[str, Any]) -> dict[str, Any]:
    (device,) = (await live.get(f"/DeviceRegistrations/{registration['id']}"))["devices"]
    assert isinstance(device, dict)
    return device


@pytest.mark.parametrize(("world", "attempts"), [("production", 1), ("sandbox", 2)])
async def test_the_phones_world_is_found_and_remembered(
    live: Live, world: Literal["production", "sandbox"], attempts: int
) -> None:
    """OWN-33: The app never said its environment: the phone gets the notification all the same, and the next one
    straight.
    """
    phone, token = live.phone(world)
    registration = await registered(live, token)
    assert "environment" not in registration["devices"][0]
    to = {"userId": registration["userId"]}
    (delivery,) = await sent(live, to)
    assert (delivery["outcome"], delivery["environment"], delivery["attempt"]) == ("ACCEPTED", world, attempts)
    device = await device_of(live, registration)
    assert (device["state"], device["environment"], device["environmentLearned"]) == ("active", world, True)
    (again,) = await sent(live, to)
    assert (again["environment"], again["attempt"]) == (world, 1)
    assert len(live.simulator.notifications(phone)) == 2
    renewed = (await registered(live, token))["devices"][0]
    assert (renewed["environment"], renewed["environmentLearned"]) == (world, True)


async def test_a_token_of_neither_world_is_quarantined(live: Live) -> None:
    """Both said no: the reason shows, and the next send has no device to try."""
    registration = await registered(live, "ab" * 32)
    to = {"userId": registration["userId"]}
    (delivery,) = await sent(live, to)
    assert (delivery["outcome"], delivery["reason"], delivery["attempt"]) == ("REJECTED", "BadDeviceToken", 2)
    device = await device_of(live, registration)
    assert (device["state"], device["stateReason"]) == ("quarantined", "BadDeviceToken")
    assert "environment" not in device
    assert await sent(live, to) == []


async def test_what_the_app_said_is_believed(live: Live) -> None:
    """A sandbox token registered as production is quarantined; registered rightly it works again."""
    phone, token = live.phone("sandbox")
    registration = await registered(live, token, environment="production")
    to = {"userId": registration["userId"]}
    (delivery,) = await sent(live, to)
    assert (delivery["reason"], delivery["attempt"]) == ("BadDeviceToken", 1)
    assert (await device_of(live, registration))["state"] == "quarantined"
    await registered(live, token, environment="sandbox", userId=registration["userId"])
    deliveries = await sent(live, to)
    assert [each["outcome"] for each in deliveries] == ["ACCEPTED"]
    assert len(live.simulator.notifications(phone)) == 1


async def test_a_direct_token_finds_its_world(live: Live) -> None:
    """Nobody registered it, and it arrives."""
    phone, token = live.phone("sandbox")
    (delivery,) = await sent(live, {"token": token, "provider": "APN"})
    assert (delivery["outcome"], delivery["environment"], delivery["attempt"]) == ("ACCEPTED", "sandbox", 2)
    assert len(live.simulator.notifications(phone)) == 1


async def test_a_credential_named_for_the_send_is_the_only_one(live: Live) -> None:
    """`from.apn` decides, also against what would have been found."""
    _, token = live.phone("sandbox")
    named = await live.credential("shop", "APN")
    to = [{"token": token, "provider": "APN"}]
    body = {"to": to, "content": {"body": "Hello"}, "from": {"apn": named}}
    operation = str((await live.post("", body))["operationId"])
    await live.deliver()
    (delivery,) = await live.deliveries(operation)
    assert (delivery["reason"], delivery["environment"], delivery["attempt"]) == ("BadDeviceToken", "production", 1)
