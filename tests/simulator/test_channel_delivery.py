"""What reaches the devices that follow a channel, at once and later (BC-2, BC-3)."""

from __future__ import annotations

import pytest
from support.sim_channels import NOWHERE, goal
from support.sim_client import TOPIC, Clock

from heliogram.simulator import Conflict, Device, Invalid, Missing, Settings, Simulator
from heliogram.simulator.channel import HISTORY, Channel
from heliogram.simulator.lockscreen import Arrival
from heliogram.simulator.tables import Environment, Platform

HOUR = 3600


class Audience:
    """A simulator without sockets: one channel of each policy, and iPhones whose network can be taken away."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.simulator = Simulator(clock=self.clock, settings=Settings(channels_per_app=100))
        self.channels = self.simulator.channels
        self.fleeting = self.channels.create(TOPIC, "production", 0)
        self.stored = self.channels.create(TOPIC, "production", 1)
        self.serial = 0
        self.away: set[str] = set()
        self.channels.reachable = lambda device: device.id not in self.away

    def device(self, *channels: Channel, platform: Platform = "ios", environment: Environment = "production") -> str:
        device = self.simulator.add_device("iPhone", platform)
        self.simulator.install(device.id, TOPIC, environment)
        for channel in channels:
            self.channels.subscribe(device.id, TOPIC, channel.id)
        return device.id

    def send(self, channel: Channel, expiration: int = 0, priority: bytes = b"10") -> int:
        """A broadcast; the number that the devices will see in it."""
        self.serial += 1
        now = self.simulator.apns.clock()
        arrival = Arrival(
            b"0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b",
            None,
            TOPIC.encode() + b".push-type.liveactivity",
            b"liveactivity",
            priority,
            None,
            goal(self.serial, timestamp=int(now)),
            now,
            channel=channel.id.encode(),
        )
        self.channels.broadcast(channel, arrival, expiration)
        return self.serial

    def after(self, seconds: float) -> int:
        return int(self.clock.now + self.simulator.time.offset + seconds)

    def seen(self, device_id: str) -> list[int]:
        return [note.payload["aps"]["content-state"]["home"] for note in self.simulator.notifications(device_id)]

    def offline(self, device_id: str) -> None:
        self.away.add(device_id)

    def online(self, device_id: str) -> None:
        self.away.discard(device_id)
        self.channels.came_online(self.simulator.device(device_id))


@pytest.fixture
def audience() -> Audience:
    return Audience()


# ---- who gets it


def test_every_follower_gets_a_broadcast_once(audience: Audience) -> None:
    """BC-2: everybody who follows the channel gets it, nobody else does."""
    followers = [audience.device(audience.fleeting) for _ in range(3)]
    bystander, other = audience.device(), audience.device(audience.stored)
    audience.channels.subscribe(followers[0], TOPIC, audience.fleeting.id)
    sent = audience.send(audience.fleeting)
    assert [audience.seen(each) for each in followers] == [[sent]] * 3
    assert audience.seen(bystander) == audience.seen(other) == []
    (broadcast,) = audience.fleeting.broadcasts
    assert (broadcast.reached, broadcast.missed, broadcast.expires_at) == (3, 0, None)


def test_two_apps_and_an_activity_make_one_delivery(audience: Audience) -> None:
    """A device gets a broadcast once, however many of its activities listen."""
    device_id = audience.device(audience.fleeting)
    device = audience.simulator.device(device_id)
    asked: list[tuple[str, str, str]] = []

    def listeners(bundle_id: str, channel_id: str, environment: Environment) -> list[Device]:
        asked.append((bundle_id, channel_id, environment))
        return [device]

    audience.channels.listeners = listeners
    assert audience.seen(device_id) == []
    sent = audience.send(audience.fleeting)
    assert audience.seen(device_id) == [sent]
    assert asked == [(TOPIC, audience.fleeting.id, "production")]


def test_who_leaves_gets_no_more(audience: Audience) -> None:
    """A subscription ends by itself, with the app, and with the device's app installed anew."""
    leaving, removed, renewed, staying = [audience.device(audience.fleeting) for _ in range(4)]
    audience.channels.unsubscribe(leaving, TOPIC, audience.fleeting.id)
    audience.simulator.uninstall(removed, TOPIC)
    audience.simulator.uninstall(renewed, TOPIC)
    audience.simulator.install(renewed, TOPIC)
    audience.channels.app_gone(renewed, TOPIC)
    sent = audience.send(audience.fleeting)
    assert [audience.seen(each) for each in (leaving, removed, renewed, staying)] == [[], [], [], [sent]]
    assert len(audience.fleeting.subscriptions) == 1
    with pytest.raises(Missing, match="does not follow"):
        audience.channels.unsubscribe(leaving, TOPIC, audience.fleeting.id)


