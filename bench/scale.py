"""Whether what a push costs stays the same with millions of devices and notifications in the database.

    python bench/scale.py [--keep DIR] [--devices N …] [--notifications N …] [--only ROW …] [--rounds N]

For each size a data directory is built (kept with `--keep`, 4 GB for 5,000,000 devices), and `heliogram serve` runs on
it: all of them at once, idle but for the one that is measured, and every round goes through all sizes. Counted are CPU
seconds of the service's process alone. Every recipient is another one, drawn from the whole population, so that
neither SQLite's cache nor anything else knows it. Pushes go to a sink that accepts everything.

Rows: `users` and `tokens` (operations of 5,000, CPU per 100,000 recipients), `single` (sends to one user, 64
connections), `register` (new devices), `renew` (known ones), `get` (a notification that was sent in the run) and
`stored` (one of those in the database). Exit status 1 when a ratio to the smallest size is above 1.25.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.harness import Verdict, describe, report
from bench.population import APP, History, token
from bench.service import CORES, PUSH
from bench.sinks import sink
from bench.site import Apns, Site, Size, built, nothing_else, user_text
from heliogram.domain import ids

MOST = 1.25
"""How much more than with the smallest database it may cost."""
RECIPIENTS = 5_000
REQUESTS = 4_000


class Measured(NamedTuple):
    """A size, its service, and what is known of what is stored."""

    size: Size
    site: Site
    history: History
    chance: random.Random

    def some_users(self, count: int) -> list[str]:
        """Users' ids, each once."""
        population = self.history.population
        return [user_text(population, n) for n in self.chance.sample(range(population.users), count)]

    def some_tokens(self, count: int) -> list[str]:
        """Registered tokens, each once."""
        return [token(n).hex() for n in self.chance.sample(range(self.history.population.devices), count)]


def body(to: list[dict[str, str]]) -> bytes:
    """A send with one content."""
    content = {"title": "Hello", "body": "Your parcel 4711 is out for delivery and will be with you today"}
    return json.dumps({"to": to, "from": {"appName": APP}, "content": content}).encode()


def users(one: Measured, operations: int) -> float:
    """CPU seconds for 100,000 users."""
    return sends(one, [body([{"userId": u} for u in one.some_users(RECIPIENTS)]) for _ in range(operations)])


def tokens(one: Measured, operations: int) -> float:
    """CPU seconds for 100,000 direct tokens, all of them registered."""
    drawn = [one.some_tokens(RECIPIENTS) for _ in range(operations)]
    return sends(one, [body([{"token": t, "provider": "APN"} for t in some]) for some in drawn])


def sends(one: Measured, bodies: list[bytes]) -> float:
    one.site.settle()
    before = one.site.cpu()
    sent = one.site.send(bodies)
    return (one.site.cpu() - before) * 100_000 / sent


def requests(one: Measured, method: str, every: list[tuple[str, bytes]]) -> float:
    """Milliseconds of CPU for each request."""
    one.site.settle()
    before = one.site.cpu()
    one.site.ask(method, iter(every))
    one.site.settle()
    return (one.site.cpu() - before) * 1000 / len(every)


def single(one: Measured, operations: int) -> float:
    """A send to one user, until its outcome is recorded."""
    count = REQUESTS * operations // 4
    return requests(one, "POST", [(PUSH, body([{"userId": user}])) for user in one.some_users(count)])


