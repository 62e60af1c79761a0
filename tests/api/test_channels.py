"""Broadcast channels of an app, kept by the simulator's APNs."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.live import BUNDLE, Live, living

from heliogram.simulator import Settings

pytestmark = pytest.mark.anyio

AWKWARD = base64.b64encode(b"\xfb\xff\xfe\xfb\xff\xfe\xfb").decode()
"""An id with everything that a path cannot hold as it is."""


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path, Settings(channels_per_app=3)) as live:
        yield live


async def create(live: Live, **more: Any) -> str:
    """A channel; its id in paths."""
    body = {"storagePolicy": "NO_MESSAGE_STORED", **more}
    return str((await live.post("/Apps/shop/Channels", body))["resourceId"])


async def listed(live: Live, **params: Any) -> list[str]:
    """The ids of a list, as APNs has them."""
    return [each["channelId"] for each in (await live.get("/Apps/shop/Channels", **params))["channels"]]


async def test_the_life_of_a_channel(live: Live) -> None:
    """OWN-38: Created, read, listed, deleted; the pointers lead to it (BC-2, BC-3)."""
    await live.credential()
    made = await live.post("/Apps/shop/Channels", {"storagePolicy": "MOST_RECENT_MESSAGE_STORED"})
    address = f"http://heliogram.test/v1/PushNotifications/Apps/shop/Channels/{made['resourceId']}"
    assert made["resourceLocation"] == address
    found = (await live.service.client.get(address)).json()
    (channel,) = live.simulator.channels.all()
    assert found == {
        "id": made["resourceId"],
        "channelId": channel.id,
        "appName": "shop",
        "environment": "production",
        "storagePolicy": "MOST_RECENT_MESSAGE_STORED",
        "pushType": "LiveActivity",
    }
    page = await live.get("/Apps/shop/Channels")
    assert page["channels"] == [{"id": made["resourceId"], "channelId": channel.id}]
    assert (page["count"], page["limit"], page["environment"]) == (1, 10_000, "production")
    gone = await live.service.delete(f"/Apps/shop/Channels/{made['resourceId']}")
    assert (gone.status_code, gone.json()["resourceId"]) == (202, made["resourceId"])
    assert await listed(live) == []


async def test_channels_do_not_cross_environments(live: Live) -> None:
    """Each lives in one (BC-2); the pointer of a sandbox channel says so."""
    await live.credential()
    await live.credential(type_="APN_SANDBOX")
    made = await live.post("/Apps/shop/Channels", {"storagePolicy": "NO_MESSAGE_STORED", "environment": "sandbox"})
    assert made["resourceLocation"].endswith("?environment=sandbox")
    assert (await live.service.client.get(made["resourceLocation"])).json()["environment"] == "sandbox"
    assert await listed(live) == []
    assert len(await listed(live, environment="sandbox")) == 1
    problem = await live.get(f"/Apps/shop/Channels/{made['resourceId']}", expect=404)
    assert problem["code"] == 70024


async def test_an_id_stands_in_paths_in_base64url(live: Live) -> None:
    """`+`, `/` and `=` are in APNs' ids: in paths `-` and `_` stand for the first two, and the padding may be left
    out."""
    await live.credential()
    live.simulator.channels.restore(AWKWARD, BUNDLE, "production", 0)
    assert {"+", "/", "="} <= set(AWKWARD)
    path = AWKWARD.replace("+", "-").replace("/", "_")
    assert (await live.get("/Apps/shop/Channels"))["channels"] == [{"id": path, "channelId": AWKWARD}]
    for text in (path, path.rstrip("="), path.replace("=", "%3D")):
        assert (await live.get(f"/Apps/shop/Channels/{text}"))["channelId"] == AWKWARD
    assert (await live.service.delete(f"/Apps/shop/Channels/{path}")).status_code == 202
    assert live.simulator.channels.all() == []


async def test_pages_lead_through_all_channels(live: Live) -> None:
    """In the order of their ids."""
    await live.credential()
    for _ in range(3):
        await create(live)
    everything = await listed(live)
    assert everything == sorted(channel.id for channel in live.simulator.channels.all())
    first = await live.get("/Apps/shop/Channels", pageSize=2)
    rest = await live.get("/Apps/shop/Channels", pageSize=2, pageToken=first["pagination"]["next"])
    assert [each["channelId"] for each in first["channels"] + rest["channels"]] == everything
    assert rest["pagination"]["next"] is None


async def test_apns_refusals_are_conflicts_with_its_reason(live: Live) -> None:
    """One channel too many, and a feature that is off (BC-1, BC-2): 409 with APNs' word in `detail`."""
    await live.credential()
    for _ in range(3):
        await create(live)
    body = {"storagePolicy": "NO_MESSAGE_STORED"}
    problem = await live.post("/Apps/shop/Channels", body, expect=409)
    assert problem["code"] == 70091
    assert "CannotCreateChannelConfig" in problem["detail"]