def test_only_what_fits_can_follow(audience: Audience) -> None:
    """BC-1, BC-2: iOS and iPadOS only, the channel's own app, in its environment."""
    channels, channel = audience.channels, audience.fleeting
    for platform in ("tvos", "macos", "watchos", "visionos"):
        with pytest.raises(Conflict, match="no Live Activities"):
            audience.device(channel, platform=platform)
    audience.device(channel, platform="ipados")
    with pytest.raises(Conflict, match="do not cross"):
        audience.device(channel, environment="sandbox")
    device_id = audience.device()
    audience.simulator.install(device_id, "com.example.other")
    with pytest.raises(Conflict, match="belongs to"):
        channels.subscribe(device_id, "com.example.other", channel.id)
    for args in (("x", TOPIC, channel.id), (device_id, "com.example.none", channel.id), (device_id, TOPIC, NOWHERE)):
        with pytest.raises(Missing):
            channels.subscribe(*args)


def test_bad_channels_are_not_made(audience: Audience) -> None:
    """BC-2, BC-3: what is made by hand is checked like what a provider makes."""
    create = audience.channels.create
    for args, field in (
        (("nodots", "production", 0), "bundleId"),
        ((TOPIC, "moon", 0), "environment"),
        ((TOPIC, "sandbox", 2), "messageStoragePolicy"),
    ):
        with pytest.raises(Invalid) as caught:
            create(*args)  # type: ignore[arg-type]
        assert caught.value.field == field
    for _ in range(98):
        create(TOPIC, "production", 0)
    with pytest.raises(Conflict, match="100 channels"):
        create(TOPIC, "production", 0)
    create(TOPIC, "sandbox", 0)


# ---- what is kept


def test_bc_3_nothing_is_stored_with_policy_0(audience: Audience) -> None:
    """BC-3: who comes later, or was away, has missed it."""
    device_id = audience.device(audience.fleeting)
    audience.offline(device_id)
    audience.send(audience.fleeting)
    audience.online(device_id)
    assert audience.seen(device_id) == audience.seen(audience.device(audience.fleeting)) == []
    assert audience.fleeting.broadcasts[-1].missed == 1


def test_bc_3_the_most_recent_message_waits_for_who_was_away(audience: Audience) -> None:
    """BC-3: with policy 1 a device back online gets the latest message alone, and once."""
    device_id = audience.device(audience.stored)
    audience.offline(device_id)
    audience.send(audience.stored, audience.after(HOUR))
    latest = audience.send(audience.stored, audience.after(HOUR))
    assert audience.stored.owed == {device_id}
    audience.online(device_id)
    audience.offline(device_id)
    audience.online(device_id)
    assert audience.seen(device_id) == [latest]
    assert audience.stored.owed == set()


def test_bc_3_a_new_follower_gets_the_most_recent_message(audience: Audience) -> None:
    """BC-3: with policy 1 whoever begins to follow gets the latest message at once; by activity, too."""
    audience.send(audience.stored, audience.after(HOUR))
    latest = audience.send(audience.stored, audience.after(HOUR))
    assert audience.seen(audience.device(audience.stored)) == [latest]
    listening = audience.device()
    audience.channels.joined(audience.simulator.device(listening), TOPIC, audience.stored.id, "production")
    audience.channels.joined(audience.simulator.device(listening), TOPIC, NOWHERE, "production")
    assert audience.seen(listening) == [latest]


def test_bc_3_a_new_follower_that_is_away_gets_it_later(audience: Audience) -> None:
    """BC-3: the stored message waits for it as well."""
    latest = audience.send(audience.stored, audience.after(HOUR))
    device_id = audience.device()
    audience.offline(device_id)
    audience.channels.subscribe(device_id, TOPIC, audience.stored.id)
    assert audience.seen(device_id) == []
    audience.online(device_id)
    assert audience.seen(device_id) == [latest]


def test_bc_3_who_stopped_following_is_owed_nothing(audience: Audience) -> None:
    """A device back online gets what it follows then."""
    device_id = audience.device(audience.stored)
    audience.offline(device_id)
    audience.send(audience.stored, audience.after(HOUR))
    audience.channels.unsubscribe(device_id, TOPIC, audience.stored.id)
    audience.online(device_id)
    assert audience.seen(device_id) == []


