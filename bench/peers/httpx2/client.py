"""httpx2 over HTTP/2: `python client.py PORT CAFILE PUSHES [connections]`; prints CPU seconds and wall seconds."""

from __future__ import annotations

import asyncio
import os
import resource
import ssl
import sys
import time
from collections.abc import Iterable

import httpx2

# For each connection. It has 100 of them under way, whatever the server allows; the rest wait in it, and cost nothing.
IN_FLIGHT = 900
WARM_UP = 1000


async def push(client: httpx2.AsyncClient, number: int) -> None:
    """One push, with a token, an id and a body of its own."""
    text = f"Your order {number} has left our warehouse and will be with you tomorrow."
    answer = await client.post(
        f"/3/device/{number:064x}",
        json={"aps": {"alert": {"title": "On its way", "body": text}, "badge": number % 100}, "order": number},
        headers={"apns-id": f"27cfdc15-e305-27e0-e290-{number:012x}"},
    )
    assert answer.status_code == 200, answer.text


async def send(clients: list[httpx2.AsyncClient], numbers: Iterable[int]) -> None:
    """All of them, by so many tasks a connection."""
    source = iter(numbers)

    async def worker(client: httpx2.AsyncClient) -> None:
        for number in source:
            await push(client, number)

    await asyncio.gather(*(worker(client) for client in clients for _ in range(IN_FLIGHT)))


async def run(port: str, cafile: str, count: int, connections: int) -> None:
    headers = {
        "authorization": f"bearer {os.environ['PEER_TOKEN']}",
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
        "apns-priority": "10",
    }
    # Its pool opens a second connection only where the first is full, so each connection is a client.
    clients = [
        httpx2.AsyncClient(
            http1=False,
            http2=True,
            base_url=f"https://127.0.0.1:{port}",
            headers=headers,
            verify=ssl.create_default_context(cafile=cafile),
            limits=httpx2.Limits(max_connections=1),
            timeout=60,
        )
        for _ in range(connections)
    ]
    await send(clients, range(WARM_UP))
    usage, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await send(clients, range(count))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime - usage.ru_utime - usage.ru_stime, time.perf_counter() - begin)
    for client in clients:
        await client.aclose()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else 1))
