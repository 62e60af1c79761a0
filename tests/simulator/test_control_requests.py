"""The control API on requests, findings and violations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
from support.sim_client import TOPIC, World

from heliogram.simulator.control import build_control, requests
from heliogram.simulator.forward import Forwarder

pytestmark = pytest.mark.anyio


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    app = build_control(world.simulator, Forwarder(world.simulator.apns.registry))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_findings_and_violations_of_a_request(world: World, http: httpx2.AsyncClient) -> None:
    """REQ-5, TOK-9: the log shows, with each request, the faults of its push and what its client did wrong."""
    await world.push()
    world.simulator.apns.violations.add(1, "TOK-9", "a young token", request=1)
    listed = (await http.get("/requests")).json()
    assert listed["outcomes"] == {"Accepted": 1}
    (one,) = listed["requests"]
    assert (one["number"], one["violations"]) == (1, ["TOK-9: a young token"])
    assert one["findings"][0].startswith("REQ-5: apns-push-type is missing")


async def test_a_request_in_full(world: World, http: httpx2.AsyncClient) -> None:
    """TOK-1: header fields and body as they came, without the provider token."""
    await world.push(("apns-push-type", "alert"), body=b'{"aps":{"alert":"\xc3\xa9"}}')
    answer = await http.get("/requests/1")
    found = answer.json()
    assert (found["number"], found["status"], found["size"]) == (1, 200, 22)
    assert found["body"] == '{"aps":{"alert":"é"}}'
    assert {"name": "apns-topic", "value": TOPIC} in found["headers"]
    assert {"name": "authorization", "value": "bearer …"} in found["headers"]
    assert world.bearer not in answer.text


async def test_answers_are_read_in_their_order_page_by_page(world: World, http: httpx2.AsyncClient) -> None:
    """Every request's answer with its apns-id; ``after`` goes on where the last page ended, also after a reset."""
    for _ in range(3):
        await world.push(("apns-push-type", "alert"))
    first = (await http.get("/answers", params={"limit": 2})).json()["answers"]
    assert [each["number"] for each in first] == [1, 2]
    (last,) = (await http.get("/answers", params={"after": 2})).json()["answers"]
    assert (last["number"], last["status"], last["reason"]) == (3, 200, None)
    assert last["path"].startswith("/3/device/")
    assert len({each["apnsId"] for each in (*first, last)}) == 3
    assert (await http.get("/answers", params={"after": 3})).json() == {"answers": []}
    await http.post("/reset")
    assert (await http.get("/answers", params={"after": 1})).json() == {"answers": []}


@pytest.mark.parametrize("number", ["0", "2", "x", "9" * 30])
async def test_a_request_that_is_not_there(world: World, http: httpx2.AsyncClient, number: str) -> None:
    """404, and the answer says which are kept."""
    await world.push()
    answer = await http.get(f"/requests/{number}")
    assert answer.status_code == 404
    assert "there is no request" in answer.json()["detail"]


async def test_numbers_go_on_after_a_reset(world: World, http: httpx2.AsyncClient) -> None:
    """A request keeps its number; what a reset forgot is not found any more."""
    await world.push()
    await http.post("/reset")
    await world.push()
    assert [one["number"] for one in (await http.get("/requests")).json()["requests"]] == [2]
    assert (await http.get("/requests/1")).status_code == 404


async def test_violations_are_listed(world: World, http: httpx2.AsyncClient) -> None:
    """Newest first, counted by rule, narrowed by rule or connection; a reset forgets them."""
    violations = world.simulator.apns.violations
    violations.add(1, "CONN-14", "two streams", streams=2)
    violations.add(2, "TOK-9", "a young token", apns_id="x", request=4)
    listed = (await http.get("/violations")).json()
    assert listed["byRule"] == {"CONN-14": 1, "TOK-9": 1}
    newest, oldest = listed["violations"]
    assert (newest["rule"], newest["connection"], newest["apnsId"], newest["request"]) == ("TOK-9", 2, "x", 4)
    assert oldest["details"] == {"streams": 2}
    for query in ("rule=CONN-14", "connection=1"):
        assert (await http.get(f"/violations?{query}")).json()["violations"] == [oldest]
    assert len((await http.get("/violations?limit=1")).json()["violations"]) == 1
    await http.post("/reset")
    assert (await http.get("/violations")).json() == {"violations": [], "byRule": {}}


@pytest.mark.parametrize(("query", "status"), [("limit=1000", 200), ("limit=0", 400), ("limit=1001", 400)])
async def test_how_many_violations(world: World, http: httpx2.AsyncClient, query: str, status: int) -> None:
    """The bounds on the list."""
    assert (await http.get(f"/violations?{query}")).status_code == status


def test_endpoints() -> None:
    """This part of the control API, whole."""
    assert sorted(f"{each.method} {each.path}" for each in requests.ENDPOINTS) == [
        "GET /answers",
        "GET /requests",
        "GET /requests/{number}",
        "GET /violations",
    ]
