"""Live Activities on a device: started by the app or a push, updated by pushes and broadcasts (4.5)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.sim_client import TOPIC, Reply, World

from heliogram.simulator import Conflict, Invalid, Missing
from heliogram.simulator.activities import ACTIVITIES_PER_DEVICE
from heliogram.simulator.cards import Card
from heliogram.simulator.lockscreen import Arrival

pytestmark = pytest.mark.anyio

HOUR = 3600
HEADER = ("apns-push-type", "liveactivity")
LIVE = TOPIC + ".push-type.liveactivity"


def aps(event: str, timestamp: Any, **more: Any) -> bytes:
    known = {key.replace("_", "-"): value for key, value in more.items()}
    fields = {"event": event, "timestamp": timestamp, "content-state": {"score": 1}, **known}
    return json.dumps({"aps": {key: value for key, value in fields.items() if value is not None}}).encode()


async def push(world: World, token: str | None, body: bytes) -> Reply:
    return await world.push(HEADER, token=token, topic=LIVE, body=body)


def cards(world: World) -> list[Card]:
    return world.simulator.registry.activities.all(world.device.id)


def start(world: World, **options: Any) -> str:
    """The update token of an activity that the app starts."""
    options = {"attributes": {"home": "A"}, "content_state": {"score": 0}, **options}
    activity = world.simulator.registry.activities.start(world.device.id, TOPIC, "Match", **options)
    assert activity.token is not None
    return activity.token.value.decode()


async def test_started_by_the_app(world: World) -> None:
    """LA-4, REQ-7: an activity has an update token of its own, longer than a device token."""
    token, other = start(world), start(world)
    assert len(token) == 160
    assert token != other
    card, _ = cards(world)
    assert (card.state, card.attributes_type, card.attributes, card.content_state) == (
        "active", "Match", {"home": "A"}, {"score": 0},
    )  # fmt: skip
    assert card.device_token == token


async def test_updated_by_push(world: World) -> None:
    """LA-1: an update brings its content state, stale date and relevance to its activity, and to no other."""
    token, _ = start(world), start(world)
    now = world.clock.now
    body = aps("update", now, content_state={"score": 2}, stale_date=now + 60, relevance_score=75)
    assert (await push(world, token, body)).status == 200
    card, other = cards(world)
    assert (card.content_state, card.state, card.relevance_score) == ({"score": 2}, "active", 75)
    assert other.content_state == {"score": 0}
    world.clock.move(60)
    assert cards(world)[0].state == "stale"
    await push(world, token, aps("update", now + 61))
    assert cards(world)[0].state == "active"


async def test_older_update_is_ignored(world: World) -> None:
    """LA-1: what is older than the last update, by its timestamp, changes nothing, and the log says why."""
    token = start(world)
    await push(world, token, aps("update", 200, content_state={"score": 5}))
    await push(world, token, aps("update", 199, content_state={"score": 4}))
    assert cards(world)[0].content_state == {"score": 5}
    assert "timestamp is older" in world.device.log()[-1].text


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "aps.event"),
        (aps("pause", 1), "aps.event"),
        (aps("update", None), "aps.timestamp"),
        (aps("update", "1"), "aps.timestamp"),
        (aps("update", True), "aps.timestamp"),
        (aps("update", 10**400), "aps.timestamp"),
        (aps("update", 1, content_state=None), "aps.content-state"),
        (aps("start", 1), "cannot start one"),
    ],
)
async def test_what_is_ignored(world: World, body: bytes, why: str) -> None:
    """LA-1, SIZE-3: a payload that is no update is answered 200 and changes nothing; the device's log says why."""
    token = start(world)
    assert (await push(world, token, body)).status == 200
    assert cards(world)[0].content_state == {"score": 0}
    assert why in world.device.log()[-1].text


