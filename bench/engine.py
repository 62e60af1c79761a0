"""CPU seconds per 100,000 pushes of the engine, against a server in another process.

    python bench/engine.py [--pushes N] [--rounds N] [--connections N]

The server is `bench/sink.py`, which accepts everything: what is measured is the client. Every push has
a device token, an id and a body of its own. The client is pinned to one core and the server to another
where there are two. Rounds alternate `send_many` and `send` (1,000 concurrent).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from heliogram.apns import Alert, Client, Notification, SigningKey

CONCURRENT = 1000
Work = Callable[[Client, int], Coroutine[Any, Any, int]]


def pushes(count: int) -> Iterator[tuple[str, Notification]]:
    """Distinct token and distinct body for each push."""
    for i in range(count):
        text = f"Your order {i} has left our warehouse and will be with you tomorrow."
        yield f"{i:064x}", Notification(alert=Alert(title="On its way", body=text), badge=i % 100, custom={"order": i})


async def send_many(client: Client, count: int) -> int:
    """All pushes through one `send_many`."""
    accepted = 0
    async for outcome in client.send_many(pushes(count)):
        accepted += outcome.ok
    return accepted


async def send(client: Client, count: int) -> int:
    """`await client.send(...)` in 1,000 tasks that share one source."""
    source = pushes(count)
    accepted = 0

    async def worker() -> None:
        nonlocal accepted
        for token, notification in source:
            outcome = await client.send(token, notification)
            accepted += outcome.ok

    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return accepted


def cpu() -> float:
    """CPU seconds this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(work: Work, port: int, cafile: str, count: int, connections: int) -> tuple[float, float]:
    """CPU seconds per 100,000 pushes, and pushes per second."""
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id="ABC123DEFG", team_id="DEF123GHIJ")
    client = Client(
        key,
        topic="com.example.app",
        endpoint=f"127.0.0.1:{port}",
        cafile=cafile,
        max_connections=connections,
    )
    async with client:
        await send_many(client, min(count, 2000))
        started, before = time.perf_counter(), cpu()
        accepted = await work(client, count)
        spent, took = cpu() - before, time.perf_counter() - started
    if accepted != count:
        raise SystemExit(f"only {accepted} of {count} pushes were accepted")
    return spent * 100_000 / count, count / took


def start_sink(cores: list[int]) -> tuple[subprocess.Popen[str], int, str]:
    """The lean server, pinned to the last core."""
    script = Path(__file__).with_name("sink.py")
    process = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, {cores[-1]})
    assert process.stdout is not None
    port, cafile = process.stdout.readline().split()
    return process, int(port), cafile


def describe() -> str:
    """The machine and the versions."""
    names = ("heliogram", "msgspec", "cryptography")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, {ssl.OPENSSL_VERSION}, {versions}"
    )


def main() -> None:
    """Run the rounds and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=100_000, help="per round and way of sending")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=4, help="at most")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
    print(describe())
    print(f"{options.pushes} pushes a round, distinct body per push, at most {options.connections} connections")
    process, port, cafile = start_sink(cores)
    ways: dict[str, Work] = {"send_many": send_many, "send": send}
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    try:
        for _ in range(options.rounds):
            for name, work in ways.items():
                result = asyncio.run(measure(work, port, cafile, options.pushes, options.connections))
                results[name].append(result)
                print(f"  {name:9} {result[0]:6.3f} CPU s per 100,000   {result[1]:8.0f} pushes/s", flush=True)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(timeout=10)
    for name, pairs in results.items():
        seconds = statistics.median(pair[0] for pair in pairs)
        rate = statistics.median(pair[1] for pair in pairs)
        print(f"{name:9} median {seconds:6.3f} CPU s per 100,000   {rate:8.0f} pushes/s")


if __name__ == "__main__":
    main()
