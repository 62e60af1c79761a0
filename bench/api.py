"""The REST API measured: requests a second, milliseconds of server CPU a request, and what the client waits.

    python bench/api.py [--only CASE …] [--seconds N] [--rounds N]

`heliogram serve` runs on one core, this feeder (and an idle simulator) on the other, where there are two. Cases:
`register` (one device a request, each another token, over 1 and over 64 connections), `renew` (the same tokens again),
`send` (to one token, 64 connections; the workers that send it run in the same process), `big` (10,000 recipients, 1.5
MB, scheduled for later, so that what is counted ends with the durable 202). CPU is that of the service's process alone,
its writer's thread included; medians of alternated rounds count. Exit status 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.harness import Verdict, at_rest, describe, report
from bench.service import CORES, PUSH, Bench

REGISTRATIONS = 3_000
"""Durable registrations a second that one core is to take."""
BIG_MS = 40
"""Server CPU that a send to 10,000 is to take at most."""
CASES = ("register", "renew", "send", "big")


class Target(NamedTuple):
    """Where requests go, and as whom."""

    host: str
    port: int
    authorization: str

    def request(self, path: str, body: bytes) -> bytes:
        """A POST as it goes over the wire."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: {self.authorization}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


class Figures(NamedTuple):
    """One round: requests a second, CPU milliseconds a request, and the slowest of every hundred waits in ms."""

    rate: float
    cpu: float
    slow: float


async def load(target: Target, bodies: Iterator[bytes], path: str, connections: int, seconds: float) -> list[float]:
    """Posts over so many connections for so long; the seconds each answer took."""
    end, waits = time.perf_counter() + seconds, []

    async def one() -> None:
        reader, writer = await asyncio.open_connection(target.host, target.port)
        while time.perf_counter() < end:
            begin = time.perf_counter()
            writer.write(target.request(path, next(bodies)))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"refused: {head!r} {await reader.read(2000)!r}")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            waits.append(time.perf_counter() - begin)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return waits


def measure(
    bench: Bench, target: Target, bodies: Iterator[bytes], path: str, connections: int, seconds: float
) -> Figures:
    """One round, once what earlier ones left to the workers is done."""
    at_rest(bench.cpu)
    cpu, begin = bench.cpu(), time.perf_counter()
    waits = asyncio.run(load(target, bodies, path, connections, seconds))
    wall = time.perf_counter() - begin
    slow = statistics.quantiles(waits, n=100)[-1] if len(waits) > 1 else waits[0]
    return Figures(len(waits) / wall, (bench.cpu() - cpu) * 1000 / len(waits), slow * 1000)


def registrations(numbers: Iterator[int]) -> Iterator[bytes]:
    """A device with another token each time, of a user of its own."""
    for number in numbers:
        yield b'{"appName":"bench","provider":"APN","token":"%064x"}' % number


def sends(recipient: dict[str, str]) -> Iterator[bytes]:
    """One push, another text each time."""
    for number in count():
        yield json.dumps({"to": [recipient], "content": {"title": "Hello", "body": f"Parcel {number}"}}).encode()


def big() -> Iterator[bytes]:
    """A send of about 1.5 MB to 10,000 tokens with a variable each, for tomorrow."""
    at = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    to = [
        {"token": f"{number:064x}", "provider": "APN", "variables": {"name": f"Ada {number}", "order": number}}
        for number in range(10_000)
    ]
    body = {
        "to": to,
        "content": {"body": "Hello {{ name }}, order {{ order }} is on its way"},
        "schedule": {"sendAt": [at]},
    }
    while True:
        yield json.dumps(body).encode()


def rows(token: str, wanted: list[str]) -> list[tuple[str, str, Iterator[bytes], int]]:
    """Name, path, bodies and connections of each row."""
    fresh = count(1 << 40)
    found = [
        ("register", "register, 1 connection", f"{PUSH}/DeviceRegistrations", registrations(fresh), 1),
        ("register", "register, 64 connections", f"{PUSH}/DeviceRegistrations", registrations(fresh), 64),
        (
            "renew",
            "renew, 64 connections",
            f"{PUSH}/DeviceRegistrations",
            registrations(iter(cycled(1 << 40, 1000))),
            64,
        ),
        ("send", "send to one, 64 connections", PUSH, sends({"token": token, "provider": "APN"}), 64),
        ("big", "send to 10,000, 1 connection", PUSH, big(), 1),
    ]
    return [row[1:] for row in found if row[0] in wanted]


def cycled(first: int, size: int) -> Iterator[int]:
    """`size` numbers, over and over."""
    for number in count():
        yield first + number % size


def verdicts(medians: dict[str, Figures]) -> Iterator[Verdict]:
    """What was to hold."""
    if (row := medians.get("register, 64 connections")) is not None:
        found = f"{row.rate:,.0f} a second, {row.cpu:.3f} ms of CPU each"
        yield Verdict(f"{REGISTRATIONS:,} durable registrations a second on one core", found, row.rate >= REGISTRATIONS)
    if (row := medians.get("send to 10,000, 1 connection")) is not None:
        found = f"{row.cpu:.1f} ms"
        yield Verdict(f"a send to 10,000: at most {BIG_MS} ms of server CPU up to the 202", found, row.cpu <= BIG_MS)


def main() -> None:
    """Run the rows in turn and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one row in one round (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds after a warm-up (default 3)")
    options = parser.parse_args()
    print(describe())
    os.sched_setaffinity(0, CORES[-1:])
    with ExitStack() as stack:
        bench = Bench(stack)
        (token,) = bench.prepare(1)
        url, auth = bench.api.base_url, ":".join(bench.key).encode()
        target = Target(url.host, url.port or 80, "Basic " + base64.b64encode(auth).decode())
        taken: dict[str, list[Figures]] = {}
        wanted = rows(token, options.only)
        for turn in range(options.rounds + 1):
            for name, path, bodies, connections in wanted:
                figures = measure(bench, target, bodies, path, connections, options.seconds if turn else 1.0)
                if turn:
                    taken.setdefault(name, []).append(figures)
    medians = {name: Figures(*map(statistics.median, zip(*found, strict=True))) for name, found in taken.items()}
    for name, row in medians.items():
        print(
            f"{name:32} {row.rate:8,.0f} a second   {row.cpu:7.3f} ms of CPU each   slowest 1 % from {row.slow:.1f} ms"
        )
    sys.exit(not report(list(verdicts(medians))))


if __name__ == "__main__":
    main()
