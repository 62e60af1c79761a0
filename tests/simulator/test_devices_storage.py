"""What happens to a push that its device cannot have now: stored, delivered later, or discarded (LIFE-6, LIFE-7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.sim_client import TOPIC, Clock, World

from heliogram.simulator import Missing, Settings, Simulator
from heliogram.simulator.deliverylog import (
    DELIVERED,
    DELIVERED_STORED,
    DISABLED,
    DISABLED_STORED,
    EXPIRED,
    RECEIVED,
    STATES,
    STORED_OFFLINE,
    STORED_POWER,
    UNREGISTERED,
    UNREGISTERED_STORED,
)
from heliogram.simulator.device import Device
from heliogram.simulator.kinds import Permission
from heliogram.simulator.lockscreen import Arrival
from heliogram.simulator.tables import StoreBy

pytestmark = pytest.mark.anyio

DAY = 86_400
OTHER = "com.example.other"
ALERT = ("apns-push-type", "alert")
LESS = ("apns-priority", "5")


def alert(text: str, **aps: Any) -> bytes:
    return json.dumps({"aps": {"alert": text, **aps}}).encode()


def shown(world: World, device: Device | None = None) -> list[str | None]:
    device = device or world.device
    return [each.body for each in world.simulator.notifications(device.id)]


def states(world: World, limit: int = 100) -> list[list[str]]:
    """Of each push to the device, the oldest push first."""
    records = world.simulator.registry.log.of_device(world.device.id, limit)
    return [[point.state for point in record.states] for record in reversed(records)]


async def push(world: World, text: str, *extra: tuple[str, str], **options: Any) -> None:
    reply = await world.push(*(extra or (ALERT,)), body=alert(text), **options)
    assert reply.status == 200


def test_states() -> None:
    """LIFE-11: the states of the push console, in its words."""
    assert [state.replace("\u2013", "-") for state in STATES] == [
        "Received by APNs",
        "Delivered to Device",
        "Delivered to Device (From Storage)",
        "Stored - Device Offline",
        "Stored - Power Considerations",
        "Discarded - Token Unregistered",
        "Discarded - Token Unregistered (From Storage)",
        "Discarded - Expired",
        "Discarded - Disabled",
        "Discarded - Disabled (From Storage)",
    ]


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


async def test_background_never_wakes_a_device(world: World) -> None:
    """LIFE-8, TYPE-2: a background push is of priority 5, whatever the default is."""
    world.device.wake(False)
    await world.push(("apns-push-type", "background"), body=b'{"aps":{"content-available":1}}')
    assert states(world) == [[RECEIVED, STORED_POWER]]


async def test_unreachable_network(world: World) -> None:
    """LIFE-6: cut off from APNs every device is offline; afterwards each gets what waits for it."""
    registry = world.simulator.registry
    registry.set_reachable(False)
    await push(world, "a")
    assert shown(world) == []
    registry.set_reachable(True)
    assert shown(world) == ["a"]
    assert registry.waiting == {}


async def test_delivery_log_by_unique_id(world: World) -> None:
    """LIFE-12, RESP-4: in the sandbox a push is found by its apns-unique-id, for 7 days."""
    log = world.simulator.registry.log
    device = world.simulator.add_device("sandbox phone")
    world.simulator.install(device.id, TOPIC, "sandbox")
    token = world.simulator.launch(device.id, TOPIC).device_token
    assert token is not None
    client = await world.connect("sandbox")
    reply = await client.push(token, world.bearer)
    unique_id = reply.headers["apns-unique-id"]
    record = log.find(unique_id)
    assert (record.unique_id, record.apns_id, record.device_id) == (unique_id, reply.headers["apns-id"], device.id)
    world.clock.move(7 * DAY)
    assert log.find(unique_id) == record
    world.clock.move(1)
    assert log.of_device(device.id, 1) == []
    with pytest.raises(Missing, match="delivery log"):
        log.find(unique_id)


class TestSmallLog:
    """The bound of the delivery log."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(deliveries=2)

    async def test_oldest_leaves(self, world: World) -> None:
        """LIFE-12: as many pushes as the settings say are in the log, the newest."""
        for text in "abc":
            await push(world, text)
        assert len(world.simulator.registry.log) == 2
        assert "kept=2" in repr(world.simulator.registry.log)


