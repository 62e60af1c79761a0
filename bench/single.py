"""Sends to one, the dear case: sends a second over 64 connections, from the request to the recorded outcome.

To a token, and to a user with one device, in turn.

Run it as `python bench/service.py --single`.
"""

from __future__ import annotations

import asyncio
import base64
import statistics
import time

from bench.api import Target, load, sends
from bench.harness import Verdict, at_rest
from bench.service import PUSH, Bench

CONNECTIONS = 64
RATE = 2_000
"""Single sends a second that one core is to take, recorded."""


def single(bench: Bench, seconds: float, rounds: int) -> list[Verdict]:
    """Rounds of so many seconds after a warm-up, and the verdicts on their medians."""
    token, other = bench.prepare(2)
    (user,) = bench.register([other], 1)
    url, auth = bench.api.base_url, ":".join(bench.key).encode()
    target = Target(url.host, url.port or 80, "Basic " + base64.b64encode(auth).decode())
    bodies = {"token": sends({"token": token, "provider": "APN"}), "user": sends({"userId": user})}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in bodies}
    for turn in range(rounds + 1):
        for name, rows in taken.items():
            at_rest(bench.cpu)
            cpu, begin = bench.cpu(), time.perf_counter()
            waits = asyncio.run(load(target, bodies[name], PUSH, CONNECTIONS, seconds if turn else 1.0))
            drain(bench)
            rate = len(waits) / (time.perf_counter() - begin)
            if turn:
                rows.append((rate, (bench.cpu() - cpu) / len(waits) * 1000))
    return [verdict_of(name, rows) for name, rows in taken.items()]


def verdict_of(name: str, rows: list[tuple[float, float]]) -> Verdict:
    """Tells the medians of one kind of recipient, and what is to hold."""
    rate, cost = (statistics.median(each) for each in zip(*rows, strict=True))
    print(f"sends to one {name} over {CONNECTIONS} connections: {rate:,.0f} a second, {cost:.3f} ms of CPU each")
    return Verdict(f"single sends to a {name}, recorded: >= {RATE:,} a second", f"{rate:,.0f}", rate >= RATE)


def drain(bench: Bench) -> None:
    """Waits until no operation is under way."""
    while True:
        found = bench.api.get(f"{PUSH}/Operations", params={"status": "PROCESSING", "pageSize": 1}).json()
        if not found["operations"]:
            return
        time.sleep(0.02)