async def test_ended_by_push(world: World) -> None:
    """LA-2, LA-4: the end brings the final state; the card stays for 4 hours, the token is 410 ExpiredToken."""
    token = start(world)
    ended = int(world.clock.now * 1000)
    await push(world, token, aps("end", 5, content_state={"score": 9}))
    (card,) = cards(world)
    assert (card.state, card.content_state) == ("ended", {"score": 9})
    world.clock.move(4 * HOUR - 1)
    assert len(cards(world)) == 1
    world.bearer = world.signer.token(int(world.clock.now))
    reply = await push(world, token, aps("update", 6))
    assert (reply.verdict, reply.json["timestamp"]) == ((410, "ExpiredToken"), ended)
    world.clock.move(1)
    assert cards(world) == []


@pytest.mark.parametrize(("offset", "stays"), [(-1, 0), (0, 0), (60, 60), (5 * HOUR, 4 * HOUR)])
async def test_dismissal_date(world: World, offset: int, stays: int) -> None:
    """4.4: the card goes at the dismissal date: at once when that is past, after 4 hours at the latest."""
    await push(world, start(world), aps("end", 5, dismissal_date=world.clock.now + offset))
    if stays:
        world.clock.move(stays - 1)
        assert len(cards(world)) == 1
        world.clock.move(1)
    assert cards(world) == []


async def test_ended_by_the_system(world: World) -> None:
    """LA-4: after 8 hours the system ends an activity; its token has outlived it."""
    token = start(world)
    world.clock.move(8 * HOUR)
    ended = int(world.clock.now * 1000)
    world.clock.move(60)
    world.bearer = world.signer.token(int(world.clock.now))
    reply = await push(world, token, aps("update", 5))
    assert (reply.verdict, reply.json["timestamp"]) == ((410, "ExpiredToken"), ended)
    assert cards(world)[0].state == "ended"


async def test_ended_and_dismissed_on_the_device(world: World) -> None:
    """LA-4: the app ends an activity, or somebody swipes it away: either way its token is dead."""
    first, second = start(world), start(world)
    activities = world.simulator.registry.activities
    one, two = cards(world)
    activities.end(world.device.id, one.id)
    activities.end(world.device.id, one.id)
    activities.dismiss(world.device.id, two.id)
    assert [card.state for card in cards(world)] == ["ended"]
    for token in (first, second):
        assert (await push(world, token, aps("update", 5))).verdict == (410, "ExpiredToken")
    activities.dismiss(world.device.id, one.id)
    with pytest.raises(Missing):
        activities.end(world.device.id, one.id)


async def test_started_by_push(world: World) -> None:
    """LA-1, LA-4: the push-to-start token starts an activity, which then has its own update token."""
    starter = world.simulator.registry.register(world.device.id, TOPIC, "liveActivityStart").device_token
    body = aps("start", 10, attributes_type="Match", attributes={"home": "A"}, alert={"title": "T"}, input_push_token=1)
    assert (await push(world, starter, body)).status == 200
    (card,) = cards(world)
    assert (card.attributes_type, card.attributes, card.content_state) == ("Match", {"home": "A"}, {"score": 1})
    assert card.device_token not in (None, starter)
    assert (await push(world, card.device_token, aps("update", 11, content_state={"score": 3}))).status == 200
    assert cards(world)[0].content_state == {"score": 3}


@pytest.mark.parametrize(
    "missing", [{"attributes_type": None}, {"attributes": None}, {"alert": None}, {"event": "update"}]
)
async def test_start_without_what_it_needs(world: World, missing: dict[str, Any]) -> None:
    """LA-1: without attributes-type, attributes or alert nothing starts, and the token starts and does nothing else."""
    starter = world.simulator.registry.register(world.device.id, TOPIC, "liveActivityStart").device_token
    whole = {"attributes_type": "Match", "attributes": {}, "alert": {"title": "T"}}
    event = missing.get("event", "start")
    body = aps(event, 10, **{**whole, **{key: value for key, value in missing.items() if key != "event"}})
    assert (await push(world, starter, body)).status == 200
    assert cards(world) == []
    assert "was ignored" in world.device.log()[-1].text


