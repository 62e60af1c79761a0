"""Heliogram against the sink: `heliogram_client.py PORT CAFILE PUSHES many|send|send-uvloop`; prints CPU and wall s."""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec

from heliogram.apns import Alert, Client, Notification, SigningKey

CONCURRENT = 1000


def pushes(count: int) -> Iterator[tuple[str, Notification]]:
    """A token and a body of its own for each push."""
    for number in range(count):
        text = f"Your order {number} has left our warehouse and will be with you tomorrow."
        alert = Alert(title="On its way", body=text)
        yield f"{number:064x}", Notification(alert=alert, badge=number % 100, custom={"order": number})


async def many(client: Client, count: int) -> None:
    async for outcome in client.send_many(pushes(count)):
        assert outcome.ok, outcome


async def single(client: Client, count: int) -> None:
    source = pushes(count)

    async def worker() -> None:
        for token, notification in source:
            outcome = await client.send(token, notification)
            assert outcome.ok, outcome

    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))


async def run(port: str, cafile: str, count: int, way: str) -> None:
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id="ABC123DEFG", team_id="DEF123GHIJ")
    endpoint = f"127.0.0.1:{port}"
    async with Client(key, topic="com.example.app", endpoint=endpoint, cafile=cafile, max_connections=1) as client:
        await many(client, 2000)
        usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await (many if way == "many" else single)(client, count)
        used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime
    print(cpu, time.perf_counter() - begin)


if __name__ == "__main__":
    work = run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    if sys.argv[4].endswith("uvloop"):
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)
