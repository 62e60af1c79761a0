"""PyPI's aioapns, pointed at the simulator.

aioapns has APNs' host and port as class attributes of its protocol, so a subclass names the simulator's; the
`ssl_context` it takes trusts the simulator's CA, and certificate and host name are verified as ever. It speaks TLS
without ALPN and sends `host` in place of `:authority` (CONN-11, CONN-30).
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Sequence
from typing import Any

from .peers import Result, p8
from .sim_client import TOPIC, Signer, World

with warnings.catch_warnings():
    # Its import of pyOpenSSL may warn of what that library deprecates; that is not ours to mend.
    warnings.simplefilter("ignore", DeprecationWarning)
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsProductionClientProtocol

__all__ = ["NotificationRequest", "PushType", "client_of", "push"]


def client_of(world: World, signer: Signer) -> Any:
    """An aioapns client for the simulator's production listener; close its ``pool``."""
    host, port = world.simulator.ports["production"]
    client = APNs(
        key=p8(signer),
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


async def push(world: World, token: str, texts: Sequence[str], signer: Signer) -> list[Result]:
    """The first alone, the others at once."""
    client = client_of(world, signer)
    requests = [NotificationRequest(token, {"aps": {"alert": text}}, push_type=PushType.ALERT) for text in texts]
    try:
        answers = [await client.send_notification(requests[0])]
        answers += await asyncio.gather(*map(client.send_notification, requests[1:]))
    finally:
        client.pool.close()
    return [Result(int(one.status), one.description, one.timestamp) for one in answers]
