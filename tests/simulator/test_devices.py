"""Virtual devices: registration, the life of tokens, and what stands on the lock screen."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from support.sim_client import TOPIC, Clock, World

from heliogram.simulator import Conflict, Forward, Invalid, Missing, Settings
from heliogram.simulator.lockscreen import Arrival, LockScreen, read
from heliogram.simulator.registry import Registry
from heliogram.simulator.tables import PLATFORMS, Platform

pytestmark = pytest.mark.anyio


@pytest.fixture
def registry() -> Registry:
    return Registry(clock=Clock(), rng=random.Random(1))


def installed(registry: Registry, platform: Platform = "ios", **options: Any) -> str:
    device = registry.add_device("a device", platform)
    registry.install(device.id, TOPIC, "production", **options)
    return device.id


def test_token_stays_the_same_between_launches(registry: Registry) -> None:
    """LIFE-1, LIFE-3: every launch registers; without a reinstall the token is the same, 64 hex digits."""
    device_id = installed(registry)
    first = registry.launch(device_id, TOPIC).device_token
    assert first == registry.launch(device_id, TOPIC).device_token
    assert first is not None
    assert len(bytes.fromhex(first)) == 32


def test_tokens_differ_by_app_and_device(registry: Registry) -> None:
    """LIFE-3: one token per app and device."""
    one, two = installed(registry), installed(registry)
    registry.install(one, "com.example.other", "sandbox")
    tokens = {
        registry.launch(one, TOPIC).device_token,
        registry.launch(two, TOPIC).device_token,
        registry.launch(one, "com.example.other").device_token,
    }
    assert len(tokens) == 3


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("entitlement", [True, False, "aps-environment", "com.apple.developer.aps-environment", "x"])
def test_entitlement(registry: Registry, platform: Platform, entitlement: bool | str) -> None:
    """LIFE-4: an app registers only with its platform's entitlement; macOS has another name for it."""
    device_id = installed(registry, platform, entitlement=entitlement)
    launch = registry.launch(device_id, TOPIC)
    own = "com.apple.developer.aps-environment" if platform == "macos" else "aps-environment"
    if entitlement in (True, own):
        assert launch.error is None
        assert launch.device_token is not None
    else:
        assert launch.device_token is None
        assert launch.error == f"no valid “{own}” entitlement string found for application"


async def test_reinstall_ends_the_old_token(world: World) -> None:
    """LIFE-2: the old token answers 410 with the time of the reinstall, the new one is another and works."""
    world.simulator.reinstall(world.device.id, TOPIC)
    died = int(world.clock.now * 1000)
    world.clock.move(5)
    new = world.launch()
    assert new != world.token
    reply = await world.push()
    assert (reply.verdict, reply.json["timestamp"]) == ((410, "Unregistered"), died)
    assert (await world.push(token=new)).status == 200


async def test_uninstall_takes_the_notifications_along(world: World) -> None:
    """What an app showed goes with it; what others showed stays."""
    world.simulator.install(world.device.id, "com.example.other")
    other = world.simulator.launch(world.device.id, "com.example.other").device_token
    await world.push()
    await world.push(token=other, topic="com.example.other")
    world.simulator.uninstall(world.device.id, TOPIC)
    assert [shown.topic for shown in world.simulator.notifications(world.device.id)] == ["com.example.other"]


async def test_notification_is_shown_in_full(world: World) -> None:
    """A push is on the device when its answer is sent, with everything that was in it."""
    payload = {
        "aps": {"alert": {"title": "T", "subtitle": "S", "body": "B"}, "badge": 3, "sound": "default"},
        "order": 7,
    }
    reply = await world.push(
        ("apns-push-type", "alert"),
        ("apns-priority", "5"),
        ("apns-collapse-id", "order-7"),
        body=json.dumps(payload).encode(),
    )
    (shown,) = world.simulator.notifications(world.device.id)
    assert (shown.title, shown.subtitle, shown.body, shown.badge, shown.sound) == ("T", "S", "B", 3, "default")
    assert (shown.push_type, shown.kind, shown.priority, shown.collapse_id) == ("alert", "alert", 5, "order-7")
    assert shown.payload == payload
    assert (shown.apns_id, shown.unique_id, shown.topic) == (reply.headers["apns-id"], None, TOPIC)
    assert shown.received_at == "2027-01-15T08:00:00.000Z"


