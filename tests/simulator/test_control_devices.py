"""The control API on devices, apps, tokens, Live Activities and the delivery log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from support.control import ControlCaller
from support.sim_client import TOPIC, World

from heliogram.simulator.control import ENDPOINTS, apps, build_control, devices
from heliogram.simulator.forward import Forwarder

pytestmark = pytest.mark.anyio

KIND = ("apns-push-type", "alert")
BACKGROUND = ("apns-push-type", "background")
SILENT = b'{"aps":{"content-available":1}}'


class Control(ControlCaller):
    """The control API of a world, called in process."""

    def __init__(self, world: World, http: httpx2.AsyncClient) -> None:
        super().__init__(http)
        self.world = world
        self.device = f"/devices/{world.device.id}"
        self.app = f"{self.device}/apps/{TOPIC}"


@pytest.fixture
async def control(world: World) -> AsyncIterator[Control]:
    forwarder = Forwarder(world.simulator.registry)
    transport = httpx2.ASGITransport(app=build_control(world.simulator, forwarder))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", trust_env=False) as http:
        yield Control(world, http)
    await forwarder.close()


def test_endpoints() -> None:
    """The control API on devices and apps, whole."""
    pinned = (*devices.ENDPOINTS, *apps.ENDPOINTS)
    assert all(each in ENDPOINTS for each in pinned)
    assert sorted(f"{each.method} {each.path}" for each in pinned) == [
        "DELETE /devices/{id}",
        "DELETE /devices/{id}/activities/{activityId}",
        "DELETE /devices/{id}/apps/{bundleId}",
        "DELETE /devices/{id}/apps/{bundleId}/tokens/{deviceToken}",
        "DELETE /devices/{id}/notifications",
        "GET /deliveries/{uniqueId}",
        "GET /devices",
        "GET /devices/{id}",
        "GET /devices/{id}/activities",
        "GET /devices/{id}/apps/{bundleId}/tokens",
        "GET /devices/{id}/deliveries",
        "GET /devices/{id}/log",
        "GET /devices/{id}/notifications",
        "GET /network",
        "PATCH /devices/{id}",
        "PATCH /devices/{id}/apps/{bundleId}",
        "POST /devices",
        "POST /devices/{id}/activities/{activityId}/end",
        "POST /devices/{id}/apps",
        "POST /devices/{id}/apps/{bundleId}/activities",
        "POST /devices/{id}/apps/{bundleId}/launch",
        "POST /devices/{id}/apps/{bundleId}/quit",
        "POST /devices/{id}/apps/{bundleId}/reinstall",
        "POST /devices/{id}/apps/{bundleId}/tokens",
        "POST /devices/{id}/os-reinstall",
        "POST /devices/{id}/restore",
        "PUT /network",
    ]


async def test_offline_and_back(control: Control) -> None:
    """LIFE-6, LIFE-11: a device goes offline, a push waits, it comes back: all of it to be read."""
    changed = await control.call("PATCH", control.device, {"online": False})
    assert (changed["online"], changed["awake"], changed["stored"]) == (False, True, 0)
    reply = await control.world.push()
    assert (await control.call("GET", control.device))["stored"] == 1
    assert (await control.call("GET", f"{control.device}/notifications"))["notifications"] == []
    back = await control.call("PATCH", control.device, {"online": True})
    assert (back["stored"], back["notifications"]) == (0, 1)
    (delivery,) = (await control.call("GET", f"{control.device}/deliveries?limit=1"))["deliveries"]
    assert delivery == await control.call("GET", f"/deliveries/{reply.headers['apns-id']}")
    assert set(delivery) == {"uniqueId", "apnsId", "deviceId", "topic", "pushType", "states", "replacedBy"}
    assert [state["state"] for state in delivery["states"]][::2] == [
        "Received by APNs",
        "Delivered to Device (From Storage)",
    ]
    await control.call("GET", "/deliveries/nothing", status=404)


async def test_asleep(control: Control) -> None:
    """LIFE-8: a device is put to sleep and woken."""
    assert (await control.call("PATCH", control.device, {"awake": False}))["awake"] is False
    await control.world.push(BACKGROUND, body=SILENT)
    assert (await control.call("PATCH", control.device, {"awake": True}))["notifications"] == 1
    lines = (await control.call("GET", f"{control.device}/log"))["lines"]
    assert [line["text"] for line in lines] == ["asleep", "awake", f"{TOPIC} was woken by a background push"]


async def test_network(control: Control) -> None:
    """LIFE-1: cut off from APNs no app registers."""
    assert await control.call("GET", "/network") == {"reachable": True}
    assert await control.call("PUT", "/network", {"reachable": False}) == {"reachable": False}
    assert await control.call("POST", f"{control.app}/launch") == {"error": "APNs cannot be reached"}
    await control.call("PUT", "/network", {"reachable": True})
    assert set(await control.call("POST", f"{control.app}/launch")) == {"deviceToken"}


async def test_restore_and_erase(control: Control) -> None:
    """LIFE-2: a backup on a new device, a system installed anew, a device erased."""
    new = await control.call("POST", f"{control.device}/restore", {"name": "new", "platform": "ipados"}, 201)
    assert (new["name"], new["platform"], new["apps"][0]["deviceToken"]) == ("new", "ipados", None)
    fresh = await control.call("POST", f"{control.device}/os-reinstall")
    assert fresh["apps"][0]["deviceToken"] is None
    await control.call("DELETE", control.device, status=204)
    await control.call("GET", control.device, status=404)
    assert [each["id"] for each in (await control.call("GET", "/devices"))["devices"]] == [new["id"]]


async def test_permission_and_signature(control: Control) -> None:
    """LIFE-4, LIFE-7: what the user allows, and what an app is signed for."""
    changed = await control.call("PATCH", control.app, {"permission": "denied"})
    assert (changed["permission"], changed["deviceToken"]) == ("denied", control.world.token)
    body = {"bundleId": "com.example.dev", "environment": "production", "signedFor": "sandbox"}
    made = await control.call("POST", f"{control.device}/apps", body, 201)
    assert (made["environment"], made["signedFor"], made["registrationPending"]) == ("production", "sandbox", False)
    await control.call("PATCH", control.app, {"permission": "maybe"}, 400)


async def test_token_length(control: Control) -> None:
    """REQ-7: an app's tokens may be of another length, 8 to 200 bytes."""
    for size, status in ((7, 400), (8, 201), (200, 201), (201, 400)):
        body = {"bundleId": f"com.example.b{size}", "environment": "production", "tokenBytes": size}
        await control.call("POST", f"{control.device}/apps", body, status)
    launched = await control.call("POST", f"{control.device}/apps/com.example.b200/launch")
    assert len(launched["deviceToken"]) == 400