class TestLateUnregistered:
    """410 an hour after the first push."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(unregistered_after=3600)

    async def test_410_comes_late(self, world: World) -> None:
        """LIFE-9, RESP-6: 200 until APNs has noticed by a push, and an hour more; the timestamp is that moment."""
        world.simulator.uninstall(world.device.id, TOPIC)
        world.clock.move(10 * DAY)
        world.bearer = world.signer.token(int(world.clock.now))
        await push(world, "a")
        confirmed = int((world.clock.now + 3600) * 1000)
        world.clock.move(3599)
        await push(world, "b")
        world.clock.move(1)
        reply = await world.push()
        assert (reply.verdict, reply.json["timestamp"]) == ((410, "Unregistered"), confirmed)
        assert states(world) == [[RECEIVED, UNREGISTERED]] * 2

    async def test_old_and_new_token_both_accepted(self, world: World) -> None:
        """LIFE-10: after a re-install both tokens answer 200, and only the new one shows."""
        world.simulator.reinstall(world.device.id, TOPIC)
        new = world.launch()
        await push(world, "old")
        await push(world, "new", token=new)
        assert shown(world) == ["new"]


class TestBudget:
    """Two background pushes an hour."""

    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(background_budget=2)

    async def background(self, world: World, count: int) -> list[str]:
        made = []
        for _ in range(count):
            reply = await world.push(("apns-push-type", "background"), body=b'{"aps":{"content-available":1}}')
            made.append(reply.headers["apns-id"])
        return made

    def woken_by(self, world: World) -> list[str]:
        return [each.apns_id for each in world.simulator.notifications(world.device.id)]

    async def test_newest_is_held(self, world: World) -> None:
        """TYPE-3, LIFE-8: past the budget the device keeps the newest, and hands it over when the hour is over."""
        first, second, _, newest = await self.background(world, 4)
        assert self.woken_by(world) == [first, second]
        world.clock.move(3600)
        assert self.woken_by(world) == [first, second, newest]
        assert (await self.background(world, 1))[0] in self.woken_by(world)
        lines = [line.text for line in world.device.log()]
        assert lines[0] == f"{TOPIC} was woken by a background push"
        assert "its budget is used up" in lines[2]

    async def test_launch_delivers_what_is_held(self, world: World) -> None:
        """LIFE-8: launching the app gives it the background push held, outside its budget."""
        *_, newest = await self.background(world, 3)
        world.launch()
        assert self.woken_by(world)[-1] == newest
        world.clock.move(3600)
        assert len(self.woken_by(world)) == 3

    async def test_alerts_are_not_rationed(self, world: World) -> None:
        """TYPE-3: the budget is for background pushes."""
        for text in "abc":
            await push(world, text)
        assert shown(world) == ["a", "b", "c"]


async def test_force_quit(world: World) -> None:
    """LIFE-8: a force-quit app is not woken; the newest push since then is handed over at its launch."""
    background = {"body": b'{"aps":{"content-available":1}}'}
    registry = world.simulator.registry
    registry.force_quit(world.device.id, TOPIC)
    await world.push(("apns-push-type", "background"), **background)
    registry.force_quit(world.device.id, TOPIC)
    world.launch()
    assert world.simulator.notifications(world.device.id) == []
    registry.force_quit(world.device.id, TOPIC)
    await world.push(("apns-push-type", "background"), **background)
    world.launch()
    await world.push(("apns-push-type", "background"), **background)
    assert len(world.simulator.notifications(world.device.id)) == 2
    assert "force-quit" in " ".join(line.text for line in world.device.log())


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


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("unregistered_after", (0, 31_536_000), (-1, 31_536_001)),
        ("deliveries", (1, 1_000_000), (0, 1_000_001)),
        ("background_budget", (1, None), (0, -1)),
        ("store_by", ("bundle", "topic", "collapse-id"), ("", "device")),
    ],
)
def test_setting_bounds(name: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    """Each setting of devices is taken at its bounds and refused, by name, past them."""
    for value in good:
        assert getattr(Settings(**{name: value}), name) == value
    for value in bad:
        with pytest.raises(ValueError, match=name):
            Settings(**{name: value})
