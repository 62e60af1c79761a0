"""aioapns: `python aioapns_client.py PORT CAFILE PUSHES [connections]`; prints CPU seconds and wall seconds."""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
import sys
import time
from typing import Any

from aioapns import APNs, NotificationRequest, PushType
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

IN_FLIGHT = 900  # for each connection
WARM_UP = 1000


def client(port: int, cafile: str, connections: int) -> APNs:
    """An aioapns client that trusts this server and calls it in place of Apple."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    context = ssl.create_default_context(cafile=cafile)
    made = APNs(
        key=pem,
        key_id="ABC123DEFG",
        team_id="DEF123GHIJ",
        topic="com.example.app",
        ssl_context=context,
        max_connections=connections,
    )
    pool: Any = made.pool
    pool.protocol_class = type("Here", (pool.protocol_class,), {"APNS_SERVER": "127.0.0.1", "APNS_PORT": port})
    return made


def request(number: int) -> NotificationRequest:
    """A token and a body of its own."""
    text = f"Your order {number} has left our warehouse and will be with you tomorrow."
    aps: dict[str, Any] = {"alert": {"title": "On its way", "body": text}, "badge": number % 100}
    return NotificationRequest(
        device_token=f"{number:064x}",
        message={"aps": aps, "order": number},
        notification_id=f"27cfdc15-e305-27e0-e290-{number:012x}",
        priority=10,
        push_type=PushType.ALERT,
    )


async def send(apns: APNs, wanted: range, tasks: int) -> None:
    """All of them, by so many tasks. No number twice: aioapns finds the push by the id in the answer."""
    numbers = iter(wanted)

    async def worker() -> None:
        for number in numbers:
            answer = await apns.send_notification(request(number))
            assert answer.is_successful, answer.description

    await asyncio.gather(*(worker() for _ in range(tasks)))


async def run(port: int, cafile: str, count: int, connections: int) -> None:
    apns, tasks = client(port, cafile, connections), IN_FLIGHT * connections
    first = await apns.send_notification(request(count))
    assert first.is_successful, first.description
    await send(apns, range(count + 1, count + 1 + WARM_UP), tasks)
    usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await send(apns, range(count), tasks)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    print(cpu, time.perf_counter() - begin)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(run(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1))
