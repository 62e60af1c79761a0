"""What several nodes cost beside one process with its file, and what they do: six sections, or those of --only.

    python bench/cluster.py [--only SECTION …] [--quick] [--rounds N] [--nats 1|3] [--cases CASE …]

cost      the same campaigns through four installations in turn, from the request to the recorded outcome: recipients a
          second, and CPU seconds per 100,000 of the nodes (all of them, then each role) and of PostgreSQL and NATS
            sqlite        one process with its file (what bench/service.py measures)
            postgres-one  one node with every role, on PostgreSQL alone
            postgres      an API node, a worker, a dispatcher, on PostgreSQL alone
            nats          the same, NATS JetStream handing out work
single    sends to one token over 64 connections through each of them: milliseconds of CPU for a send
scaling   campaigns with 1, 2, 3, 4 workers, then 4, 3, 2, 1
wakeup    from `put` at one node to `lease` at another: by NOTIFY, by NATS; what a claim of 64 chunks takes
affinity  8 teams, 4 workers, NATS: the share of each team's pushes that its main worker sends, in the first seconds of
          four new workers and in a steady minute; then the main worker of most teams is killed
storage   bytes that PostgreSQL keeps and writes to its log for a device, a send to one, a recipient of a campaign

Cases of cost: `direct` (device tokens, one content), `personal` (with variables), `users` (1.5 devices each, with
variables). Pushes go to `sink.c`, which costs next to nothing. Rounds alternate between installations; medians count.
All share this machine's cores, so read CPU per recipient; rates are of everything at once on few cores. Servers flush
to the disk as they should. Exit status 1 when a target was missed. --quick is to look at, not to claim from.
Needs PostgreSQL (scripts/test-services) and nats-server (make setup has it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import sinks
from bench.api import load, sends
from bench.fleet import MODES, PUSH, Fleet, Parts
from bench.harness import SCALE, Verdict, at_most, describe, report

SECTIONS = ("cost", "single", "scaling", "wakeup", "affinity", "storage")
CASES = ("direct", "personal", "users")
RECIPIENTS = 10_000
USERS = 800
CONNECTIONS = 64
TIMES_EMBEDDED = 1.5
"""How often the embedded service's CPU for a recipient the nodes of a cluster may use."""


class Round(NamedTuple):
    """Recipients (or sends) a second, and CPU seconds for 100,000 of them."""

    rate: float
    parts: Parts


class Effort(NamedTuple):
    """How much is done."""

    rounds: int
    operations: int
    seconds: float
    steady: float


