"""PyPI's aioapns against the simulator: a client that shares no line of code with this project.

aioapns has APNs' host and port as class attributes of its protocol, so a subclass names the simulator's; the
`ssl_context` it takes trusts the simulator's CA, and certificate and host name are verified as ever. It speaks TLS
without ALPN and sends `host` in place of `:authority` (CONN-11, CONN-30).
"""

from __future__ import annotations

import ssl
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anyio import create_task_group
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.sim_client import KEY_ID, TEAM, TOPIC, Signer, World

with warnings.catch_warnings():
    # Its import of pyOpenSSL may warn of what that library deprecates; that is not ours to mend.
    warnings.simplefilter("ignore", DeprecationWarning)
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsProductionClientProtocol

pytestmark = pytest.mark.anyio


def client_of(world: World, signer: Signer) -> Any:
    """An aioapns client for the simulator's production listener."""
    host, port = world.simulator.ports["production"]
    pem = signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    client = APNs(
        key=pem,
        key_id=signer.key_id,
        team_id=signer.team_id,
        topic=TOPIC,
        max_connection_attempts=1,
        ssl_context=ssl.create_default_context(cadata=world.simulator.ca_pem.decode()),
    )

    class Local(APNsProductionClientProtocol):
        APNS_SERVER = host
        APNS_PORT = port

    client.pool.protocol_class = Local
    return client


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


async def test_unregistered(world: World, client: Any) -> None:
    """The 410 of an uninstalled app arrives with its timestamp."""
    world.simulator.uninstall(world.device.id, TOPIC)
    result = await client.send_notification(NotificationRequest(world.token, {"aps": {"alert": "x"}}))
    assert (result.status, result.description) == ("410", "Unregistered")
    assert result.timestamp == int(world.clock.now * 1000)


async def test_wrong_key(world: World) -> None:
    """A key the simulator does not know by that id is InvalidProviderToken."""
    client = client_of(world, Signer(KEY_ID, TEAM))
    result = await client.send_notification(NotificationRequest(world.token, {"aps": {"alert": "x"}}))
    assert (result.status, result.description) == ("403", "InvalidProviderToken")
    client.pool.close()


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