async def test_rejected_push_is_not_shown(world: World) -> None:
    """Only what was answered 200 reaches a device."""
    await world.push(("apns-priority", "x"))
    assert world.simulator.notifications(world.device.id) == []


async def test_same_collapse_id_replaces(world: World) -> None:
    """LIFE-8: the new one takes the old one's place, as the newest; other ids and none stay."""
    for text, collapse in (("a", "x"), ("b", "y"), ("c", None), ("d", "x"), ("e", None)):
        extra = () if collapse is None else (("apns-collapse-id", collapse),)
        assert (await world.push(*extra, body=json.dumps({"aps": {"alert": text}}).encode())).status == 200
    assert [shown.body for shown in world.simulator.notifications(world.device.id)] == ["b", "c", "d", "e"]


async def test_same_collapse_id_of_another_app_does_not_replace(world: World) -> None:
    """LIFE-8: a collapse id counts within its app."""
    world.simulator.install(world.device.id, "com.example.other")
    other = world.simulator.launch(world.device.id, "com.example.other").device_token
    await world.push(("apns-collapse-id", "x"))
    await world.push(("apns-collapse-id", "x"), token=other, topic="com.example.other")
    assert len(world.simulator.notifications(world.device.id)) == 2


async def test_background_push_is_listed_as_such(world: World) -> None:
    """A silent push is there, of kind background, told by its type or by its payload."""
    await world.push(("apns-push-type", "background"), body=b'{"aps":{"content-available":1}}')
    await world.push(body=b'{"aps":{"content-available":1}}')
    assert [shown.kind for shown in world.simulator.notifications(world.device.id)] == ["background"] * 2


def arrival(body: bytes, at: int = 0) -> Arrival:
    return Arrival(b"%d" % at, None, TOPIC.encode(), None, None, None, body, 0.0)


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"aps":1}', "aps is 1, not a dictionary"),
        (b'{"aps":{"alert":1}}', "aps.alert"),
        (b'{"aps":{"badge":"1"}}', "aps.badge"),
        (b'{"aps":{"badge":true}}', "aps.badge"),
        (b'{"aps":{"sound":1}}', "aps.sound"),
    ],
)
def test_odd_payloads_are_shown_with_a_finding(body: bytes, finding: str) -> None:
    """SIZE-3: whatever was accepted can be looked at."""
    assert any(finding in each for each in read(arrival(body)).findings)


def test_localised_alert_shows_its_key() -> None:
    """4.4: without the app's translation a device shows the key."""
    shown = read(arrival(b'{"aps":{"alert":{"title-loc-key":"T","loc-key":"B"}}}'))
    assert (shown.title, shown.body) == ("T", "B")


def test_lock_screen_is_bounded() -> None:
    """The bound on what a device keeps: the oldest leaves."""
    screen = LockScreen(3)
    for at in range(4):
        screen.add(arrival(b"{}", at))
    assert [shown.apns_id for shown in screen.read()] == ["1", "2", "3"]
    assert "notifications=3" in repr(screen)


async def test_request_log(world: World) -> None:
    """Every request is written down, newest first, with its outcome and the device it was for."""
    await world.push(("apns-push-type", "alert"))
    world.clock.move(1)
    await world.push(token="00" * 32)
    world.simulator.uninstall(world.device.id, TOPIC)
    await world.push()
    gone, bad, good = world.simulator.requests()
    assert (good.status, good.reason, good.device) == (200, None, world.device.id)
    assert (good.method, good.path, good.listener) == ("POST", f"/3/device/{world.token}", "production")
    assert (good.topic, good.push_type, good.connection) == (TOPIC, "alert", 1)
    assert (bad.status, bad.reason, bad.device) == (400, "BadDeviceToken", None)
    assert (gone.status, gone.reason, gone.device) == (410, "Unregistered", world.device.id)
    assert world.simulator.requests(1) == [gone]
    assert world.simulator.apns.journal.outcomes == {"Accepted": 1, "BadDeviceToken": 1, "Unregistered": 1}