async def test_force_quit(control: Control) -> None:
    """LIFE-8: an app that was force-quit is not woken."""
    await control.call("POST", f"{control.app}/quit", status=204)
    await control.world.push(BACKGROUND, body=SILENT)
    assert (await control.call("GET", control.device))["notifications"] == 0


async def test_tokens(control: Control) -> None:
    """LIFE-3: tokens of other kinds are asked for, listed with what to send to them, and given up."""
    made = await control.call("POST", f"{control.app}/tokens", {"kind": "pushToTalk", "name": "room"})
    first, second = (await control.call("GET", f"{control.app}/tokens"))["tokens"]
    assert (first["kind"], first["deviceToken"]) == ("device", control.world.token)
    assert second == {
        "deviceToken": made["deviceToken"], "kind": "pushToTalk", "name": "room", "environment": "production",
        "topic": f"{TOPIC}.voip-ptt",
    }  # fmt: skip
    await control.call("DELETE", f"{control.app}/tokens/{made['deviceToken']}", status=204)
    await control.call("DELETE", f"{control.app}/tokens/{made['deviceToken']}", status=404)
    await control.call("POST", f"{control.app}/tokens", {"kind": "fax"}, 400)


async def test_activities(control: Control) -> None:
    """LA-4: an activity is started, read as a card, ended and swiped away."""
    body = {"attributesType": "Match", "attributes": {"home": "A"}, "contentState": {"score": 0}}
    card = await control.call("POST", f"{control.app}/activities", body, 201)
    assert (card["state"], card["contentState"], len(card["deviceToken"])) == ("active", {"score": 0}, 160)
    path = f"{control.device}/activities"
    assert (await control.call("GET", path))["activities"] == [card]
    ended = await control.call("POST", f"{path}/{card['id']}/end", {"dismissalDate": control.world.clock.now + 60})
    assert (ended["state"], ended["dismissalDate"]) == ("ended", "2027-01-15T08:01:00.000Z")
    await control.call("DELETE", f"{path}/{card['id']}", status=204)
    await control.call("DELETE", f"{path}/{card['id']}", status=404)
    assert (await control.call("GET", control.device))["activities"] == 0


async def test_what_a_notification_says(control: Control) -> None:
    """4.4: thread, category, interruption level and relevance are to be read; clearing takes all away."""
    aps = {
        "alert": "a", "thread-id": "t", "category": "c", "interruption-level": "passive", "relevance-score": 0.5,
    }  # fmt: skip
    await control.world.push(KIND, body=json.dumps({"aps": aps}).encode())
    await control.world.push(KIND, body=b'{"aps":{"alert":"b","interruption-level":"loud","relevance-score":"1"}}')
    first, second = (await control.call("GET", f"{control.device}/notifications"))["notifications"]
    assert (first["threadId"], first["category"], first["interruptionLevel"]) == ("t", "c", "passive")
    assert (first["relevanceScore"], first["presentation"]) == (0.5, "quiet")
    assert (second["interruptionLevel"], second["presentation"], len(second["findings"])) == ("active", "banner", 2)
    await control.call("DELETE", f"{control.device}/notifications", status=204)
    assert (await control.call("GET", f"{control.device}/notifications"))["notifications"] == []


async def test_pages_of_devices(control: Control) -> None:
    """A list of devices is bounded, and read in pieces: 1 to 10,000 at once, 1,000 unless said otherwise."""
    for number in range(3):
        control.world.simulator.add_device(f"phone {number}")
    names = [each["name"] for each in (await control.call("GET", "/devices?skip=1&limit=2"))["devices"]]
    assert names == ["phone 0", "phone 1"]
    assert (await control.call("GET", "/devices?skip=1000000000"))["devices"] == []
    for query in ("limit=0", "limit=10001", "skip=-1", "skip=1000000001", f"skip={2**63 - 1}"):
        await control.call("GET", f"/devices?{query}", status=400)


@pytest.mark.parametrize(
    "path",
    [
        "PATCH /devices/nobody {}",
        "DELETE /devices/nobody",
        "POST /devices/nobody/restore {}",
        "POST /devices/nobody/os-reinstall",
        "DELETE /devices/nobody/notifications",
        "GET /devices/nobody/log",
        "GET /devices/nobody/deliveries",
        "GET /devices/nobody/activities",
        "DELETE /devices/nobody/activities/x",
        "GET /devices/nobody/apps/x/tokens",
        "POST /devices/nobody/apps/x/quit",
    ],
)
async def test_unknown_devices(control: Control, path: str) -> None:
    """What is asked of a device that is not there is answered 404."""
    method, where, *body = path.split(" ")
    await control.call(method, where, json.loads(body[0]) if body else None, 404)