def register(one: Measured, operations: int) -> float:
    """A new device of a new user."""
    fresh = (os.urandom(32).hex() for _ in range(REQUESTS * operations // 4))
    return requests(one, "POST", [registering(each) for each in fresh])


def renew(one: Measured, operations: int) -> float:
    """A device that is known, as apps register at every launch."""
    return requests(one, "POST", [registering(each) for each in one.some_tokens(REQUESTS * operations // 4)])


def registering(text: str) -> tuple[str, bytes]:
    """A request that registers a token."""
    told = {"appName": APP, "provider": "APN", "token": text, "environment": "production"}
    return f"{PUSH}/DeviceRegistrations", json.dumps(told).encode()


def get(one: Measured, operations: int) -> float:
    """A notification of an operation of 5,000 that was sent in this run."""
    answer = one.site.api.post(
        PUSH,
        content=body([{"userId": user} for user in one.some_users(RECIPIENTS)]),
        headers={"content-type": "application/json"},
    ).json()
    ident = ids.decode(ids.OPERATION, answer["operationId"])
    one.site.settle()
    places = (one.chance.randrange(RECIPIENTS) for _ in range(REQUESTS * operations // 8))
    return requests(one, "GET", [reading(ids.notification_id(ident, place)) for place in places])


def stored(one: Measured, operations: int) -> float:
    """Any stored notification; compared with nothing when there is none."""
    if not one.history.notifications:
        return 0.0
    draw = [one.chance.randrange(one.history.sends) for _ in range(REQUESTS * operations // 8)]
    return requests(one, "GET", [reading(one.history.notification(number)) for number in draw])


def reading(notification: bytes) -> tuple[str, bytes]:
    """A request for a notification."""
    return f"{PUSH}/{ids.encode(ids.NOTIFICATION, notification)}", b""


ROWS = {
    "users": (users, "CPU s per 100,000 users of 1.5 devices"),
    "tokens": (tokens, "CPU s per 100,000 direct tokens"),
    "single": (single, "CPU ms per send to one user"),
    "register": (register, "CPU ms per new device"),
    "renew": (renew, "CPU ms per renewed device"),
    "get": (get, "CPU ms per GET of a notification"),
    "stored": (stored, "CPU ms per GET of any stored notification"),
}
JUDGED = ("users", "tokens", "single")
"""What a push costs: the rows that the target is about."""


def measure(row: str, measured: list[Measured], operations: int, rounds: int) -> Iterator[Verdict]:
    """Rounds that go through all sizes, and what came of them beside the smallest."""
    work, unit = ROWS[row]
    found: dict[Size, list[float]] = {one.size: [] for one in measured}
    for turn in range(rounds + 1):
        for one in measured:
            cost = work(one, operations if turn else 1)
            if turn:
                found[one.size].append(cost)
    smallest = measured[0].size
    print(f"{row}: {unit}")
    for size, costs in found.items():
        pairs = [cost / least for cost, least in zip(costs, found[smallest], strict=True) if least]
        ratio = statistics.median(pairs) if pairs else None
        told = "" if ratio is None else f"   x{ratio:.2f}"
        print(f"  {size!s:44} {statistics.median(costs):8.3f} ({min(costs):.3f} to {max(costs):.3f}){told}", flush=True)
        if size != smallest and ratio is not None and row in JUDGED:
            yield Verdict(f"{row}: {size} at most x{MOST}", f"x{ratio:.2f}", ratio <= MOST)


def sizes(devices: list[int], notifications: list[int]) -> list[Size]:
    """The least of both first, then each alone, then the most of both."""
    least = Size(min(devices), min(notifications))
    alone = [Size(n, least.notifications) for n in sorted(devices)] + [Size(least.devices, n) for n in notifications]
    return list(dict.fromkeys([least, *alone, Size(max(devices), max(notifications))]))


def main() -> int:
    """Build, run, sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="where to build, and to find what was built before")
    parser.add_argument("--devices", type=int, nargs="+", default=[10_000, 1_000_000, 5_000_000], metavar="N")
    parser.add_argument("--notifications", type=int, nargs="+", default=[0, 10_000_000], metavar="N")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds after a warm-up (default 5)")
    parser.add_argument("--operations", type=int, default=4, help="operations of 5,000 in a round (default 4)")
    parser.add_argument("--serve", default="", help="more options of `heliogram serve`, separated by spaces")
    options = parser.parse_args()
    print(describe())
    nothing_else()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-")))
        place = options.keep or scratch
        place.mkdir(parents=True, exist_ok=True)
        apns = Apns(stack.enter_context(sink(scratch, CORES[-1:])).port, str(scratch / "ca.pem"))
        measured = []
        for size in sizes(options.devices, options.notifications):
            folder, history = built(place, size, apns)
            site = Site(stack, folder, apns, *options.serve.split())
            file = folder / "heliogram.db"
            print(f"{size}: {file.stat().st_size / 1e6:,.0f} MB, ready after {site.started:.1f} s", flush=True)
            measured.append(Measured(size, site, history, random.Random(1)))
        verdicts = [
            verdict for row in options.only for verdict in measure(row, measured, options.operations, options.rounds)
        ]
    return 0 if report(verdicts) else 1


if __name__ == "__main__":
    raise SystemExit(main())
