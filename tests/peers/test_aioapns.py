"""PyPI's aioapns against the simulator: a client that shares no line of code with this project."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from anyio import create_task_group
from support.aioapns_peer import NotificationRequest, PushType, client_of
from support.sim_client import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(world: World) -> AsyncIterator[Any]:
    client = client_of(world, world.signer)
    yield client
    client.pool.close()


async def test_accepted_push(world: World, client: Any) -> None:
    """A push is accepted and stands on the device (CONN-30, SUR-2)."""
    request = NotificationRequest(
        device_token=world.token,
        message={"aps": {"alert": {"title": "Peer", "body": "Grüße"}}},
        push_type=PushType.ALERT,
        priority=10,
        time_to_live=60,
        collapse_key="peer",
    )
    result = await client.send_notification(request)
    assert (result.status, result.description) == ("200", None)
    (shown,) = world.simulator.notifications(world.device.id)
    assert (shown.title, shown.body, shown.apns_id) == ("Peer", "Grüße", request.notification_id)


async def test_many_at_once(world: World, client: Any) -> None:
    """A few hundred pushes on its connections are all accepted, each exactly once."""
    requests = [NotificationRequest(world.token, {"aps": {"alert": str(at)}}) for at in range(300)]
    results: list[Any] = []

    async def send(request: Any) -> None:
        results.append(await client.send_notification(request))

    async with create_task_group() as group:
        for request in requests:
            group.start_soon(send, request)
    assert {result.status for result in results} == {"200"}
    shown = {one.apns_id for one in world.simulator.notifications(world.device.id)}
    assert shown == {request.notification_id for request in requests}
