"""The control API on channels, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from support.control import ControlCaller, control_client
from support.sim_channels import NOWHERE, UUID, Provider, goal
from support.sim_client import TOPIC, World

from heliogram.simulator.control import channels

pytestmark = pytest.mark.anyio

MADE = {"bundleId": TOPIC, "messageStoragePolicy": 1}


class Control(ControlCaller):
    """A world with its control API."""

    def __init__(self, world: World, http: httpx2.AsyncClient) -> None:
        super().__init__(http)
        self.world = world

    async def channel(self, **members: Any) -> str:
        made = await self.call("POST", "/channels", {**MADE, **members}, 201)
        return str(made["channelId"])


@pytest.fixture
async def control(world: World) -> AsyncIterator[Control]:
    async with control_client(world.simulator) as http:
        yield Control(world, http)


def test_endpoints() -> None:
    """The control API on channels, whole."""
    assert sorted(f"{each.method} {each.path}" for each in channels.ENDPOINTS) == [
        "DELETE /channels",
        "DELETE /channels/subscriptions",
        "GET /channels",
        "GET /channels/broadcasts",
        "POST /channels",
        "POST /channels/subscriptions",
    ]


async def test_a_channel_from_nothing(control: Control) -> None:
    """BC-3: made by hand, followed, broadcast to over HTTP/2, looked at."""
    world = control.world
    channel_id = await control.channel()
    following = {"channelId": channel_id, "deviceId": world.device.id, "bundleId": TOPIC}
    followed = await control.call("POST", "/channels/subscriptions", following)
    assert followed == {"deviceId": world.device.id, "bundleId": TOPIC}
    expiration = int(world.clock.now) + 3600
    body = goal(7)
    reply = await Provider(world).broadcast(
        channel_id, ("apns-request-id", UUID), body=body, expiration=str(expiration), priority="5"
    )
    assert reply.status == 200
    (broadcast,) = (await control.call("GET", "/channels/broadcasts", channelId=channel_id))["broadcasts"]
    assert broadcast == {
        "serial": 1,
        "requestId": UUID,
        "uniqueId": reply.headers["apns-unique-id"],
        "at": "2027-01-15T08:00:00.000Z",
        "priority": 5,
        "expiration": expiration,
        "storedUntil": "2027-01-15T09:00:00.000Z",
        "reached": 1,
        "missed": 0,
        "payload": {"aps": {"timestamp": 1_800_000_000, "event": "update", "content-state": {"home": 7}}},
        "findings": [],
    }
    (channel,) = (await control.call("GET", "/channels"))["channels"]
    assert channel == {
        "channelId": channel_id,
        "bundleId": TOPIC,
        "environment": "production",
        "messageStoragePolicy": 1,
        "pushType": "LiveActivity",
        "createdAt": "2027-01-15T08:00:00.000Z",
        "broadcasts": 1,
        "stored": 1,
        "owed": [],
        "subscriptions": [followed],
    }


async def test_channels_are_filtered(control: Control) -> None:
    """By app and by environment; a provider sees in its environment what was made by hand."""
    await control.channel()
    sandbox = await control.channel(environment="sandbox")
    await control.channel(bundleId="com.example.other", environment="sandbox")
    for query, count in (("", 3), (f"?bundleId={TOPIC}", 2), ("?environment=sandbox", 2)):
        assert len((await control.call("GET", f"/channels{query}"))["channels"]) == count
    (found,) = (await control.call("GET", "/channels", bundleId=TOPIC, environment="sandbox"))["channels"]
    assert found["channelId"] == sandbox
    assert await Provider(control.world).ids(listener="manage_sandbox") == [sandbox]


async def test_a_subscription_ends(control: Control) -> None:
    """204; once more is a 404."""
    channel_id = await control.channel()
    following = {"channelId": channel_id, "deviceId": control.world.device.id, "bundleId": TOPIC}
    await control.call("POST", "/channels/subscriptions", following)
    await control.call("DELETE", "/channels/subscriptions", status=204, **following)
    await control.call("DELETE", "/channels/subscriptions", status=404, **following)


async def test_a_channel_is_deleted(control: Control) -> None:
    """BC-2: 204; then it is a 404, and not registered for a provider."""
    channel_id = await control.channel()
    await control.call("DELETE", "/channels", status=204, channelId=channel_id)
    await control.call("DELETE", "/channels", status=404, channelId=channel_id)
    assert (await Provider(control.world).broadcast(channel_id)).reason == "ChannelNotRegistered"


async def test_any_base64_can_be_asked_for(control: Control) -> None:
    """An id with a slash, and with a plus that nobody encoded, is found."""
    channel = control.world.simulator.channels.restore("a+b/c+d=", TOPIC, "production", 0)
    for asked in ("a%2Bb%2Fc%2Bd%3D", "a+b/c+d="):
        assert await control.call("GET", f"/channels/broadcasts?channelId={asked}") == {"broadcasts": []}
    await control.call("DELETE", "/channels?channelId=a+b/c+d=", status=204)
    assert channel.deleted


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"bundleId": "nodots"}, 400),
        ({"bundleId": TOPIC, "messageStoragePolicy": 2}, 400),
        ({"bundleId": TOPIC, "environment": "moon"}, 400),
        ({}, 400),
    ],
)
async def test_bad_channels(control: Control, body: dict[str, Any], status: int) -> None:
    """What cannot be made is a problem that names the field."""
    problem = await control.call("POST", "/channels", body, status)
    assert problem["errors"]


async def test_bad_subscriptions(control: Control) -> None:
    """404 for what is not there, 409 for what does not fit."""
    channel_id = await control.channel(environment="sandbox")
    following = {"channelId": channel_id, "deviceId": control.world.device.id, "bundleId": TOPIC}
    await control.call("POST", "/channels/subscriptions", following, 409)
    for change in ({"channelId": NOWHERE}, {"deviceId": "x"}, {"bundleId": "com.example.none"}):
        await control.call("POST", "/channels/subscriptions", {**following, **change}, 404)
    await control.call("GET", "/channels/broadcasts", status=404, channelId=NOWHERE)
