"""Registration and the kinds of token: when an app gets one, which, and for how long (LIFE-1 to LIFE-4)."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from support.sim_client import TOPIC, Clock, World

from heliogram.simulator import Conflict, Forward, Invalid, Missing
from heliogram.simulator.device import App
from heliogram.simulator.kinds import KINDS, PERMISSIONS, TokenKind
from heliogram.simulator.registry import TOKENS_PER_APP, Registry
from heliogram.simulator.tables import PLATFORMS, PUSH_TYPES, Platform

pytestmark = pytest.mark.anyio

ASKED: list[TokenKind] = [kind for kind in KINDS if kind != "liveActivity"]


@pytest.fixture
def registry() -> Registry:
    return Registry(clock=Clock(), rng=random.Random(1))


def installed(registry: Registry, platform: Platform = "ios") -> str:
    device = registry.add_device("a device", platform)
    registry.install(device.id, TOPIC, "production")
    return device.id


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_registers(registry: Registry, platform: Platform) -> None:
    """LIFE-1: an app on any of Apple's platforms gets a device token."""
    assert registry.launch(installed(registry, platform), TOPIC).device_token is not None


def test_offline_registration_fails_and_is_repeated(registry: Registry) -> None:
    """LIFE-1: without a network the failure callback is called; the app tries again when there is one."""
    device_id = installed(registry)
    device, app = registry.device(device_id), registry.app(device_id, TOPIC)
    device.connect(False)
    launch = registry.launch(device_id, TOPIC)
    assert (launch.device_token, launch.error) == (None, "the device is not connected to the network")
    assert (app.registration_pending, app.token) == (True, None)
    device.connect(True)
    (token,) = app.tokens
    assert registry.launch(device_id, TOPIC).device_token == token.value.decode()
    assert not registry.app(device_id, TOPIC).registration_pending
    assert registry.waiting == {}


def test_unreachable_apns(registry: Registry) -> None:
    """LIFE-1: registration fails while APNs cannot be reached, and is repeated."""
    device_id = installed(registry)
    registry.set_reachable(False)
    assert registry.launch(device_id, TOPIC).error == "APNs cannot be reached"
    registry.set_reachable(True)
    assert registry.app(device_id, TOPIC).token is not None


def test_offline_launch_keeps_the_token(registry: Registry) -> None:
    """LIFE-1: a registration that fails changes nothing of the token there is."""
    device_id = installed(registry)
    token = registry.launch(device_id, TOPIC).device_token
    registry.device(device_id).connect(False)
    assert registry.launch(device_id, TOPIC).device_token is None
    registry.device(device_id).connect(True)
    assert registry.launch(device_id, TOPIC).device_token == token


def test_app_id_without_push(registry: Registry) -> None:
    """LIFE-1: an App ID without the push capability cannot register, and trying again does not help."""
    registry.portal = lambda bundle_id: f"{bundle_id} has no Push Notifications capability"
    device_id = installed(registry)
    assert registry.launch(device_id, TOPIC).error == f"{TOPIC} has no Push Notifications capability"
    assert not registry.app(device_id, TOPIC).registration_pending


async def test_app_signed_for_the_other_environment(world: World) -> None:
    """LIFE-4: the entitlement decides; the app believes production, its token is good in the sandbox alone."""
    registry = world.simulator.registry
    app = registry.install(world.device.id, "com.example.dev", "production", signed_for="sandbox")
    token = registry.launch(world.device.id, "com.example.dev").device_token
    assert app.environment == "production"
    reply = await world.push(token=token, topic="com.example.dev")
    assert reply.verdict == (400, "BadDeviceToken")
    client = await world.connect("sandbox")
    assert (await client.push(token or "", world.bearer, topic="com.example.dev")).status == 200


def test_bad_signature(registry: Registry) -> None:
    """An entitlement names production or sandbox."""
    device = registry.add_device("a device", "ios")
    with pytest.raises(Invalid) as caught:
        registry.install(device.id, TOPIC, "production", signed_for="staging")  # type: ignore[arg-type]
    assert caught.value.field == "signedFor"


