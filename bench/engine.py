"""CPU seconds per 100,000 pushes of the engine, against a server in another process.

    python bench/engine.py [--pushes N] [--rounds N] [--connections N] [--server simulator|sink]

The server is the simulator with all its checks (the default), or `bench/sink.py`, which accepts everything
and so limits the rate less. Only the client's CPU is counted. Every push has an id and a body of its own;
tokens are those of 100 virtual devices, or for the sink one for each push. The client is pinned to one core
and the server to another where there are two. Rounds alternate `send_many` and `send` (1,000 concurrent).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from heliogram.apns import Alert, Client, Notification, SigningKey

CONCURRENT = 1000
TEAM = "DEF123GHIJ"
TOPIC = "com.example.app"
Work = Callable[[Client, Iterator[tuple[str, Notification]]], Coroutine[Any, Any, int]]


class Server(NamedTuple):
    """A server in another process, and what it accepts."""

    process: subprocess.Popen[str]
    endpoint: str
    cafile: str
    key: SigningKey
    tokens: list[str]

    def pushes(self, count: int) -> Iterator[tuple[str, Notification]]:
        """A distinct body for each push."""
        known = len(self.tokens)
        for i in range(count):
            token = self.tokens[i % known] if known else f"{i:064x}"
            text = f"Your order {i} has left our warehouse and will be with you tomorrow."
            alert = Alert(title="On its way", body=text)
            yield token, Notification(alert=alert, badge=i % 100, custom={"order": i})


async def send_many(client: Client, source: Iterator[tuple[str, Notification]]) -> int:
    """All pushes through one `send_many`."""
    accepted = 0
    async for outcome in client.send_many(source):
        accepted += outcome.ok
    return accepted


async def send(client: Client, source: Iterator[tuple[str, Notification]]) -> int:
    """`await client.send(...)` in 1,000 tasks that share one source."""
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


async def measure(work: Work, server: Server, count: int, connections: int) -> tuple[float, float]:
    """CPU seconds per 100,000 pushes, and pushes per second."""
    client = Client(
        server.key,
        topic=TOPIC,
        endpoint=server.endpoint,
        cafile=server.cafile,
        max_connections=connections,
    )
    async with client:
        await send_many(client, server.pushes(min(count, 2000)))
        started, before = time.perf_counter(), cpu()
        accepted = await work(client, server.pushes(count))
        spent, took = cpu() - before, time.perf_counter() - started
    if accepted != count:
        raise SystemExit(f"only {accepted} of {count} pushes were accepted")
    return spent * 100_000 / count, count / took


def launch(cores: list[int], *words: str) -> tuple[subprocess.Popen[str], str]:
    """A process on the last core, and the first line it prints."""
    process = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, {cores[-1]})
    assert process.stdout is not None
    return process, process.stdout.readline()


def start_sink(cores: list[int], _folder: str) -> Server:
    """The lean server."""
    process, line = launch(cores, str(Path(__file__).with_name("sink.py")))
    port, cafile = line.split()
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id="ABC123DEFG", team_id=TEAM)
    return Server(process, f"127.0.0.1:{port}", cafile, key, [])


def start_simulator(cores: list[int], folder: str) -> Server:
    """The simulator, with a key and 100 virtual devices."""
    names = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
    listeners = [word for name in names for word in (f"--{name}", "127.0.0.1:0")]
    process, line = launch(cores, "-m", "heliogram", "simulator", *listeners, "--data", folder, "--json")
    ready = json.loads(line)

    def ask(path: str, body: object) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(ready["control"] + path, data, {"content-type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - our own child on loopback
            return json.load(answer)

    issued = ask("/portal/keys", {"teamId": TEAM})
    tokens = []
    for number in range(100):
        device = ask("/devices", {"name": f"phone {number}", "platform": "ios"})["id"]
        ask(f"/devices/{device}/apps", {"bundleId": TOPIC, "environment": "production"})
        tokens.append(ask(f"/devices/{device}/apps/{TOPIC}/launch", {})["deviceToken"])
    key = SigningKey.from_p8(issued["p8"], key_id=issued["keyId"], team_id=TEAM)
    return Server(process, ready["production"], ready["ca"], key, tokens)


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
    parser.add_argument("--server", choices=["simulator", "sink"], default="simulator")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[0]})
    print(describe())
    print(f"{options.pushes} pushes a round, distinct body per push, at most {options.connections} connections")
    print(f"against the {options.server} in another process")
    folder = tempfile.TemporaryDirectory(prefix="heliogram-bench-")
    server = (start_sink if options.server == "sink" else start_simulator)(cores, folder.name)
    ways: dict[str, Work] = {"send_many": send_many, "send": send}
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    try:
        for _ in range(options.rounds):
            for name, work in ways.items():
                result = asyncio.run(measure(work, server, options.pushes, options.connections))
                results[name].append(result)
                print(f"  {name:9} {result[0]:6.3f} CPU s per 100,000   {result[1]:8.0f} pushes/s", flush=True)
    finally:
        server.process.terminate()
        server.process.wait(timeout=10)
        folder.cleanup()
    for name, pairs in results.items():
        seconds = statistics.median(pair[0] for pair in pairs)
        rate = statistics.median(pair[1] for pair in pairs)
        print(f"{name:9} median {seconds:6.3f} CPU s per 100,000   {rate:8.0f} pushes/s")


if __name__ == "__main__":
    main()
