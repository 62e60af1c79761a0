"""Channels together with devices and the portal: presence, Live Activities, capabilities."""

from __future__ import annotations

import pytest
from support.sim_channels import Provider, goal
from support.sim_client import TEAM, TOPIC, World

from heliogram.simulator import Device
from heliogram.simulator.channel import Channel

pytestmark = pytest.mark.anyio

HOUR = 3600


class Show:
    """A world with a channel of each policy."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.simulator = world.simulator
        self.device: Device = world.device
        self.provider = Provider(world)
        self.stored = self.simulator.channels.create(TOPIC, "production", 1)
        self.fleeting = self.simulator.channels.create(TOPIC, "production", 0)

    async def send(self, channel: Channel, home: int, *, priority: str = "10", event: str = "update") -> None:
        now = self.simulator.time.now()
        reply = await self.provider.broadcast(
            channel.id,
            body=goal(home, event=event, timestamp=int(now)),
            expiration=str(int(now) + HOUR) if channel.policy else "0",
            priority=priority,
        )
        assert reply.status == 200, reply

    def activity(self, channel: Channel) -> str:
        """A Live Activity of the app that listens to the channel."""
        activities = self.simulator.apns.registry.activities
        return activities.start(self.device.id, TOPIC, "Match", content_state={"home": 0}, channel=channel.id).id

    def state(self, activity_id: str) -> object:
        """The activity's content state; None when it is no more."""
        cards = self.simulator.apns.registry.activities.all(self.device.id)
        return next((card.content_state for card in cards if card.id == activity_id), None)


@pytest.fixture
def show(world: World) -> Show:
    return Show(world)


async def test_bc_2_a_broadcast_updates_the_activities_that_listen(show: Show) -> None:
    """BC-2, LA-3: update and end reach the activity of that channel, and no other."""
    listening, other = show.activity(show.fleeting), show.activity(show.stored)
    await show.send(show.fleeting, 3)
    assert show.state(listening) == {"home": 3}
    assert show.state(other) == {"home": 0}
    await show.send(show.fleeting, 4, event="end")
    assert show.fleeting.broadcasts[-1].reached == 1
    await show.send(show.fleeting, 5)
    assert show.state(listening) == {"home": 4}
    assert show.fleeting.broadcasts[-1].reached == 0


async def test_la_3_a_broadcast_starts_nothing(show: Show) -> None:
    """LA-3: a start is accepted, has a finding, and does nothing on the device."""
    listening = show.activity(show.fleeting)
    await show.send(show.fleeting, 9, event="start")
    assert show.state(listening) == {"home": 0}
    assert show.fleeting.broadcasts[-1].findings
    assert "cannot start" in show.device.log()[-1].text


async def test_bc_3_an_activity_begins_with_the_message_stored(show: Show) -> None:
    """BC-3: with policy 1 an activity that begins to listen has the latest state at once; with policy 0 it has not."""
    await show.send(show.stored, 1)
    await show.send(show.stored, 2)
    await show.send(show.fleeting, 7)
    assert show.state(show.activity(show.stored)) == {"home": 2}
    assert show.state(show.activity(show.fleeting)) == {"home": 0}


async def test_bc_3_a_phone_that_was_off_catches_up(show: Show) -> None:
    """BC-3: back online it gets the latest message of policy 1, and nothing of policy 0."""
    listening, fleeting = show.activity(show.stored), show.activity(show.fleeting)
    show.device.connect(False)
    for home in (1, 2):
        await show.send(show.stored, home)
        await show.send(show.fleeting, home)
    assert show.state(listening) == {"home": 0}
    assert show.stored.broadcasts[-1].missed == 1
    show.device.connect(True)
    assert show.state(listening) == {"home": 2}
    assert show.state(fleeting) == {"home": 0}


async def test_bc_3_a_phone_that_was_off_for_too_long(show: Show) -> None:
    """BC-3: when the message has expired there is nothing to catch up with."""
    listening = show.activity(show.stored)
    show.device.connect(False)
    await show.send(show.stored, 1)
    show.simulator.time.advance(HOUR)
    show.device.connect(True)
    assert show.state(listening) == {"home": 0}


async def test_bc_3_everybody_catches_up_when_apns_is_back(show: Show) -> None:
    """BC-3: the same for those that follow without an activity, when all devices were cut off."""
    show.simulator.channels.subscribe(show.device.id, TOPIC, show.stored.id)
    show.simulator.apns.registry.set_reachable(False)
    await show.send(show.stored, 1)
    assert show.simulator.notifications(show.device.id) == []
    show.simulator.apns.registry.set_reachable(True)
    assert len(show.simulator.notifications(show.device.id)) == 1


async def test_an_app_installed_anew_follows_nothing(show: Show) -> None:
    """LIFE-2: what the app followed goes with its data."""
    show.simulator.channels.subscribe(show.device.id, TOPIC, show.fleeting.id)
    show.activity(show.fleeting)
    show.simulator.reinstall(show.device.id, TOPIC)
    await show.send(show.fleeting, 1)
    assert show.fleeting.broadcasts[-1].reached == 0


async def test_life_4_the_entitlement_decides_the_channels_environment(show: Show) -> None:
    """LIFE-4, BC-2: an app signed for the sandbox follows the sandbox's channels, whatever it believes."""
    registry = show.simulator.apns.registry
    phone = show.simulator.add_device("phone")
    registry.install(phone.id, TOPIC, "production", signed_for="sandbox")
    channel = show.simulator.channels.create(TOPIC, "sandbox", 0)
    show.simulator.channels.subscribe(phone.id, TOPIC, channel.id)
    reply = await show.provider.broadcast(channel.id, listener="sandbox")
    assert reply.status == 200
    assert len(show.simulator.notifications(phone.id)) == 1


async def test_bc_1_the_portal_switches_broadcast_off(show: Show) -> None:
    """BC-1: FeatureNotEnabled, and the channels are gone for good when it is on again."""
    portal = show.simulator.portal
    portal.add_team("Example", TEAM)
    portal.add_app(TOPIC, TEAM)
    assert await show.provider.ids() == [show.stored.id, show.fleeting.id]
    portal.change_app(TOPIC, broadcast=False)
    assert (await show.provider.manage("GET", resource="all-channels")).verdict == (400, "FeatureNotEnabled")
    assert (await show.provider.broadcast(show.stored.id)).verdict == (400, "FeatureNotEnabled")
    portal.change_app(TOPIC, broadcast=True)
    assert await show.provider.ids() == []


async def test_6_4_an_app_of_another_team(show: Show) -> None:
    """6.4: an App ID of another team is TopicMismatch."""
    show.simulator.portal.add_team("Other", "TEAMOTHER1")
    show.simulator.portal.add_app(TOPIC, "TEAMOTHER1")
    assert (await show.provider.manage("GET", resource="all-channels")).verdict == (403, "TopicMismatch")
    assert (await show.provider.broadcast(show.stored.id)).verdict == (403, "TopicMismatch")