async def test_activity_on_a_channel(world: World) -> None:
    """LA-3, BC-3: an activity on a channel has no token, and is updated and ended by broadcasts, never started."""
    simulator = world.simulator
    channel = simulator.apns.channels.create(TOPIC, "production", 1)
    activities = simulator.registry.activities
    activities.start(world.device.id, TOPIC, "Match", channel=channel.id)
    assert activities.subscribers(TOPIC, channel.id, "production") == [world.device]
    for event, timestamp, score in (("start", 1, 7), ("update", 2, 8)):
        broadcast(world, channel.id, aps(event, timestamp, content_state={"score": score}))
    (card,) = cards(world)
    assert (card.content_state, card.device_token, card.channel) == ({"score": 8}, None, channel.id)
    broadcast(world, channel.id, aps("end", 3))
    assert cards(world)[0].state == "ended"
    assert activities.subscribers(TOPIC, channel.id, "production") == []
    assert "cannot start" in " ".join(line.text for line in world.device.log())


def broadcast(world: World, channel_id: str, body: bytes) -> None:
    channels, now = world.simulator.apns.channels, world.clock.now
    arrival = Arrival(b"id", None, LIVE.encode(), b"liveactivity", None, None, body, now, channel=channel_id.encode())
    channels.broadcast(channels.channel(channel_id), arrival, int(now) + HOUR)


async def test_device_back_online_gets_the_channels_message(world: World) -> None:
    """BC-3: what a channel stored while the device was offline updates its activity afterwards."""
    channel = world.simulator.apns.channels.create(TOPIC, "production", 1)
    world.simulator.registry.activities.start(world.device.id, TOPIC, "Match", channel=channel.id)
    world.device.connect(False)
    broadcast(world, channel.id, aps("update", 2, content_state={"score": 8}))
    assert cards(world)[0].content_state is None
    world.device.connect(True)
    assert cards(world)[0].content_state == {"score": 8}


async def test_uninstalling_ends_activities(world: World) -> None:
    """LIFE-9: an app's activities go with it."""
    start(world)
    world.simulator.uninstall(world.device.id, TOPIC)
    assert cards(world) == []
    world.simulator.time.advance(20 * HOUR)
    assert world.device.activities is None


async def test_activity_bounds(world: World) -> None:
    """100 activities on a device, on iOS and iPadOS, with a type; an app may have one without updates."""
    activities = world.simulator.registry.activities
    with pytest.raises(Invalid, match="attributesType"):
        activities.start(world.device.id, TOPIC, "")
    for _ in range(ACTIVITIES_PER_DEVICE):
        assert activities.start(world.device.id, TOPIC, "Match", updates="none").token is None
    with pytest.raises(Conflict):
        activities.start(world.device.id, TOPIC, "Match")
    starter = world.simulator.registry.register(world.device.id, TOPIC, "liveActivityStart").device_token
    await push(world, starter, aps("start", 1, attributes_type="Match", attributes={}, alert="T"))
    assert len(cards(world)) == ACTIVITIES_PER_DEVICE
    watch = world.simulator.add_device("a watch", "watchos")
    world.simulator.install(watch.id, TOPIC)
    with pytest.raises(Invalid, match="ios or ipados"):
        activities.start(watch.id, TOPIC, "Match")


async def test_offline_activity_update_is_stored(world: World) -> None:
    """LIFE-6: the newest update waits for a device that is offline."""
    token = start(world)
    world.device.connect(False)
    for score in (1, 2):
        await push(world, token, aps("update", score, content_state={"score": score}))
    assert cards(world)[0].content_state == {"score": 0}
    world.device.connect(True)
    assert cards(world)[0].content_state == {"score": 2}
