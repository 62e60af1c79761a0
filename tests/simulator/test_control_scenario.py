"""The control API on the whole world, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from support.control import control_client
from support.sim_client import World

from heliogram.simulator.control import scenario

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with control_client(world.simulator) as client:
        yield client


def test_endpoints() -> None:
    """The control API on scenarios, whole."""
    assert sorted(f"{each.method} {each.path}" for each in scenario.ENDPOINTS) == ["GET /scenario", "PUT /scenario"]


async def test_a_world_goes_out_and_comes_back(world: World, http: httpx2.AsyncClient) -> None:
    """What GET gives, PUT takes; pushes on an open connection go on."""
    client = await world.connect()
    document = (await http.get("/scenario")).json()
    assert document["devices"]["tokens"][0]["value"] == world.token
    assert (await http.post("/reset")).status_code == 204
    assert (await client.push(world.token, world.bearer)).status == 403
    assert (await http.put("/scenario", json=document)).status_code == 204
    assert (await client.push(world.token, world.bearer)).status == 200
    assert (await http.get("/scenario")).json()["keys"] == document["keys"]


async def test_a_large_world_is_taken(http: httpx2.AsyncClient) -> None:
    """A thousand devices are more than other requests may hold."""
    devices = [{"id": f"device-{at}", "name": "x" * 80, "platform": "ios"} for at in range(1000)]
    document = {"heliogramScenario": 1, "devices": {"devices": devices}}
    assert (await http.put("/scenario", json=document)).status_code == 204
    assert len((await http.get("/scenario")).json()["devices"]["devices"]) == 1000


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"heliogramScenario": 1, "nonsense": []}, 400),
        ({"heliogramScenario": 1, "devices": []}, 400),
        ({"heliogramScenario": 1, "settings": {"strict_json": True}}, 409),
    ],
)
async def test_bad_documents(world: World, http: httpx2.AsyncClient, document: object, status: int) -> None:
    """A problem, and nothing has changed."""
    answer = await http.put("/scenario", json=document)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(world.simulator.devices()) == 1
