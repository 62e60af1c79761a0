"""The control API over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import validate
from support.control import ControlCaller, control_client
from support.sim_client import KEY_ID, TEAM, TOPIC, Clock, Signer, SimClient

from heliogram.simulator import Simulator
from heliogram.simulator.control import ENDPOINTS, about, build_control, keys
from heliogram.simulator.forward import Forwarder

pytestmark = pytest.mark.anyio


class Control(ControlCaller):
    """A simulator with its control API, and an HTTP client on it."""

    def __init__(self, simulator: Simulator, http: httpx2.AsyncClient, clock: Clock) -> None:
        super().__init__(http)
        self.simulator = simulator
        self.clock = clock

    async def device(self) -> str:
        made = await self.call("POST", "/devices", {"name": "Anna's iPhone", "platform": "ios"}, 201)
        return str(made["id"])


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    clock = Clock()
    simulator = Simulator(clock=clock)
    await simulator.start()
    async with control_client(simulator) as http:
        yield Control(simulator, http, clock)
    await simulator.stop()


async def test_a_push_from_nothing(control: Control) -> None:
    """Key, device, app, launch, push, lock screen: all over HTTP, the push over HTTP/2."""
    issued = await control.call("POST", "/portal/keys", {"teamId": TEAM}, 201)
    device_id = await control.device()
    app = {"bundleId": TOPIC, "environment": "sandbox"}
    installed = await control.call("POST", f"/devices/{device_id}/apps", app, 201)
    assert installed["deviceToken"] is None
    launched = await control.call("POST", f"/devices/{device_id}/apps/{TOPIC}/launch")
    assert set(launched) == {"deviceToken"}
    signer = Signer.from_p8(issued["keyId"], TEAM, issued["p8"])
    client = await SimClient.connect(control.simulator.ports["sandbox"], control.simulator.ca_pem)
    reply = await client.push(launched["deviceToken"], signer.token(int(control.clock.now)))
    assert reply.status == 200
    (shown,) = (await control.call("GET", f"/devices/{device_id}/notifications"))["notifications"]
    assert shown["body"] == "hello"
    assert shown["uniqueId"] == reply.headers["apns-unique-id"]
    assert set(shown) == {
        "apnsId", "uniqueId", "topic", "kind", "pushType", "priority", "collapseId", "title", "subtitle", "body",
        "badge", "sound", "payload", "receivedAt", "findings", "presentation", "threadId", "category",
        "interruptionLevel", "relevanceScore",
    }  # fmt: skip
    log = await control.call("GET", "/requests?limit=1")
    assert log["outcomes"] == {"Accepted": 1}
    assert set(log["requests"][0]) == {
        "at", "connection", "listener", "method", "path", "topic", "pushType", "apnsId", "status", "reason", "device",
        "number", "findings", "violations",
    }  # fmt: skip
    await control.call("DELETE", f"/devices/{device_id}/apps/{TOPIC}", status=204)
    reply = await client.push(launched["deviceToken"], signer.token(int(control.clock.now)))
    assert reply.verdict == (410, "Unregistered")
    await client.close()


async def test_keys(control: Control) -> None:
    """A public key is imported and listed; the private half of an issued one is in no later answer."""
    body = {
        "keyId": KEY_ID,
        "teamId": TEAM,
        "publicKey": Signer().public_pem,
        "topics": [TOPIC],
        "environment": "sandbox",
    }
    imported = await control.call("POST", "/keys", body, 201)
    assert imported == {
        "keyId": KEY_ID, "teamId": TEAM, "topics": [TOPIC], "environment": "sandbox", "relatedKeyId": None,
        "issued": False,
    }  # fmt: skip
    issued = await control.call("POST", "/portal/keys", {"teamId": TEAM, "environment": "production"}, 201)
    listed = await control.call("GET", "/keys")
    assert [key["keyId"] for key in listed["keys"]] == [KEY_ID, issued["keyId"]]
    assert "p8" not in str(listed)


async def test_second_download_is_refused(control: Control) -> None:
    """TOK-7: 409 for a key the portal has issued, 404 for any other, each with a message."""
    issued = await control.call("POST", "/portal/keys", {"teamId": TEAM}, 201)
    again = await control.call("GET", f"/portal/keys/{issued['keyId']}/p8", status=409)
    assert "cannot be downloaded again" in again["detail"]
    assert issued["p8"] not in str(again)
    await control.call("GET", "/portal/keys/NOSUCHKEY1/p8", status=404)


async def test_devices(control: Control) -> None:
    """A device is listed with its apps; unknown ones are 404."""
    device_id = await control.device()
    await control.call("POST", f"/devices/{device_id}/apps", {"bundleId": TOPIC, "environment": "production"}, 201)
    device = await control.call("GET", f"/devices/{device_id}")
    assert (device["name"], device["platform"], device["notifications"]) == ("Anna's iPhone", "ios", 0)
    assert [app["bundleId"] for app in device["apps"]] == [TOPIC]
    assert (await control.call("GET", "/devices"))["devices"] == [device]
    await control.call("GET", "/devices/nobody", status=404)
    await control.call("GET", "/devices/nobody/notifications", status=404)
    await control.call("POST", f"/devices/{device_id}/apps/com.example.none/launch", status=404)
    await control.call("DELETE", f"/devices/{device_id}/apps/com.example.none", status=404)


async def test_reinstall(control: Control) -> None:
    """The next launch after a reinstall gives another token."""
    device_id = await control.device()
    await control.call("POST", f"/devices/{device_id}/apps", {"bundleId": TOPIC, "environment": "production"}, 201)
    path = f"/devices/{device_id}/apps/{TOPIC}"
    first = await control.call("POST", f"{path}/launch")
    assert (await control.call("POST", f"{path}/reinstall"))["deviceToken"] is None
    assert await control.call("POST", f"{path}/launch") != first


async def test_registration_error(control: Control) -> None:
    """An app without the entitlement launches, and is told the registration error."""
    device_id = await control.device()
    app = {"bundleId": TOPIC, "environment": "production", "entitlement": False}
    await control.call("POST", f"/devices/{device_id}/apps", app, 201)
    launched = await control.call("POST", f"/devices/{device_id}/apps/{TOPIC}/launch")
    assert set(launched) == {"error"}
    assert "aps-environment" in launched["error"]


async def test_forward_result_is_in_the_launch_answer(control: Control) -> None:
    """The outcome of forwarding is shown, the credential never."""
    device_id = await control.device()
    url = f"{control.http.base_url}".rstrip("/") + "/nothing"
    forward = {"url": url, "apiKey": "id:hush", "userId": "u1", "appName": "shop"}
    app = {"bundleId": TOPIC, "environment": "production", "forward": forward}
    installed = await control.call("POST", f"/devices/{device_id}/apps", app, 201)
    launched = await control.call("POST", f"/devices/{device_id}/apps/{TOPIC}/launch")
    assert launched["forwarded"]["status"] == 404
    device = await control.call("GET", f"/devices/{device_id}")
    assert device["apps"][0]["forward"] == {"url": url, "userId": "u1", "appName": "shop", "pending": True}
    assert "hush" not in str((installed, launched, device))


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/keys", {"keyId": "x", "teamId": TEAM, "publicKey": ""}, "#/keyId"),
        ("/keys", {"keyId": KEY_ID, "teamId": TEAM, "publicKey": "junk"}, "#/publicKey"),
        ("/keys", {"keyId": KEY_ID, "teamId": TEAM}, "#/publicKey"),
        ("/keys", {"keyId": KEY_ID, "teamId": TEAM, "publicKey": "", "topics": []}, "#/topics"),
        ("/portal/keys", {"teamId": TEAM, "topics": [TOPIC, "com example"]}, "#/topics/1"),
        ("/portal/keys", {"teamId": TEAM, "environment": "staging"}, "#/environment"),
        ("/devices", {"name": "", "platform": "ios"}, "#/name"),
        ("/devices", {"name": "x", "platform": "android"}, "#/platform"),
        ("/devices", {"name": "x", "platform": "ios", "os": 1}, "#/os"),
        ("/devices/{id}/apps", {"bundleId": "x", "environment": "sandbox"}, "#/bundleId"),
        ("/devices/{id}/apps", {"bundleId": TOPIC}, "#/environment"),
        (
            "/devices/{id}/apps",
            {"bundleId": TOPIC, "environment": "sandbox", "forward": {"url": "ftp://x", "apiKey": "a:b"}},
            "#/forward/url",
        ),
    ],
)
async def test_wrong_fields_are_pointed_at(control: Control, path: str, body: dict[str, Any], pointer: str) -> None:
    """A wrong field is a 400 problem that points at it."""
    answer = await control.http.post(path.format(id=await control.device()), json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in [error.get("pointer") for error in answer.json()["errors"]]


@pytest.mark.parametrize(("limit", "status"), [("0", 400), ("1", 200), ("10000", 200), ("10001", 400), ("x", 400)])
async def test_request_limit(control: Control, limit: str, status: int) -> None:
    """1 to 10,000 requests may be asked for."""
    assert (await control.http.get(f"/requests?limit={limit}")).status_code == status


async def test_conflicts(control: Control) -> None:
    """What contradicts the present state is 409."""
    device_id = await control.device()
    app = {"bundleId": TOPIC, "environment": "production"}
    await control.call("POST", f"/devices/{device_id}/apps", app, 201)
    problem = await control.call("POST", f"/devices/{device_id}/apps", app, 409)
    assert TOPIC in problem["detail"]


async def test_reset(control: Control) -> None:
    """After a reset nothing is left."""
    await control.device()
    await control.call("POST", "/portal/keys", {"teamId": TEAM}, 201)
    await control.call("POST", "/reset", status=204)
    assert await control.call("GET", "/devices") == {"devices": []}
    assert await control.call("GET", "/keys") == {"keys": []}
    assert await control.call("GET", "/requests") == {"requests": [], "outcomes": {}}


async def test_index(control: Control) -> None:
    """The first page tells where the listeners, the CA and the documents are."""
    index = await control.call("GET", "/")
    host, port = control.simulator.ports["production"]
    assert index["listeners"]["production"] == f"{host}:{port}"
    assert index["caFile"] == str(control.simulator.ca_path)
    for link in index["links"].values():
        assert (await control.http.get(link)).status_code == 200


async def test_document(control: Control) -> None:
    """The OpenAPI document is valid and holds every endpoint; the human page asks nothing from outside."""
    document = await control.call("GET", "/openapi.json")
    validate(document)
    declared = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "servers"
    }
    assert declared == {(each.method, each.path) for each in ENDPOINTS}
    page = await control.http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_endpoints() -> None:
    """The control API on itself and on keys, whole; every other part pins its own."""
    pinned = (*about.ENDPOINTS, *keys.ENDPOINTS)
    assert all(each in ENDPOINTS for each in pinned)
    assert sorted(f"{each.method} {each.path}" for each in pinned) == [
        "DELETE /keys/{keyId}",
        "GET /",
        "GET /keys",
        "GET /portal/keys/{keyId}/p8",
        "POST /keys",
        "POST /portal/keys",
        "POST /reset",
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost"}, 200),
        ({"host": "localhost:8090"}, 200),
        ({"host": "[::1]:8090"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8090"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_only_this_machine(control: Control, headers: dict[str, str], status: int) -> None:
    """On loopback a foreign Host (DNS rebinding) or Origin is refused with a problem."""
    answer = await control.http.get("/keys", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_other_names_are_taken_when_bound_to_all_addresses() -> None:
    """Who opens the API to the network chose so; its names are not known here."""
    simulator = Simulator()
    await simulator.start()
    app = build_control(simulator, Forwarder(simulator.apns.registry), host="0.0.0.0")
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sim.example") as http:
        assert (await http.get("/keys")).status_code == 200
    await simulator.stop()
