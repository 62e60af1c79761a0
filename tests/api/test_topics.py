"""The topic that `validateOnly` and `/Payload` show is the one that the simulator got; where it is not sure, there is
none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import BUNDLE, Live, living

from heliogram.simulator.clientcerts import CertificateOrder

pytestmark = pytest.mark.anyio

OTHER = "com.example.other"
TOKEN = "ab" * 32


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as live:
        yield live


def body(*tokens: str, **more: Any) -> dict[str, Any]:
    return {"to": [{"token": each, "provider": "APN"} for each in tokens], "content": {"body": "x"}, **more}


async def foretold(live: Live, send: dict[str, Any]) -> str | None:
    """What `validateOnly` shows."""
    trial = await live.post("", {**send, "validateOnly": True}, expect=200)
    topic: str | None = trial["sample"]["headers"].get("apns-topic")
    return topic


async def accepted(live: Live, send: dict[str, Any]) -> str:
    """The id of a send's one notification."""
    operation = (await live.post("", send))["operationId"]
    page = await live.get("", operationId=operation)
    ident: str = page["pushNotifications"][0]["id"]
    return ident


async def shown(live: Live, ident: str) -> str | None:
    """What `/Payload` shows."""
    topic: str | None = (await live.get(f"/{ident}/Payload"))["headers"].get("apns-topic")
    return topic


def received(live: Live) -> str | None:
    """What the simulator got last."""
    return max(live.simulator.requests(), key=lambda request: request.number).topic


KINDS: list[tuple[dict[str, Any], str | None]] = [
    ({"body": "x"}, ""),
    ({"pushType": "background", "data": {"a": 1}}, ""),
    ({"pushType": "voip", "data": {"a": 1}}, ".voip"),
    ({"pushType": "location"}, ".location-query"),
    ({"pushType": "complication", "data": {"a": 1}}, ".complication"),
    ({"pushType": "fileprovider", "data": {"a": 1}}, ".pushkit.fileprovider"),
    ({"pushType": "pushtotalk", "data": {"a": 1}}, ".voip-ptt"),
    ({"pushType": "widgets"}, ".push-type.widgets"),
    ({"pushType": "controls"}, ".push-type.controls"),
    ({"liveActivity": {"event": "update", "contentState": {"n": 1}}}, ".push-type.liveactivity"),
    ({"body": "x", "apn": {"headers": {"apns-topic": OTHER}}}, None),
    ({"pushType": "voip", "data": {"a": 1}, "apn": {"headers": {"apns-topic": OTHER}}}, None),
    ({"pushType": "voip", "data": {"a": 1}, "apn": {"headers": {"apns-topic": f"{OTHER}.voip"}}}, None),
]
"""Content, and the suffix that its push type gives the app's bundle id; None where the send names another topic."""


async def test_what_is_shown_is_what_apns_gets(live: Live) -> None:
    """Of every push type, the bundle id of the app's one credential or what the send names, with its suffix: before it
    is sent, while it waits and afterwards."""
    await live.credential()
    for number, (content, suffix) in enumerate(KINDS):
        send = body(f"{number:02x}" * 32, content=content)  # what was refused once is not sent again
        topic = await foretold(live, send)
        ident = await accepted(live, send)
        assert await shown(live, ident) == topic
        assert await live.deliver() == 1
        assert received(live) == topic
        assert await shown(live, ident) == topic
        assert suffix is None or topic == BUNDLE + suffix


async def test_a_certificate_gives_the_bundle_id_it_was_made_for(live: Live) -> None:
    """Whatever other topics it lists."""
    made = live.simulator.portal.issue_certificate(CertificateOrder(bundle_id=BUNDLE, rsa=False))
    content = {"certificate": made.pem.decode(), "privateKey": made.key_pem.decode()}
    await live.service.app_named("shop", content=content)
    send = body(TOKEN)
    assert await foretold(live, send) == BUNDLE
    ident = await accepted(live, send)
    await live.deliver()
    assert (received(live), await shown(live, ident)) == (BUNDLE, BUNDLE)


async def test_credentials_of_one_bundle_id_are_as_good_as_one(live: Live) -> None:
    """Production and sandbox of one app: whichever carries it, the topic is the same."""
    await live.credential()
    await live.credential(type_="APN_SANDBOX")
    assert await foretold(live, body(TOKEN)) == BUNDLE


async def test_where_credentials_differ_there_is_none_until_one_carried_it(live: Live) -> None:
    """Nobody knows the environment of a token before it was tried; a credential that the send names is sure."""
    await live.credential()
    sandbox = await live.credential(type_="APN_SANDBOX", bundleId=OTHER)
    _, token = live.phone()
    assert await foretold(live, body(token)) is None
    ident = await accepted(live, body(token))
    assert await shown(live, ident) is None
    await live.deliver()
    assert received(live) == BUNDLE
    assert await shown(live, ident) == BUNDLE
    assert await foretold(live, body(token, **{"from": {"apn": sandbox}})) == OTHER


async def test_what_was_sent_is_told_as_it_was(live: Live) -> None:
    """By the credential that carried it, though another is the app's default now; not when that is gone."""
    first = await live.credential()
    ident = await accepted(live, body(TOKEN))
    await live.deliver()
    await live.service.app_named(content={**live.key(), "bundleId": OTHER}, isDefault=True)
    assert await foretold(live, body(TOKEN)) == OTHER
    assert await shown(live, ident) == BUNDLE
    assert (await live.service.delete(f"/Credentials/{first}")).status_code == 202
    assert await shown(live, ident) is None


async def test_what_was_never_tried_has_none(live: Live) -> None:
    """A canceled one went out with nothing: the app's credentials of that time are not known. The one it named is."""
    named = await live.credential()
    for more, topic in (({}, None), ({"from": {"apn": named}}, BUNDLE)):
        schedule = {"sendAt": ["2027-02-01T00:00:00Z"]}
        ident = await accepted(live, body(TOKEN, schedule=schedule, **more))
        assert await shown(live, ident) == BUNDLE
        assert (await live.service.delete(f"/{ident}")).status_code == 202
        assert await shown(live, ident) == topic


async def test_other_providers_have_none(live: Live) -> None:
    """FCM knows no topics of this kind."""
    await live.credential()
    send = {"to": [{"token": "f", "provider": "FCM"}], "content": {"body": "x"}}
    assert await shown(live, await accepted(live, send)) is None
