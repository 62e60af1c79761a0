"""REQ, TYPE, SIZE and LA rules as the engine keeps them: what a request may hold."""

from __future__ import annotations

import re

import pytest
from support.apns_server import ApnsServer, header
from support.engine import HELLO, TOKEN, MakeClient

from heliogram.apns import InvalidNotification, Notification, PushType

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("given", ["00000083-ebe9-9f57-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"])
async def test_any_uuid_is_an_id(server: ApnsServer, make_client: MakeClient, given: str) -> None:
    """REQ-1: an id needs no RFC 4122 version bits; one of our own is lower-case 8-4-4-4-12."""
    client = make_client()
    assert (await client.send(TOKEN, HELLO, apns_id=given)).apns_id == given
    await client.send(TOKEN, HELLO)
    first, second = (header(one, b"apns-id").decode() for one in server.requests)
    assert first == given
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", second)


async def test_token_in_the_path(server: ApnsServer, make_client: MakeClient) -> None:
    """REQ-6, REQ-7: lower-case hex of any length from 16 to 400 digits, whatever came in."""
    client = make_client()
    for given in ("AB" * 8, "<abCD 1234 abcd 1234 abcd>", "12" * 54, "fe" * 80, "0f" * 200):
        assert (await client.send(given, HELLO)).ok
    paths = [header(one, b":path").decode() for one in server.requests]
    assert [len(path.removeprefix("/3/device/")) for path in paths] == [16, 20, 108, 160, 400]
    assert all(re.fullmatch("/3/device/[0-9a-f]+", path) for path in paths)


async def test_a_watch_app_has_its_own_topic(server: ApnsServer, make_client: MakeClient) -> None:
    """TYPE-5: a standalone watch app's bundle id is a topic like any other."""
    await make_client(topic="com.example.app.watchkitapp").send(TOKEN, HELLO)
    assert header(server.requests[0], b"apns-topic") == b"com.example.app.watchkitapp"


def test_an_empty_payload_never_leaves() -> None:
    """SIZE-2: no body is refused before sending."""
    with pytest.raises(InvalidNotification, match="payload"):
        Notification(payload=b"").prepare()


def test_content_state_is_not_touched() -> None:
    """LA-2: the state goes out as it was given, for Swift's default decoder: no key renamed, no value converted."""
    state = {"homeScore": 1, "away_score": 2, "Kick-Off": 1.5, "nested": {"A": [True, None, "x"]}}
    body = Notification(
        push_type=PushType.LIVEACTIVITY, event="update", timestamp=1_800_000_000, content_state=state
    ).prepare()
    expected = b'"content-state":{"homeScore":1,"away_score":2,"Kick-Off":1.5,"nested":{"A":[true,null,"x"]}}'
    assert expected in body.body