async def test_a_key_that_does_not_cover_the_app_is_refused(live: Live) -> None:
    """`TopicMismatch` (6.4)."""
    made = live.simulator.issue_key("TEAM123456", topics=["com.example.other"])
    content = {"signingKey": made.p8, "keyId": made.key_id, "teamId": "TEAM123456", "bundleId": BUNDLE}
    await live.service.app_named("shop", content=content)
    problem = await live.get("/Apps/shop/Channels", expect=409)
    assert "TopicMismatch" in problem["detail"]


@pytest.mark.parametrize("text", ["bm9ib2R5", "a=b", "%20", "a" * 257])
async def test_a_channel_that_is_not_there_is_a_404(live: Live, text: str) -> None:
    """Whether the id could be one or not."""
    await live.credential()
    for method in ("GET", "DELETE"):
        answer = await live.service.client.request(method, f"/v1/PushNotifications/Apps/shop/Channels/{text}")
        assert (answer.status_code, answer.json()["code"]) == (404, 70024)


async def test_trouble_at_apns_is_a_503(live: Live) -> None:
    """Later it may work; what may have happened says to look first."""
    await live.credential()
    await live.simulator.stop()
    asking = asyncio.create_task(live.service.get("/Apps/shop/Channels"))

    def over() -> bool:
        live.clock.advance(1)
        return asking.done()

    await live.until(over)
    answer = await asking
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, 20503, "5")


async def test_an_app_without_a_credential_for_the_environment_is_told_so(live: Live) -> None:
    """At the parameter or field that chose it; an unknown app is a 404."""
    await live.credential()
    problem = await live.get("/Apps/shop/Channels", expect=400, environment="sandbox")
    assert (problem["code"], problem["errors"][0]["context"]) == (70023, "query.environment")
    body = {"storagePolicy": "NO_MESSAGE_STORED", "environment": "sandbox"}
    problem = await live.post("/Apps/shop/Channels", body, expect=400)
    assert (problem["code"], problem["errors"][0]["context"]) == (70023, "$.environment")
    await live.get("/Apps/nobody/Channels", expect=404)


@pytest.mark.parametrize("body", [{}, {"storagePolicy": 1}, {"storagePolicy": "NO_MESSAGE_STORED", "environment": "x"}])
async def test_a_bad_channel_is_refused(live: Live, body: dict[str, Any]) -> None:
    """The policy is required, for it cannot be changed (BC-3)."""
    await live.credential()
    await live.post("/Apps/shop/Channels", body, expect=400)
    assert live.simulator.requests() == []


async def test_a_server_set_up_wrongly_tells_its_log_and_not_the_caller(live: Live, tmp_path: Path) -> None:
    """The path of the CA file is nobody else's business."""
    ident = await live.credential()
    (tmp_path / "ca.pem").unlink()
    problem = await live.get("/Apps/shop/Channels", expect=503)
    found = await live.post(f"/Credentials/{ident}/check", expect=200)
    assert found["ok"] is False
    for text in (problem["detail"], found["message"]):
        assert str(tmp_path) not in text
        assert "CA file" in text