async def test_each_kind_has_its_own_token(world: World) -> None:
    """LIFE-3, SUR-13: a token for each kind, good for that kind's topic alone."""
    registry = world.simulator.registry
    tokens = {kind: registry.register(world.device.id, TOPIC, kind).device_token for kind in ASKED}
    assert len(set(tokens.values())) == len(ASKED)
    client = await world.connect()
    for kind, token in tokens.items():
        assert token is not None
        row = KINDS[kind]
        header = ("apns-push-type", row.push_type)
        assert (await client.push(token, world.bearer, header, topic=TOPIC + row.suffix)).status == 200
        wrong = TOPIC if row.suffix else TOPIC + ".voip"
        assert (await client.push(token, world.bearer, topic=wrong)).reason == "DeviceTokenNotForTopic"
    held = registry.app(world.device.id, TOPIC).tokens
    assert [token.kind for token in held] == ASKED


def test_kinds_fit_the_push_types() -> None:
    """4.2: the suffix of each kind's topic is that of its push type."""
    for row in KINDS.values():
        assert PUSH_TYPES[row.push_type.encode()].suffix == row.suffix.encode()


def test_same_kind_again_gives_the_same_token(registry: Registry) -> None:
    """LIFE-3: a token for each channel joined, control and type of activity; asked again, the same."""
    device_id = installed(registry)
    names = ("clock", "lamp", "clock")
    clock, lamp, again = (registry.register(device_id, TOPIC, "control", each).device_token for each in names)
    assert clock == again != lamp
    assert registry.register(device_id, TOPIC, "device") == registry.launch(device_id, TOPIC)


@pytest.mark.parametrize(
    ("platform", "kind"),
    [("watchos", "voip"), ("macos", "location"), ("tvos", "liveActivityStart"), ("ipados", "complication")],
)
def test_kinds_a_platform_does_not_have(registry: Registry, platform: Platform, kind: TokenKind) -> None:
    """4.2: no token of a kind that the platform lacks."""
    with pytest.raises(Invalid, match=f"{platform} has no {kind} tokens"):
        registry.register(installed(registry, platform), TOPIC, kind)


@pytest.mark.parametrize(
    ("kind", "name", "field"),
    [
        ("fax", "", "kind"),
        ("liveActivity", "", "kind"),
        ("voip", "x", "name"),
        ("control", "x" * 101, "name"),
    ],
)
def test_bad_kind(registry: Registry, kind: TokenKind, name: str, field: str) -> None:
    """A kind is one of those there are; names are for kinds with several tokens, at most 100 characters."""
    with pytest.raises(Invalid) as caught:
        registry.register(installed(registry), TOPIC, kind, name)
    assert caught.value.field == field


def test_tokens_are_bounded(registry: Registry) -> None:
    """An app holds 1,000 tokens of other kinds, and not one more."""
    device_id = installed(registry)
    for number in range(TOKENS_PER_APP):
        assert registry.register(device_id, TOPIC, "control", str(number)).device_token
    with pytest.raises(Conflict):
        registry.register(device_id, TOPIC, "control", "one more")
    assert registry.register(device_id, TOPIC, "control", "0").device_token


def test_other_kinds_fail_like_the_first(registry: Registry) -> None:
    """LIFE-1: without a network there is no token of any kind."""
    device_id = installed(registry)
    registry.device(device_id).connect(False)
    assert registry.register(device_id, TOPIC, "voip").error == "the device is not connected to the network"


