"""Broadcasts, from the request to the phones that follow the channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import BUNDLE, Live, living

pytestmark = pytest.mark.anyio

UPDATE = {"liveActivity": {"event": "update", "contentState": {"home": 1}}}


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as live:
        await live.credential()
        yield live


async def channel(live: Live, policy: str = "NO_MESSAGE_STORED") -> str:
    return str((await live.post("/Apps/shop/Channels", {"storagePolicy": policy}))["resourceId"])


async def broadcast(live: Live, ident: str, content: dict[str, Any] | None = None, **more: Any) -> str:
    """A broadcast; its operation's id."""
    body = {"content": content or UPDATE, **more}
    return str((await live.post(f"/Apps/shop/Channels/{ident}/Broadcasts", body))["operationId"])


def follow(live: Live) -> str:
    """A phone with a Live Activity that follows the one channel there is; the phone's id."""
    device, _ = live.phone()
    (known,) = live.simulator.channels.all()
    live.simulator.channels.subscribe(device, BUNDLE, known.id)
    return device


def shown(live: Live, device: str) -> list[dict[str, Any]]:
    """The states that a phone was given."""
    return [note.payload["aps"]["content-state"] for note in live.simulator.notifications(device)]


async def test_a_broadcast_reaches_the_phones_that_follow(live: Live) -> None:
    """OWN-38: An ordinary operation with one recipient: what the phones show, and what the back end reads."""
    ident = await channel(live)
    phones = [follow(live), follow(live)]
    operation = await broadcast(live, ident)
    assert await live.deliver() == 1
    assert [shown(live, phone) for phone in phones] == [[{"home": 1}], [{"home": 1}]]
    found = await live.get(f"/Operations/{operation}")
    assert (found["status"], found["stats"]["total"], found["stats"]["sent"]) == ("COMPLETED", 1, 1)
    (notification,) = (await live.get("", operationId=operation, include="deliveries"))["pushNotifications"]
    (known,) = live.simulator.channels.all()
    assert notification["to"] == {"channelId": known.id}
    assert notification["status"] == "SENT"
    (delivery,) = notification["deliveries"]
    assert (delivery["token"], delivery["environment"], delivery["outcome"]) == (None, "production", "ACCEPTED")
    assert delivery["apnsUniqueId"]
    (sent,) = [request for request in live.simulator.requests() if request.path.startswith("/4/")]
    assert sent.apns_id == delivery["apnsId"]


async def test_the_latest_message_is_stored_until_it_expires(live: Live) -> None:
    """With an expiry, on a channel that stores: who comes late gets it (BC-3)."""
    ident = await channel(live, "MOST_RECENT_MESSAGE_STORED")
    await broadcast(live, ident, ttl=3600)
    await live.deliver()
    assert shown(live, follow(live)) == [{"home": 1}]


async def test_an_expiry_on_a_channel_that_stores_nothing_fails_with_apns_word(live: Live) -> None:
    """`BadExpirationDate`: the notification is FAILED, and `/Errors` says why (6.4)."""
    operation = await broadcast(live, await channel(live), ttl=3600)
    await live.deliver()
    (error,) = (await live.get(f"/Operations/{operation}/Errors"))["errors"]
    assert error["reason"] == "BadExpirationDate"


async def test_a_channel_that_is_gone_fails(live: Live) -> None:
    """APNs knows the channels, so it is told after the 202."""
    ident = await channel(live)
    await live.service.delete(f"/Apps/shop/Channels/{ident}")
    operation = await broadcast(live, ident)
    await live.deliver()
    (delivery,) = await live.deliveries(operation)
    assert (delivery["outcome"], delivery["reason"]) == ("REJECTED", "ChannelNotRegistered")


async def test_a_broadcast_is_tried_again_when_apns_has_trouble(live: Live) -> None:
    """As every other push: same id, later."""
    ident = await channel(live)
    phone = follow(live)
    live.simulator.faults.add(reason="InternalServerError", next=1)
    operation = await broadcast(live, ident)
    await live.deliver()
    (delivery,) = await live.deliveries(operation)
    assert (delivery["reason"], delivery["final"]) == ("InternalServerError", False)
    live.clock.advance(60)
    assert await live.deliver() == 1
    assert shown(live, phone) == [{"home": 1}]
    (delivery,) = await live.deliveries(operation)
    assert (delivery["outcome"], delivery["attempt"]) == ("ACCEPTED", 2)


