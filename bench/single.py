"""Sends to one token, the dear case: sends a second over 64 connections, from the request to the recorded outcome.

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
    """Rounds of so many seconds after a warm-up, and the verdict on their median."""
    (token,) = bench.prepare(1)
    url, auth = bench.api.base_url, ":".join(bench.key).encode()
    target = Target(url.host, url.port or 80, "Basic " + base64.b64encode(auth).decode())
    bodies, rates, costs = sends(token), [], []
    for turn in range(rounds + 1):
        at_rest(bench.cpu)
        cpu, begin = bench.cpu(), time.perf_counter()
        waits = asyncio.run(load(target, bodies, PUSH, CONNECTIONS, seconds if turn else 1.0))
        drain(bench)
        if turn:
            rates.append(len(waits) / (time.perf_counter() - begin))
            costs.append((bench.cpu() - cpu) / len(waits) * 1000)
    rate, cost = statistics.median(rates), statistics.median(costs)
    print(f"sends to one token over {CONNECTIONS} connections: {rate:,.0f} a second, {cost:.3f} ms of CPU each")
    return [Verdict(f"single sends, recorded: >= {RATE:,} a second", f"{rate:,.0f}", rate >= RATE)]


def drain(bench: Bench) -> None:
    """Waits until no operation is under way."""
    while True:
        found = bench.api.get(f"{PUSH}/Operations", params={"status": "PROCESSING", "pageSize": 1}).json()
        if not found["operations"]:
            return
        time.sleep(0.02)