def main() -> None:
    """Run the sections and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="a round of everything: to look at")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds after a warm-up (default 7)")
    parser.add_argument("--nats", type=int, choices=(1, 3), default=1, help="NATS servers (default 1)")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES), metavar="INSTALLATION")
    options = parser.parse_args()
    effort = Effort(1, 2, 1.5, 15.0) if options.quick else Effort(options.rounds, 5, 4.0, 60.0)
    print(describe(), flush=True)
    verdicts: list[Verdict] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-")))
        sink = stack.enter_context(sinks.sink(folder, []))
        place = sink.port, str(folder / "ca.pem")
        if {"cost", "single"} & set(options.only):
            verdicts += in_turn(options, effort, place)
        if "scaling" in options.only:
            for mode in ("postgres", "nats"):
                scaling(mode, options, effort, place)
        if "wakeup" in options.only:
            from bench.wakeup import wakeup

            wakeup(options.nats, 50 if options.quick else 400)
        if "affinity" in options.only:
            from bench.affinity import affinity

            verdicts += affinity(place, options.nats, effort.steady)
        if "storage" in options.only:
            from bench.storage import storage

            storage(place, campaign, effort.seconds * 2, effort.operations * 4)
    sys.exit(not report(verdicts))


# ---- what a recipient costs


def in_turn(options: argparse.Namespace, effort: Effort, place: tuple[int, str]) -> Iterator[Verdict]:
    """Campaigns, then single sends, through each installation in turn."""
    with ExitStack() as stack:
        fleets = {mode: Fleet(stack, mode, *place, nats=options.nats) for mode in options.modes}
        for fleet in fleets.values():
            fleet.app()
        if "cost" in options.only:
            for case in options.cases:
                bodies = {mode: campaign(case, fleet) for mode, fleet in fleets.items()}
                found = alternate(fleets, effort.rounds, partial(campaigns, bodies, effort.operations))
                print(f"\n{case}: CPU seconds per 100,000 recipients")
                yield from told(found, case, "recipients/s", 1.0)
        if "single" in options.only:
            found = alternate(fleets, effort.rounds, partial(singles, effort.seconds))
            print(f"\nsends to one token over {CONNECTIONS} connections: CPU milliseconds for a send")
            yield from told(found, "single sends", "sends/s", 1000 / SCALE)


def alternate(fleets: dict[str, Fleet], rounds: int, measure: Callable[[Fleet], Round]) -> dict[str, list[Round]]:
    """Rounds of A B C … A B C, the first of them a warm-up."""
    found: dict[str, list[Round]] = {mode: [] for mode in fleets}
    for turn in range(rounds + 1):
        for mode, fleet in fleets.items():
            row = measure(fleet)
            if turn:
                found[mode].append(row)
    return found


def campaign(case: str, fleet: Fleet) -> bytes:
    """A request to 10,000."""
    text = "Your parcel 4711 is out for delivery and will be with you today"
    if case == "users":
        users = fleet.users(USERS)
        recipients: list[dict[str, Any]] = [{"userId": users[n % USERS]} for n in range(RECIPIENTS)]
    else:
        recipients = [{"token": secrets.token_hex(32), "provider": "APN"} for _ in range(RECIPIENTS)]
    if case != "direct":
        text = "Hello {{ name | default: 'you' }}, your parcel 4711 is out for delivery"
        recipients = [each | {"variables": {"name": f"Ada {number}"}} for number, each in enumerate(recipients)]
    return json.dumps({"to": recipients, "content": {"title": "Hello", "body": text}}).encode()


def campaigns(bodies: dict[str, bytes], operations: int, fleet: Fleet) -> Round:
    """Sends so many, and waits for every outcome."""
    fleet.rest()
    before, begin = fleet.cpu(), time.perf_counter()
    made = [fleet.send(bodies[fleet.mode]) for _ in range(operations)]
    fleet.until_ended(made, RECIPIENTS)
    total = RECIPIENTS * operations
    rate = total / (time.perf_counter() - begin)
    return Round(rate, fleet.cpu().since(before).times(SCALE / total))


def singles(seconds: float, fleet: Fleet) -> Round:
    """Sends to one, as fast as they are answered, and waits for every outcome."""
    body = sends({"token": secrets.token_hex(32), "provider": "APN"})
    fleet.rest()
    before, begin = fleet.cpu(), time.perf_counter()
    waits = asyncio.run(load(fleet.target, body, PUSH, CONNECTIONS, seconds))
    fleet.until_all_ended()
    rate = len(waits) / (time.perf_counter() - begin)
    return Round(rate, fleet.cpu().since(before).times(SCALE / len(waits)))


def told(found: dict[str, list[Round]], what: str, unit: str, factor: float) -> Iterator[Verdict]:
    """A line for each installation, and whether it is cheap enough beside the embedded one in the same rounds."""
    base = found.get("sqlite")
    print(f"  {'':13} {unit:>13} {'nodes':>7} {'least':>7} {'most':>7} {'ratio':>6}   node by node; servers")
    for mode, rows in found.items():
        ratio = None
        if base is not None:
            ratio = statistics.median(row.parts.own / each.parts.own for row, each in zip(rows, base, strict=True))
        costs = [row.parts.own * factor for row in rows]
        print(
            f"  {mode:13} {statistics.median(row.rate for row in rows):13,.0f} {statistics.median(costs):7.3f} "
            f"{min(costs):7.3f} {max(costs):7.3f} {'' if ratio is None else f'{ratio:.2f}':>6}   {parts(rows, factor)}",
            flush=True,
        )
        if mode != "sqlite":
            yield at_most(f"{what}, {mode}: the nodes' CPU beside the embedded one's", ratio, TIMES_EMBEDDED)


def parts(rows: Sequence[Round], factor: float) -> str:
    """The medians of nodes and servers."""
    nodes = [row.parts.nodes for row in rows]
    servers = [row.parts.servers for row in rows]
    return "; ".join(
        ", ".join(f"{name} {statistics.median(each[name] for each in kind) * factor:.3f}" for name in kind[0])
        for kind in (nodes, servers)
        if kind[0]
    )


# ---- more workers


def scaling(mode: str, options: argparse.Namespace, effort: Effort, place: tuple[int, str]) -> None:
    """With 1 to 4 workers and back: what was slow for a while is in both halves."""
    most = 4
    found: dict[int, list[Round]] = {number: [] for number in range(1, most + 1)}
    with ExitStack() as stack:
        fleet = Fleet(stack, mode, *place, nats=options.nats)
        fleet.app()
        body = {mode: campaign("direct", fleet)}
        campaigns(body, effort.operations, fleet)
        for number in [*range(1, most + 1), *range(most, 0, -1)]:
            while len(fleet.of("worker")) < number:
                fleet.add("worker")
            while len(fleet.of("worker")) > number:
                fleet.drop(fleet.of("worker")[-1])
            campaigns(body, 1, fleet)
            found[number] += [campaigns(body, effort.operations, fleet) for _ in range(max(1, effort.rounds // 2))]
    print(f"\n{mode}: direct campaigns with more workers, all on the same cores; CPU seconds per 100,000 recipients")
    for number, rows in found.items():
        rate = statistics.median(row.rate for row in rows)
        own = statistics.median(row.parts.own for row in rows)
        print(f"  {number} workers {rate:9,.0f} recipients/s   nodes {own:.3f} ({parts(rows, 1.0)})", flush=True)


if __name__ == "__main__":
    main()