class TestSmallJournal:
    """The ring of requests."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(journal=2)

    async def test_ring_is_bounded(self, world: World) -> None:
        """The bound on requests remembered: the oldest leaves, the counters count on."""
        client = await world.connect()
        for _ in range(3):
            await client.push(world.token, world.bearer)
        assert len(world.simulator.requests()) == 2
        assert world.simulator.apns.journal.answered == 3


@pytest.mark.parametrize("bundle_id", ["", "example", ".com.example", "com..example", "com.exa_mple", "é.b", "a." * 80])
def test_bad_bundle_id(registry: Registry, bundle_id: str) -> None:
    """A bundle id is letters, digits and hyphens in parts joined by dots."""
    device = registry.add_device("a device", "ios")
    with pytest.raises(Invalid) as caught:
        registry.install(device.id, bundle_id, "production")
    assert caught.value.field == "bundleId"


def test_bundle_id_bound(registry: Registry) -> None:
    """155 characters are the longest bundle id, 156 are too many."""
    device = registry.add_device("a device", "ios")
    registry.install(device.id, "a." + "b" * 153, "production")
    with pytest.raises(Invalid):
        registry.install(device.id, "a." + "b" * 154, "production")


def test_device_bounds(registry: Registry) -> None:
    """A device's name has 1 to 100 characters and its platform is one of Apple's."""
    registry.add_device("x" * 100, "tvos")
    for name, platform, field in (("", "ios", "name"), ("x" * 101, "ios", "name"), ("x", "android", "platform")):
        with pytest.raises(Invalid) as caught:
            registry.add_device(name, platform)  # type: ignore[arg-type]
        assert caught.value.field == field


def test_install_bounds(registry: Registry) -> None:
    """Environment and token length are checked by name; an app is installed once."""
    device_id = installed(registry)
    with pytest.raises(Conflict):
        registry.install(device_id, TOPIC, "production")
    with pytest.raises(Invalid, match="environment"):
        registry.install(device_id, "com.example.b", "staging")  # type: ignore[arg-type]
    for size in (7, 201):
        with pytest.raises(Invalid, match="token_bytes"):
            registry.install(device_id, "com.example.b", "production", token_bytes=size)


@pytest.mark.parametrize(
    ("forward", "field"),
    [
        (Forward(url="ftp://x", api_key="a:b"), "forward.url"),
        (Forward(url="http://x"), "forward"),
        (Forward(url="http://x", api_key="a:b", registration_token="c"), "forward"),
        (Forward(url="http://x", api_key="ab"), "forward.apiKey"),
        (Forward(url="http://x", api_key=":b"), "forward.apiKey"),
        (Forward(url="http://x", registration_token=""), "forward.registrationToken"),
    ],
)
def test_bad_forward(registry: Registry, forward: Forward, field: str) -> None:
    """A forward has an HTTP address and exactly one credential, and never shows it."""
    device = registry.add_device("a device", "ios")
    with pytest.raises(Invalid) as caught:
        registry.install(device.id, TOPIC, "production", forward=forward)
    assert caught.value.field == field


def test_forward_hides_its_secrets() -> None:
    """No credential in a repr."""
    forward = Forward(url="http://x", api_key="id:hush", registration_token="hush")
    assert "hush" not in repr(forward)


def test_what_is_missing(registry: Registry) -> None:
    """Unknown devices and apps are Missing, with the name in the message."""
    device = registry.add_device("a device", "ios")
    for call in (registry.launch, registry.reinstall, registry.uninstall, registry.expire):
        with pytest.raises(Missing, match="not installed"):
            call(device.id, TOPIC)
        with pytest.raises(Missing, match="no device"):
            call("nobody", TOPIC)


def test_reprs_have_counts(registry: Registry) -> None:
    """Long-lived objects tell how much they hold."""
    device_id = installed(registry)
    registry.launch(device_id, TOPIC)
    assert repr(registry) == "<Registry devices=1 tokens=1>"
    assert "apps=1 notifications=0" in repr(registry.device(device_id))
