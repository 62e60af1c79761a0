"""The control API on faults and connections, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from support.control import control_client
from support.sim_client import World

from heliogram.simulator.control import connections, faults

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    async with control_client(world.simulator) as client:
        yield client


def test_endpoints() -> None:
    """The control API on faults and connections, whole."""
    assert sorted(f"{each.method} {each.path}" for each in (*faults.ENDPOINTS, *connections.ENDPOINTS)) == [
        "DELETE /connections/{number}",
        "DELETE /faults",
        "DELETE /faults/{id}",
        "GET /connections",
        "GET /connections/{number}",
        "GET /faults",
        "POST /connections/{number}/goaway",
        "POST /faults",
    ]


async def test_a_fault_comes_and_goes(world: World, http: httpx2.AsyncClient) -> None:
    """Set, met, counted, listed, lifted."""
    made = await http.post("/faults", json={"status": 503, "reason": "Shutdown", "next": 3})
    assert made.status_code == 201
    assert made.json() == {
        "id": 1, "kind": "status", "fault": {"status": 503, "reason": "Shutdown", "next": 3}, "hits": 0, "left": 3,
        "until": None,
    }  # fmt: skip
    assert (await world.push()).verdict == (503, "Shutdown")
    (listed,) = (await http.get("/faults")).json()["faults"]
    assert (listed["hits"], listed["left"]) == (1, 2)
    assert (await http.delete("/faults/1")).status_code == 204
    assert (await world.push()).status == 200
    assert (await http.delete("/faults/1")).status_code == 404
    assert (await http.delete("/faults/x")).status_code == 404
    await http.post("/faults", json={"kind": "silence"})
    assert (await http.delete("/faults")).status_code == 204
    assert (await http.get("/faults")).json() == {"faults": []}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "kind", "must be one of status, delay"),
        ({"kind": "nothing"}, "kind", ""),
        ({"status": 99}, "status", ""),
        ({"status": 600}, "status", ""),
        ({"kind": "status", "reason": "Nonsense"}, "status", "200 to 599"),
        ({"status": 503, "code": 1}, "code", "does not go with the kind status"),
        ({"status": 503, "body": "x", "reason": "Shutdown"}, "body", "exclude"),
        ({"status": 429, "retryAfter": " 1"}, "retryAfter", "without blanks at its ends"),
        ({"status": 429, "retryAfter": "1 "}, "retryAfter", "without blanks at its ends"),
        ({"status": 429, "retryAfter": "é"}, "retryAfter", "printable ASCII"),
        ({"status": 429, "retryAfter": "1\r\nx: y"}, "retryAfter", "printable ASCII"),
        ({"status": 503, "next": 0}, "next", ""),
        ({"status": 503, "share": 0}, "share", ""),
        ({"status": 503, "share": 1.01}, "share", ""),
        ({"status": 503, "seconds": 1, "until": 1}, "until", "exclude"),
        ({"status": 503, "listener": "moon"}, "listener", "production, sandbox"),
        ({"status": 503, "token": "xyz"}, "token", ""),
        ({"kind": "delay"}, "delayMs", "milliseconds"),
        ({"kind": "silence", "jitterMs": 1}, "jitterMs", "does not go"),
        ({"kind": "status", "status": 500, "jitterMs": 1}, "jitterMs", "needs delayMs"),
        ({"kind": "reset", "code": "NONSENSE"}, "code", "REFUSED_STREAM"),
        ({"kind": "reset", "code": -1}, "code", "0 to 4294967295"),
        ({"kind": "goaway", "debug": "x", "reason": "y"}, "debug", "exclude"),
        ({"kind": "streamLimit"}, "streamLimit", "is needed"),
        ({"kind": "tls", "alert": "nonsense"}, "alert", "unknown_ca"),
        ({"kind": "tls", "connection": 1}, "connection", "can be limited by listener"),
        ({"kind": "refuse", "next": 1}, "next", "can be limited by listener"),
        ({"kind": "status", "status": 503, "unknown": 1}, "unknown", ""),
    ],
)
async def test_mistakes_are_told_by_field(
    http: httpx2.AsyncClient, body: dict[str, Any], field: str, says: str
) -> None:
    """A fault that makes no sense is a 400 that names the field and what to write."""
    answer = await http.post("/faults", json=body)
    assert answer.status_code == 400, answer.text
    assert field in answer.text
    assert says in answer.text


async def test_a_fault_on_a_device_that_is_not_there(http: httpx2.AsyncClient) -> None:
    """404, with what to do."""
    answer = await http.post("/faults", json={"status": 503, "device": "none"})
    assert answer.status_code == 404


async def test_connections_are_listed_retired_and_cut(world: World, http: httpx2.AsyncClient) -> None:
    """CONN-20, CONN-22: what is known of a connection, its orderly end with a reason, and its sudden one."""
    first, second = await world.connect(), await world.connect(alpn=())
    await first.push(world.token, world.bearer)
    await second.push(world.token, None)
    one, two = (await http.get("/connections")).json()["connections"]
    assert one == {
        "number": 1, "listener": "production", "source": "127.0.0.1", "openedAt": "2027-01-15T08:00:00.000Z",
        "tls": "TLSv1.3", "alpn": "h2", "certificate": False, "team": "TEAM123456", "requests": 1, "openStreams": 0,
        "streamLimit": 1000,
    }  # fmt: skip
    assert (two["number"], two["alpn"], two["team"]) == (2, None, None)
    assert (await http.get("/connections/2")).json() == two
    assert (await http.post("/connections/1/goaway", json={"reason": "Shutdown"})).status_code == 204
    await first.closed
    assert first.goaways == [(0, 1, b'{"reason":"Shutdown"}')]
    assert (await http.delete("/connections/2")).status_code == 204
    await second.closed
    assert second.goaways == []
    assert (await http.get("/connections/2")).status_code == 404
    assert (await http.post("/connections/x/goaway", json={})).status_code == 404
    assert (await http.post("/connections/1/goaway", json={"code": "NONSENSE"})).status_code == 400
