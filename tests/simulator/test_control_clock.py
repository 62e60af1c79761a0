"""The control API on time, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from support.control import control_client
from support.sim_client import World

from heliogram.simulator.control import clock
from heliogram.simulator.timing import LATEST

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with control_client(world.simulator) as client:
        yield client


def test_endpoints() -> None:
    """The control API on time, whole."""
    assert sorted(f"{each.method} {each.path}" for each in clock.ENDPOINTS) == ["GET /clock", "POST /clock"]


async def test_the_clock_is_read_and_moved(http: httpx2.AsyncClient) -> None:
    """Advance adds up, set replaces, reset goes back to the unmoved clock."""
    unmoved = {"now": 1_800_000_000.0, "at": "2027-01-15T08:00:00.000Z", "offset": 0.0, "waiting": 0}
    assert (await http.get("/clock")).json() == unmoved
    assert (await http.post("/clock", json={"advance": 3600})).json()["at"] == "2027-01-15T09:00:00.000Z"
    assert (await http.post("/clock", json={"advance": 0.5})).json()["offset"] == 3600.5
    assert (await http.post("/clock", json={"set": 0})).json()["at"] == "1970-01-01T00:00:00.000Z"
    assert (await http.post("/clock", json={"set": LATEST})).json()["now"] == LATEST
    assert (await http.post("/clock", json={"reset": True})).json() == unmoved


async def test_tok_8_a_token_is_expired_from_outside(world: World, http: httpx2.AsyncClient) -> None:
    """TOK-8: a test in any language sees ExpiredProviderToken on its open connection without waiting an hour."""
    client = await world.connect()
    assert (await client.push(world.token, world.bearer)).status == 200
    assert (await http.post("/clock", json={"advance": 3601})).status_code == 200
    assert (await client.push(world.token, world.bearer)).reason == "ExpiredProviderToken"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reset": False},
        {"advance": 1, "set": 1},
        {"advance": 1, "reset": True},
        {"advance": -1},
        {"advance": LATEST},
        {"advance": "1"},
        {"set": -1},
        {"set": LATEST + 1},
        {"jump": 1},
    ],
)
async def test_bad_moves(http: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    """Exactly one of the three, within bounds; a bad request moves nothing."""
    answer = await http.post("/clock", json=body)
    assert answer.status_code == 400
    assert answer.json()["errors"]
    assert (await http.get("/clock")).json()["offset"] == 0
