"""A window on many devices, as the page reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from heliogram.simulator import Simulator
from heliogram.simulator.control import build_control, phones
from heliogram.simulator.forward import Forwarder
from heliogram.simulator.lockscreen import Arrival

pytestmark = pytest.mark.anyio

TOPIC = "com.example.app"


class Crowd:
    """A simulator with five devices, the last two with an app, and a client on its control API."""

    def __init__(self, simulator: Simulator, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http
        self.devices = [simulator.add_device(f"Phone {number}") for number in range(5)]
        self.tokens = []
        for device in self.devices[3:]:
            simulator.install(device.id, TOPIC)
            self.tokens.append(simulator.launch(device.id, TOPIC).device_token or "")

    async def read(self, **query: Any) -> Any:
        answer = await self.http.get("/phones", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def crowd() -> AsyncIterator[Crowd]:
    simulator = Simulator()
    forwarder = Forwarder(simulator.apns.registry)
    transport = httpx2.ASGITransport(build_control(simulator, forwarder))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        yield Crowd(simulator, http)
    await forwarder.close()


async def test_a_window_says_how_much_there_is_beside_it(crowd: Crowd) -> None:
    """The window has the devices asked for, in the order in which they were made, and the counts of all."""
    window = await crowd.read(first=1, limit=2)
    assert (window["total"], window["matching"], window["first"]) == (5, 5, 1)
    assert [phone["device"]["name"] for phone in window["phones"]] == ["Phone 1", "Phone 2"]
    assert (await crowd.read(first=5))["phones"] == []


@pytest.mark.parametrize("limit", [0, 51])
async def test_a_window_is_bounded(crowd: Crowd, limit: int) -> None:
    """From 1 to 50 devices are shown at a time, no more."""
    assert len((await crowd.read(limit=50))["phones"]) == 5
    assert (await crowd.http.get("/phones", params={"limit": limit})).status_code == 400


@pytest.mark.parametrize("first", [-1, 1_000_000_001, 2**63 - 1])
async def test_a_window_begins_within_bounds(crowd: Crowd, first: int) -> None:
    """At most 1,000,000,000 devices are skipped."""
    assert (await crowd.read(first=1_000_000_000))["phones"] == []
    assert (await crowd.http.get("/phones", params={"first": first})).status_code == 400


async def test_a_search_finds_by_name_app_id_and_token(crowd: Crowd) -> None:
    """Part of a name or bundle id, the beginning of an id or of a device token, whatever the case."""
    for search, found in (
        ("PHONE 3", ["Phone 3"]),
        ("example", ["Phone 3", "Phone 4"]),
        (crowd.devices[0].id, ["Phone 0"]),
        (crowd.tokens[1][:16], ["Phone 4"]),
        ("nobody", []),
    ):
        window = await crowd.read(search=search)
        assert [phone["device"]["name"] for phone in window["phones"]] == found
        assert (window["total"], window["matching"]) == (5, len(found))


@pytest.mark.parametrize("arrived", [phones.SHOWN, phones.SHOWN + 1])
async def test_a_phone_shows_its_latest_notifications(crowd: Crowd, arrived: int) -> None:
    """The latest 20 are there, oldest first; of one more, the first is left out and only counted."""
    device = crowd.devices[4]
    token = crowd.simulator.apns.registry.tokens[crowd.tokens[1].encode()]
    for number in range(arrived):
        body = b'{"aps":{"alert":"%d"}}' % number
        token.receive(Arrival(b"%d" % number, None, TOPIC.encode(), b"alert", None, None, body, 1.0))
    (phone,) = (await crowd.read(search=device.id))["phones"]
    shown = [int(each["body"]) for each in phone["notifications"]]
    assert shown == list(range(arrived - phones.SHOWN, arrived))
    assert phone["device"]["notifications"] == arrived


async def test_a_phone_has_its_log_and_its_activities(crowd: Crowd) -> None:
    """What happened on the phone and the cards on it come with it, and whether it can reach APNs."""
    device = crowd.devices[3]
    device.connect(False)
    crowd.simulator.apns.registry.activities.start(device.id, TOPIC, "Delivery", content_state={"stop": 1})
    (phone,) = (await crowd.read(search=device.id))["phones"]
    assert phone["connected"] is False
    assert [card["contentState"] for card in phone["activities"]] == [{"stop": 1}]
    assert phone["log"][0]["text"] == "offline"
