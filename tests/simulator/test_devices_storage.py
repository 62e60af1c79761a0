"""What happens to a push that its device cannot have now: stored, delivered later, or discarded (LIFE-6, LIFE-7)."""

from __future__ import annotations

import pytest
from support.phones import ALERT, DAY, alert, push, shown, states
from support.sim_client import TOPIC, Clock, World

from heliogram.simulator import Settings, Simulator
from heliogram.simulator.deliverylog import (
    DELIVERED,
    DELIVERED_STORED,
    DISABLED,
    DISABLED_STORED,
    EXPIRED,
    RECEIVED,
    STORED_OFFLINE,
    STORED_POWER,
    UNREGISTERED_STORED,
)
from heliogram.simulator.kinds import Permission
from heliogram.simulator.lockscreen import Arrival
from heliogram.simulator.tables import StoreBy

pytestmark = pytest.mark.anyio


OTHER = "com.example.other"
LESS = ("apns-priority", "5")


async def test_online_is_delivered_at_once(world: World) -> None:
    """LIFE-7, LIFE-11: received and delivered are two data points."""
    await push(world, "a")
    assert states(world) == [[RECEIVED, DELIVERED]]


async def test_newest_is_kept_for_an_offline_device(world: World) -> None:
    """LIFE-6: one notification for each app waits, the newest; it arrives when the device is online."""
    world.device.connect(False)
    await push(world, "a")
    await push(world, "b")
    assert shown(world) == []
    assert world.device.waiting == 1
    world.clock.move(60)
    world.device.connect(True)
    assert shown(world) == ["b"]
    assert states(world) == [
        [RECEIVED, STORED_OFFLINE],
        [RECEIVED, STORED_OFFLINE, DELIVERED_STORED],
    ]
    newest, replaced = world.simulator.registry.log.of_device(world.device.id, 10)
    assert replaced.replaced_by == newest.apns_id
    assert newest.states[-1].at == "2027-01-15T08:01:00.000Z"


async def test_each_app_has_a_place_of_its_own(world: World) -> None:
    """LIFE-6: what is stored of one app takes no place from another."""
    world.simulator.install(world.device.id, OTHER)
    other = world.simulator.launch(world.device.id, OTHER).device_token
    world.device.connect(False)
    await push(world, "a")
    await push(world, "b", token=other, topic=OTHER)
    world.device.connect(True)
    assert shown(world) == ["a", "b"]


@pytest.mark.parametrize(
    ("choice", "kept"),
    [("bundle", ["voip"]), ("topic", ["y", "voip"]), ("collapse-id", ["x", "y", "voip"])],
)
def test_what_counts_as_one(choice: StoreBy, kept: list[str]) -> None:
    """LIFE-6: by app as documented; by topic or collapse id where the operator chose so."""
    simulator = Simulator(clock=Clock(), settings=Settings(store_by=choice))
    registry = simulator.registry
    device = simulator.add_device("a phone")
    simulator.install(device.id, TOPIC)
    simulator.launch(device.id, TOPIC)
    registry.register(device.id, TOPIC, "voip")
    alerts, voip = registry.app(device.id, TOPIC).tokens
    device.connect(False)
    for collapse in (b"x", b"y"):
        alerts.receive(arrival(collapse.decode(), collapse_id=collapse, topic=alerts.topic))
    voip.receive(arrival("voip", push_type=b"voip", topic=voip.topic))
    device.connect(True)
    assert [each.body for each in simulator.notifications(device.id)] == kept


def arrival(text: str, *, push_type: bytes = b"alert", collapse_id: bytes | None = None, topic: bytes) -> Arrival:
    return Arrival(text.encode(), None, topic, push_type, None, collapse_id, alert(text), 1_800_000_000.0)


@pytest.mark.parametrize("expiration", ["0", "1", "1799999999", "1800000000"])
async def test_one_attempt(world: World, expiration: str) -> None:
    """LIFE-6, REQ-2: expiration 0, or in the past, is one attempt: an online device gets it, for others it is lost."""
    await push(world, "a", ALERT, ("apns-expiration", expiration))
    world.device.connect(False)
    await push(world, "b", ALERT, ("apns-expiration", expiration))
    world.device.connect(True)
    assert shown(world) == ["a"]
    assert states(world)[-1] == [RECEIVED, EXPIRED]


@pytest.mark.parametrize(("seconds", "arrives"), [(99, True), (100, False)])
async def test_stored_until_its_expiration(world: World, seconds: int, arrives: bool) -> None:
    """LIFE-6: kept until apns-expiration and no longer, which the log says at that moment."""
    world.device.connect(False)
    await push(world, "a", ALERT, ("apns-expiration", str(int(world.clock.now) + 100)))
    world.clock.move(seconds)
    world.device.connect(True)
    assert shown(world) == (["a"] if arrives else [])
    (record,) = world.simulator.registry.log.of_device(world.device.id, 1)
    state = DELIVERED_STORED if arrives else EXPIRED
    assert record.states[-1].state == state


@pytest.mark.parametrize("expiration", [None, "999999999999999999"])
@pytest.mark.parametrize(("days", "arrives"), [(29.99, True), (30, False)])
async def test_thirty_days_at_most(world: World, expiration: str | None, days: float, arrives: bool) -> None:
    """LIFE-6: kept for 30 days, without an expiration or with a later one."""
    world.device.connect(False)
    await push(world, "a", ALERT, *([] if expiration is None else [("apns-expiration", expiration)]))
    world.clock.move(days * DAY)
    world.device.connect(True)
    assert shown(world) == (["a"] if arrives else [])


