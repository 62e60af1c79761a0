"""Whether each team's pushes leave from few workers: 8 teams, 4 workers, NATS (TOK-10 wants few connections a team).

Every team has small sends all the time and campaigns among them. The database tells which worker had each chunk. Seen:
the first seconds of workers that have just been started and never had anything, a steady while after that, and what
becomes of the teams of a worker that is killed.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import signal
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import asyncpg

from bench.api import Target
from bench.fleet import PUSH, Fleet, Node
from bench.harness import Verdict, at_least, at_most

TEAMS, WORKERS = 8, 4
SMALL, SMALL_EVERY = 10, 0.25
"""Recipients of a small send, and the seconds between two of a team's, on average."""
LARGE, LARGE_EVERY = 2_000, 5.0
COLD_SECONDS = 10.0
AFTER_SECONDS = 15.0
COLD, STEADY = 80.0, 95.0
"""Percent of a team's pushes that its main worker is to send."""
MOVED_SECONDS = 10.0
LEASE_SECONDS = 15

_WHO = """
SELECT o.app_name, c.worker, c.claimed, c.size
  FROM chunk c JOIN operation o ON o.account_id = c.account_id AND o.id = c.operation_id
 WHERE c.state > 0 AND c.attempt > 0 AND c.claimed >= $1 AND c.claimed < $2 AND c.worker LIKE '%:%'
"""


class Row(NamedTuple):
    """A chunk: of which team, by which worker, when (ms), how many recipients."""

    team: str
    worker: str
    at: int
    size: int


def affinity(place: tuple[int, str], nats: int, steady: float) -> Iterator[Verdict]:
    """All of it, on one fleet."""
    with ExitStack() as stack:
        fleet = Fleet(stack, "nats", *place, workers=0, nats=nats, lease=LEASE_SECONDS)
        for team in range(TEAMS):
            fleet.app(f"team_{team}", f"TEAM12345{team}", f"com.example.team{team}")
        yield from asyncio.run(_watch(fleet, steady))


async def _watch(fleet: Fleet, steady: float) -> list[Verdict]:
    stop = asyncio.Event()
    workers = await asyncio.to_thread(fleet.add, *["worker"] * WORKERS)
    await asyncio.to_thread(fleet.rest)
    cold = _now()
    loads = [asyncio.create_task(_load(fleet.target, f"team_{team}", stop)) for team in range(TEAMS)]
    await asyncio.sleep(COLD_SECONDS)
    begun = _now()
    await asyncio.sleep(steady)
    killed = _now()
    before = await _rows(fleet, begun, killed)
    victim = _busiest(workers, before)
    fleet.drop(victim, signal.SIGKILL)
    died = _now()
    await asyncio.sleep(AFTER_SECONDS)
    stop.set()
    await asyncio.gather(*loads)
    await asyncio.to_thread(fleet.until_all_ended)
    print(f"\n{TEAMS} teams, {WORKERS} workers: percent of a team's pushes that its main worker sent")
    verdicts = [
        _told("cold start", await _rows(fleet, cold, begun), COLD),
        _told(f"steady, {steady:.0f} s", before, STEADY),
    ]
    return [*verdicts, _moved(victim, before, await _rows(fleet, died, _now()), died)]


def _now() -> int:
    return int(time.time() * 1000)


async def _rows(fleet: Fleet, since: int, until: int) -> list[Row]:
    connection: Any = await asyncpg.connect(fleet.database)
    try:
        return [Row(*row) for row in await connection.fetch(_WHO, since, until)]
    finally:
        await connection.close()


def _shares(rows: list[Row]) -> dict[str, dict[str, int]]:
    """Recipients by team and worker."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        found[row.team][row.worker] += row.size
    return found


def _mains(rows: list[Row]) -> dict[str, str]:
    return {team: max(by, key=lambda worker: by[worker]) for team, by in _shares(rows).items()}


def _busiest(workers: list[Node], rows: list[Row]) -> Node:
    """The main worker of most teams."""
    mains = list(_mains(rows).values())
    return max(workers, key=lambda node: sum(main.endswith(f":{node.child.pid}") for main in mains))


def _told(name: str, rows: list[Row], target: float) -> Verdict:
    shares = {team: 100 * max(by.values()) / sum(by.values()) for team, by in _shares(rows).items()}
    pushes, workers = sum(row.size for row in rows), len(set(_mains(rows).values()))
    mean = statistics.fmean(shares.values())
    each = " ".join(f"{shares[team]:.0f}" for team in sorted(shares))
    print(
        f"  {name:14} {each}   mean {mean:.1f}, least {min(shares.values()):.1f}; "
        f"{pushes:,} pushes, {workers} workers are somebody's main one",
        flush=True,
    )
    least = min(shares.values())
    return at_least(f"{name}: a team's pushes that leave from its main worker, each of the teams", least, target, " %")


def _moved(victim: Node, before: list[Row], after: list[Row], died: int) -> Verdict:
    """Until each team of the dead worker was served by another for the first time."""
    theirs = [team for team, main in _mains(before).items() if main.endswith(f":{victim.child.pid}")]
    times = [min((row.at - died for row in after if row.team == team), default=None) for team in theirs]
    worst = None if None in times or not times else max(each for each in times if each is not None) / 1000
    print(
        f"  killed {victim.name}, the main worker of {len(theirs)} teams: each was sent for by another after "
        f"{', '.join('never' if each is None else f'{each / 1000:.2f}' for each in times)} s",
        flush=True,
    )
    return at_most("a dead worker's teams have another", worst, MOVED_SECONDS, " s")


# ---- load


async def _load(target: Target, app: str, stop: asyncio.Event) -> None:
    """A team's sends."""
    chance = random.Random(app)
    next_large = time.perf_counter() + chance.uniform(0, LARGE_EVERY)
    reader, writer = await asyncio.open_connection(target.host, target.port)
    small, large = _body(app, SMALL), _body(app, LARGE)
    while not stop.is_set():
        body = small
        if time.perf_counter() >= next_large:
            next_large += LARGE_EVERY
            body = large
        writer.write(target.request(PUSH, body))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 202"), head
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        await asyncio.sleep(chance.expovariate(1 / SMALL_EVERY))
    writer.close()


def _body(app: str, recipients: int) -> bytes:
    to = [{"token": secrets.token_hex(32), "provider": "APN"} for _ in range(recipients)]
    return json.dumps(
        {"to": to, "from": {"appName": app}, "content": {"title": "Hello", "body": "Your parcel"}}
    ).encode()
