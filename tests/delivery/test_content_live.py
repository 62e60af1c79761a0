"""What the phone makes of a content: API, delivery and simulator together, the simulator being the witness."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import BUNDLE, Live, living

from heliogram.simulator.kinds import TokenKind
from heliogram.simulator.lockscreen import Notification

pytestmark = pytest.mark.anyio

UPDATE = {"event": "update", "contentState": {"score": 1}}
START = {"event": "start", "contentState": {}, "attributesType": "Match", "attributes": {"home": "A"}}


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    """An app with a production key."""
    async with living(tmp_path) as made:
        await made.credential("shop", "APN")
        yield made


async def shown(live: Live, phone: str, token: str, content: dict[str, Any], **more: Any) -> Notification:
    """What arrived on the phone; APNs accepted it, and the simulator found nothing wrong with it."""
    operation = await live.send(token, content=content, **more)
    assert await live.deliver() == 1
    (delivery,) = await live.deliveries(operation)
    assert (delivery["outcome"], delivery["reason"]) == ("ACCEPTED", None)
    request = live.simulator.requests(1)[0]
    assert (request.findings, request.violations) == ([], [])
    newest = live.simulator.notifications(phone)[0]
    assert newest.findings == []
    return newest


async def test_an_alert_with_everything_is_shown_with_everything(live: Live) -> None:
    """OWN-13: Texts, badge, sound, group, buttons, level, score, image and the app's own keys."""
    phone, token = live.phone()
    content = {
        "title": "Order {{ order.number }}",
        "subtitle": "{{ name | upcase }}",
        "body": "{% if count > 1 %}{{ count }} parcels{% else %}One parcel{% endif %}",
        "badge": 3,
        "sound": {"name": "bell.caf", "volume": 0.5, "critical": True},
        "threadId": "orders",
        "category": "ORDER",
        "interruptionLevel": "time-sensitive",
        "relevanceScore": 0.5,
        "image": "https://example.com/{{ order.number }}.png",
        "data": {"url": "shop://orders/{{ order.number }}", "n": 7},
        "collapseId": "order-77",
        "targetContentId": "orders",
    }
    variables = {"order": {"number": 77}, "name": "Ann", "count": 2}
    to = [{"token": token, "provider": "APN", "variables": variables}]
    got = await shown(live, phone, token, content, to=to)
    assert (got.title, got.subtitle, got.body) == ("Order 77", "ANN", "2 parcels")
    assert (got.badge, got.sound) == (3, {"name": "bell.caf", "volume": 0.5, "critical": 1})
    assert (got.thread_id, got.category, got.collapse_id) == ("orders", "ORDER", "order-77")
    assert (got.interruption_level, got.relevance_score) == ("time-sensitive", 0.5)
    assert (got.presentation, got.priority) == ("banner", 10)
    assert got.payload["image"] == "https://example.com/77.png"
    assert (got.payload["url"], got.payload["n"]) == ("shop://orders/77", 7)


async def test_an_alert_gets_its_notification_s_id_to_collapse_by(live: Live) -> None:
    """So that a repeated push takes the place of the first."""
    phone, token = live.phone()
    got = await shown(live, phone, token, {"body": "x"})
    assert got.collapse_id == got.apns_id


async def test_a_raw_payload_arrives_as_it_was_given(live: Live) -> None:
    """OWN-13: With the headers that were named."""
    phone, token = live.phone()
    payload = {"aps": {"alert": {"title": "{{ raw }}", "body": "x"}}, "k": [1, {"a": None}]}
    headers = {"apns-priority": "5", "apns-collapse-id": "mine", "apns-expiration": 0}
    got = await shown(live, phone, token, {"apn": {"payload": payload, "headers": headers}})
    assert got.payload == payload
    assert (got.priority, got.collapse_id, got.title) == (5, "mine", "{{ raw }}")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("device", {"pushType": "background", "data": {"sync": 1}}),
        ("voip", {"pushType": "voip", "data": {"call": 7}}),
        ("complication", {"pushType": "complication", "data": {"steps": 7}}),
        ("fileProvider", {"pushType": "fileprovider", "data": {"container-identifier": "c", "domain": "d"}}),
        ("location", {"pushType": "location"}),
        ("pushToTalk", {"pushType": "pushtotalk", "data": {"speaker": "Ann"}}),
        ("liveActivityStart", {"title": "Kick-off", "liveActivity": START}),
        ("widget", {"pushType": "widgets"}),
        ("control", {"pushType": "controls"}),
    ],
)
async def test_every_push_type_is_what_apns_expects(live: Live, kind: TokenKind, content: dict[str, Any]) -> None:
    """Accepted on the kind's own token, without a finding about headers or payload."""
    phone, token = live.phone()
    if kind != "device":
        name = "Match" if kind == "liveActivityStart" else "one" if kind in ("pushToTalk", "control") else ""
        made = live.simulator.registry.register(phone, BUNDLE, kind, name)
        assert made.device_token is not None, made
        token = made.device_token
    await live.send(token, content=content)
    assert await live.deliver() == 1
    request = live.simulator.requests(1)[0]
    assert (request.status, request.findings, request.violations) == (200, [], [])


async def test_a_live_activity_is_updated_and_ended(live: Live) -> None:
    """Its card shows the new state; an end closes it."""
    phone, _ = live.phone()
    activity = live.simulator.registry.activities.start(
        phone, BUNDLE, "Match", attributes={"home": "A"}, content_state={"score": 0}
    )
    assert activity.token is not None
    token = activity.token.value.decode()
    live.clock.advance(5)
    for content in ({"liveActivity": UPDATE}, {"liveActivity": {"event": "end", "contentState": {"score": 2}}}):
        live.clock.advance(5)
        await live.send(token, content=content)
        assert await live.deliver() == 1
        request = live.simulator.requests(1)[0]
        assert (request.status, request.findings, request.violations) == (200, [], [])
    (card,) = live.simulator.registry.activities.all(phone)
    assert card.content_state == {"score": 2}
    assert card.state == "ended"


async def test_a_trial_shows_what_then_arrives(live: Live) -> None:
    """`validateOnly` and the send itself make the same payload."""
    phone, token = live.phone()
    content = {"title": "{{ t | capitalize }}", "body": "x", "data": {"a": ["{{ t }}"]}}
    to = [{"token": token, "provider": "APN", "variables": {"t": "tea"}}]
    trial = await live.post("", {"to": to, "content": content, "validateOnly": True}, expect=200)
    assert await live.deliver() == 0
    got = await shown(live, phone, token, content, to=to)
    assert got.payload == trial["sample"]["payload"]