async def test_expiry_happens_at_its_moment(world: World) -> None:
    """LIFE-11: when the clock is moved past the end, the log has the end's own time."""
    world.device.connect(False)
    await push(world, "a", ALERT, ("apns-expiration", str(int(world.clock.now) + 100)))
    world.simulator.time.advance(500)
    assert world.device.waiting == 0
    (record,) = world.simulator.registry.log.of_device(world.device.id, 1)
    assert record.states[-1].at == "2027-01-15T08:01:40.000Z"


async def test_a_replaced_one_ends_nothing(world: World) -> None:
    """LIFE-6: what has been replaced does not take the newer one with it when its own time is over."""
    world.device.connect(False)
    await push(world, "a", ALERT, ("apns-expiration", str(int(world.clock.now) + 100)))
    await push(world, "b")
    world.simulator.time.advance(500)
    assert world.device.waiting == 1
    await push(world, "c", ALERT, ("apns-expiration", str(int(world.clock.now) + 600)))
    world.simulator.time.advance(50)
    assert world.device.waiting == 1
    world.simulator.time.advance(100)
    assert world.device.waiting == 0


async def test_uninstalled_while_stored(world: World) -> None:
    """LIFE-11: what waits for a token that has ended is discarded when the device is back."""
    world.device.connect(False)
    await push(world, "a")
    world.simulator.reinstall(world.device.id, TOPIC)
    world.device.connect(True)
    assert shown(world) == []
    assert states(world) == [[RECEIVED, STORED_OFFLINE, UNREGISTERED_STORED]]


@pytest.mark.parametrize("permission", ["denied", "notDetermined"])
async def test_without_permission(world: World, permission: Permission) -> None:
    """LIFE-7, LIFE-11: the token stays; alerts are discarded, also from storage and for an offline device."""
    world.device.connect(False)
    await push(world, "a")
    world.simulator.registry.set_permission(world.device.id, TOPIC, permission)
    await push(world, "b")
    world.device.connect(True)
    assert world.launch() == world.token
    await push(world, "c")
    assert shown(world) == []
    assert states(world) == [
        [RECEIVED, STORED_OFFLINE, DISABLED_STORED],
        [RECEIVED, DISABLED],
        [RECEIVED, DISABLED],
    ]


async def test_content_available_needs_no_permission(world: World) -> None:
    """LIFE-7: a push that also wakes the app reaches it; nothing is shown."""
    world.simulator.registry.set_permission(world.device.id, TOPIC, "denied")
    await world.push(ALERT, body=alert("a", **{"content-available": 1}))
    await world.push(("apns-push-type", "background"), body=b'{"aps":{"content-available":1}}')
    assert [each.presentation for each in world.simulator.notifications(world.device.id)] == ["none", "none"]


async def test_provisional_permission_is_quiet(world: World) -> None:
    """LIFE-7: provisional alerts are in the list, quietly."""
    world.simulator.registry.set_permission(world.device.id, TOPIC, "provisional")
    await push(world, "a")
    (one,) = world.simulator.notifications(world.device.id)
    assert (one.body, one.presentation) == ("a", "quiet")


async def test_asleep(world: World) -> None:
    """LIFE-8: priority 10 wakes the device, and 5 comes with it; 1 waits until somebody uses the device."""
    for bundle_id in (OTHER, "com.example.third"):
        world.simulator.install(world.device.id, bundle_id)
    other, third = (world.simulator.launch(world.device.id, each).device_token for each in (OTHER, "com.example.third"))
    world.device.wake(False)
    await push(world, "five", ALERT, LESS, token=other, topic=OTHER)
    await push(world, "one", ALERT, ("apns-priority", "1"), token=third, topic="com.example.third")
    assert shown(world) == []
    await push(world, "ten")
    assert shown(world) == ["ten", "five"]
    world.device.wake(True)
    assert shown(world) == ["ten", "five", "one"]
    stored = [RECEIVED, STORED_POWER, DELIVERED_STORED]
    assert states(world) == [stored, stored, [RECEIVED, DELIVERED]]


async def test_asleep_and_not_to_be_stored(world: World) -> None:
    """LIFE-7: a power reservation discards what may not be stored."""
    world.device.wake(False)
    await push(world, "a", ALERT, LESS, ("apns-expiration", "0"))
    assert states(world) == [[RECEIVED, EXPIRED]]


async def test_unreachable_network(world: World) -> None:
    """LIFE-6: cut off from APNs every device is offline; afterwards each gets what waits for it."""
    registry = world.simulator.registry
    registry.set_reachable(False)
    await push(world, "a")
    assert shown(world) == []
    registry.set_reachable(True)
    assert shown(world) == ["a"]
    assert registry.waiting == {}


async def test_watching(world: World) -> None:
    """What happens to notifications is told to whoever watches."""
    watcher = world.simulator.apns.feed.subscribe()
    collapse = ("apns-collapse-id", "x")
    await push(world, "a", ALERT, collapse)
    await push(world, "b", ALERT, collapse)
    world.device.connect(False)
    await push(world, "c")
    world.device.connect(True)
    world.device.clear_notifications()
    events = [event for event in await watcher.take() if event.kind in ("notification", "device")]
    changes = [event.data["change"] for event in events if isinstance(event.data, dict)]
    assert changes == ["shown", "replaced", "changed", "held", "changed", "shown", "cleared"]
    watcher.close()