async def test_given_up(world: World) -> None:
    """LIFE-3: leaving a channel or unregistering ends that token and no other."""
    registry = world.simulator.registry
    joined = registry.register(world.device.id, TOPIC, "pushToTalk", "room 1").device_token
    assert joined is not None
    registry.give_up(world.device.id, TOPIC, joined)
    header = ("apns-push-type", "pushtotalk")
    assert (await world.push(header, token=joined, topic=TOPIC + ".voip-ptt")).verdict == (410, "Unregistered")
    assert (await world.push()).status == 200
    registry.give_up(world.device.id, TOPIC, world.token)
    assert (await world.push()).verdict == (410, "Unregistered")
    with pytest.raises(Missing, match="does not hold this token"):
        registry.give_up(world.device.id, TOPIC, world.token)
    assert world.launch() != world.token


async def test_restore_to_a_new_device(world: World) -> None:
    """LIFE-2: the apps of a backup get new tokens on the new device; the old device goes on as it was."""
    registry = world.simulator.registry
    forward = Forward(url="http://x", api_key="a:b")
    registry.install(world.device.id, "com.example.b", "sandbox", forward=forward, token_bytes=54)
    registry.set_permission(world.device.id, TOPIC, "provisional")
    new = registry.restore(world.device.id, "new phone")
    assert (new.name, new.platform, new.notification_count) == ("new phone", "ios", 0)
    assert [(app.bundle_id, app.permission, app.token) for app in new.apps.values()] == [
        (TOPIC, "provisional", None),
        ("com.example.b", "authorized", None),
    ]
    assert new.apps["com.example.b"].forward == forward
    token = registry.launch(new.id, "com.example.b").device_token
    assert token is not None
    assert len(token) == 108
    assert registry.launch(new.id, TOPIC).device_token != world.token
    assert (await world.push()).status == 200
    assert registry.restore(new.id, platform="ipados").platform == "ipados"


async def test_system_installed_anew(world: World) -> None:
    """LIFE-2: after an OS re-install the apps are there, their tokens are not."""
    registry = world.simulator.registry
    voip = registry.register(world.device.id, TOPIC, "voip").device_token
    await world.push()
    registry.reinstall_os(world.device.id)
    assert world.simulator.notifications(world.device.id) == []
    assert (await world.push()).verdict == (410, "Unregistered")
    assert registry.tokens[(voip or "").encode()].state == "unregistered"
    assert world.launch() != world.token


async def test_erased_device(world: World) -> None:
    """LIFE-9: the tokens of a device that is erased end, and what waits for it is lost."""
    registry = world.simulator.registry
    world.device.connect(False)
    await world.push()
    registry.remove_device(world.device.id)
    assert registry.waiting == {}
    assert (await world.push()).verdict == (410, "Unregistered")
    with pytest.raises(Missing):
        registry.device(world.device.id)


def test_permission_bounds(registry: Registry) -> None:
    """Permissions are Apple's four."""
    device_id = installed(registry)
    for permission in PERMISSIONS:
        assert registry.set_permission(device_id, TOPIC, permission).permission == permission
    with pytest.raises(Invalid) as caught:
        registry.set_permission(device_id, TOPIC, "maybe")  # type: ignore[arg-type]
    assert caught.value.field == "permission"


def test_the_newest_log_lines_are_kept(registry: Registry) -> None:
    """A device keeps 200 lines of its log."""
    device = registry.add_device("a device", "ios")
    for number in range(201):
        device.note(str(number))
    assert [line.text for line in device.log()][::199] == ["1", "200"]


def test_a_registered_device_is_small(registry: Registry) -> None:
    """A million devices, each with an app that has registered, fit in 1 GiB: at most 1,000 bytes for one."""
    number = 3000
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(number):
            registry.launch(installed(registry), TOPIC)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / number < 1000


def test_reprs(registry: Registry) -> None:
    """Long-lived objects tell how much they hold; no token is shown whole."""
    device_id = installed(registry)
    registry.launch(device_id, TOPIC)
    (token,) = registry.app(device_id, TOPIC).tokens
    assert token.value.decode() not in repr(token)
    assert repr(App(bundle_id=TOPIC, environment="sandbox", signed_for="sandbox")).endswith("registered=False>")
    assert repr(registry.activities) == "<LiveActivities channels=0>"