async def test_a_sandbox_channel_is_reached_in_the_sandbox(live: Live) -> None:
    """With that environment's default credential."""
    sandbox = await live.credential(type_="APN_SANDBOX")
    body = {"storagePolicy": "NO_MESSAGE_STORED", "environment": "sandbox"}
    ident = str((await live.post("/Apps/shop/Channels", body))["resourceId"])
    operation = await broadcast(live, ident, environment="sandbox")
    await live.deliver()
    (delivery,) = await live.deliveries(operation)
    assert (delivery["outcome"], delivery["environment"], delivery["credentialId"]) == ("ACCEPTED", "sandbox", sandbox)


async def test_apples_own_words_are_taken_too(live: Live) -> None:
    """`apn.payload` with the push type in `apn.headers`."""
    ident = await channel(live)
    phone = follow(live)
    payload = {"aps": {"timestamp": 1_800_000_000, "event": "end", "content-state": {"home": 3}}}
    await broadcast(live, ident, {"apn": {"payload": payload, "headers": {"apns-push-type": "liveactivity"}}})
    await live.deliver()
    assert shown(live, phone) == [{"home": 3}]


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"body": "Goal!"}, "$.content.liveActivity"),
        (
            {"liveActivity": {"event": "update", "contentState": {}, "activityId": "a"}},
            "$.content.liveActivity.activityId",
        ),
        ({**UPDATE, "collapseId": "x"}, "$.content.collapseId"),
        ({**UPDATE, "apn": {"headers": {"apns-topic": "com.example.other"}}}, '$.content.apn.headers["apns-topic"]'),
    ],
)
async def test_what_is_no_broadcast_is_refused(live: Live, content: dict[str, Any], path: str) -> None:
    """It updates or ends Live Activities, all that follow, and has none of a push's headers (6.3)."""
    ident = await channel(live)
    problem = await live.post(f"/Apps/shop/Channels/{ident}/Broadcasts", {"content": content}, expect=400)
    assert path in [each["context"] for each in problem["errors"]]


async def test_a_broadcast_cannot_start_an_activity(live: Live) -> None:
    """LA-3: that goes to the devices, and may name the channel."""
    ident = await channel(live)
    start = {"event": "start", "contentState": {}, "attributesType": "Match", "attributes": {}}
    body = {"content": {"body": "Kick-off", "title": "Match", "liveActivity": start}}
    problem = await live.post(f"/Apps/shop/Channels/{ident}/Broadcasts", body, expect=400)
    assert [each["context"] for each in problem["errors"]] == ["$.content.liveActivity.event"]


async def test_a_broadcast_has_at_most_5120_bytes(live: Live) -> None:
    """At the limit it is taken and sent, one past it is refused (6.3)."""
    ident = await channel(live)
    phone = follow(live)

    def content(length: int) -> dict[str, Any]:
        return {"liveActivity": {"event": "update", "timestamp": 1_800_000_000, "contentState": {"x": "a" * length}}}

    empty = len('{"aps":{"timestamp":1800000000,"event":"update","content-state":{"x":""}}}')
    await broadcast(live, ident, content(5120 - empty))
    await live.deliver()
    assert len(shown(live, phone)) == 1
    body = {"content": content(5121 - empty)}
    problem = await live.post(f"/Apps/shop/Channels/{ident}/Broadcasts", body, expect=400)
    assert problem["code"] == 70013


async def test_validate_only_shows_what_would_be_sent_and_keeps_nothing(live: Live) -> None:
    """OWN-19: As for a send: the payload and the headers in a 200, and problems as they would be told."""
    path = f"/Apps/shop/Channels/{await channel(live)}/Broadcasts"
    trial = await live.post(path, {"content": UPDATE, "validateOnly": True}, expect=200)
    assert (trial["valid"], trial["recipients"], trial["failing"], trial["unaddressable"]) == (True, 1, 0, 0)
    assert trial["sample"]["payload"]["aps"]["content-state"] == {"home": 1}
    assert trial["sample"]["headers"]["apns-push-type"] == "liveactivity"
    assert trial["payloadBytes"]["limit"] == 5120
    problem = await live.post(path, {"content": {"body": "Hi"}, "validateOnly": True}, expect=400)
    assert [each["context"] for each in problem["errors"]] == ["$.content.liveActivity"]
    assert (await live.get("/Operations"))["operations"] == []


async def test_an_unknown_app_or_channel_text_is_a_404(live: Live) -> None:
    """Before anything is kept."""
    await live.post("/Apps/nobody/Channels/abcd/Broadcasts", {"content": UPDATE}, expect=404)
    await live.post("/Apps/shop/Channels/a=b/Broadcasts", {"content": UPDATE}, expect=404)
    assert (await live.get("/Operations"))["operations"] == []