@pytest.mark.parametrize(("expires", "kept"), [(24 * HOUR, 8 * HOUR), (8 * HOUR, 8 * HOUR), (HOUR, HOUR)])
def test_bc_3_eight_hours_at_most(audience: Audience, expires: int, kept: int) -> None:
    """BC-3: kept until apns-expiration, at most 8 hours; up to the last second, and not one longer."""
    latest = audience.send(audience.stored, audience.after(expires))
    audience.simulator.time.advance(kept - 1)
    assert audience.seen(audience.device(audience.stored)) == [latest]
    audience.simulator.time.advance(1)
    assert audience.seen(audience.device(audience.stored)) == []
    assert audience.channels.stored(audience.stored) is None


@pytest.mark.parametrize("expires", [None, 0, -1])
def test_bc_3_a_message_without_time_left_is_not_stored(audience: Audience, expires: int | None) -> None:
    """BC-3: expiration 0, or one passed, stores nothing, and what was stored is not the most recent any more."""
    audience.send(audience.stored, audience.after(HOUR))
    audience.send(audience.stored, 0 if expires is None else audience.after(expires))
    assert audience.seen(audience.device(audience.stored)) == []


def test_bc_2_deleting_does_not_recall_what_is_stored(audience: Audience) -> None:
    """BC-2: a message stored still reaches who followed the deleted channel; nobody can begin to follow it."""
    device_id = audience.device(audience.stored)
    audience.offline(device_id)
    latest = audience.send(audience.stored, audience.after(HOUR))
    audience.channels.delete(audience.stored.id)
    with pytest.raises(Missing):
        audience.device(audience.stored)
    audience.online(device_id)
    assert audience.seen(device_id) == [latest]


def test_bc_2_a_deleted_channel_leaves_with_its_message(audience: Audience) -> None:
    """BC-2: when the stored message expires, nothing is left of the channel."""
    device_id = audience.device(audience.stored)
    audience.offline(device_id)
    audience.send(audience.stored, audience.after(HOUR))
    audience.channels.delete(audience.stored.id)
    assert "leaving=1" in repr(audience.channels)
    audience.simulator.time.advance(HOUR)
    assert "leaving=0" in repr(audience.channels)
    audience.online(device_id)
    assert audience.seen(device_id) == []


# ---- what is seen of it


def test_what_devices_get_names_the_channel(audience: Audience) -> None:
    """A broadcast arrives as a Live Activity push of the app that names its channel."""
    device_id = audience.device(audience.fleeting)
    audience.send(audience.fleeting)
    (note,) = audience.simulator.notifications(device_id)
    assert (note.topic, note.push_type) == (f"{TOPIC}.push-type.liveactivity", "liveactivity")


def test_the_latest_hundred_are_remembered(audience: Audience) -> None:
    """A channel remembers a bounded number of its broadcasts, and counts them all."""
    for _ in range(HISTORY + 1):
        audience.send(audience.fleeting)
    assert [each.serial for each in audience.fleeting.broadcasts] == list(range(2, HISTORY + 2))
    assert audience.fleeting.serial == HISTORY + 1


@pytest.mark.anyio
async def test_the_feed_tells_of_channels(audience: Audience) -> None:
    """Who watches sees channels come and go, their followers, and what goes through them."""
    watching = audience.simulator.apns.feed.subscribe()
    channel = audience.channels.create(TOPIC, "sandbox", 1)
    device_id = audience.device(audience.fleeting)
    audience.send(audience.fleeting)
    audience.channels.unsubscribe(device_id, TOPIC, audience.fleeting.id)
    audience.channels.delete(channel.id)
    events = [event.data for event in await watching.take() if event.kind == "channel"]
    assert all(isinstance(event, dict) for event in events)
    assert [event["action"] for event in events if isinstance(event, dict)] == [
        "created",
        "subscribed",
        "broadcast",
        "unsubscribed",
        "deleted",
    ]
    assert events[0] == {
        "action": "created",
        "channelId": channel.id,
        "bundleId": TOPIC,
        "environment": "sandbox",
    }


def test_a_reset_forgets_the_channels(audience: Audience) -> None:
    """After a reset there is no channel."""
    audience.simulator.reset()
    assert audience.channels.all() == []
    assert len(audience.channels) == 0
    with pytest.raises(Missing):
        audience.channels.delete(audience.fleeting.id)
