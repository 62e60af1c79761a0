"""The cases of `engine.py` on loopback: what a push costs, plain, rejected, in batches that go wrong, and for long."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench import clients
from bench.harness import Bench, Client, Failed, Place, Run, Verdict, against, alternate, at_least, at_most, table
from bench.sinks import Child, sink

STYLES: dict[str, tuple[str, ...]] = {
    "plain literal": (),
    "never indexed": ("--style", "never"),
    "Huffman": ("--style", "huffman"),
    "name indexed": ("--style", "named"),
    "name indexed, Huffman": ("--style", "named-huffman"),
    "ids in the dynamic table": ("--style", "indexed"),
    "ids in the dynamic table, Huffman": ("--style", "indexed-huffman"),
    "upper-case ids": ("--upper",),
    "upper-case ids, Huffman": ("--upper", "--style", "huffman"),
    "unique id besides": ("--unique",),
    "unique id besides, Huffman": ("--unique", "--style", "named-huffman"),
    "another id than was sent": ("--fixed",),
}
GROWTH = 5.0


def cost(bench: Bench) -> Iterator[Verdict]:
    """CPU seconds beside h2load and Go, plain 200s over one connection."""
    floor = clients.h2load(bench.folder)
    chosen = [*([floor] if floor else []), *clients.ways(), *clients.peers(bench.peers, "nethttp")]
    with sink(bench.folder, bench.server_cores, lean=bench.lean) as server:
        runs = alternate(chosen, Place(server.port, bench.cafile), bench.pushes, bench.rounds)
        check(server, runs, len(chosen))
    table(runs, "h2load")
    many, send, fast = (one.name for one in clients.ways())
    yield at_most("send_many to h2load", against(runs, many, "h2load"), 1.5)
    yield at_most("send (1,000 tasks) to h2load", against(runs, send, "h2load"), 2.5)
    yield at_most("send (1,000 tasks) on uvloop to h2load", against(runs, fast, "h2load"), 2.0)
    yield at_least("Go's net/http to send_many", against(runs, "nethttp", many), 6.0)


def check(server: Child, runs: dict[str, list[Run]], clients_: int) -> None:
    """Every push arrived, and each run of ours used one connection."""
    seen = server.ask()
    wanted = sum(run.pushes for found in runs.values() for run in found)
    if seen["pushes"] < wanted or seen["overdrawn"]:
        raise Failed(f"the sink saw {seen}, but {wanted} pushes were measured")
    ours = [run.told["connections"] for found in runs.values() for run in found if "connections" in run.told]
    if any(count != 1 for count in ours):
        raise Failed(f"connections of our client: {ours}, instead of one each")
    rounds = sum(len(found) for found in runs.values())
    print(
        f"  the sink: {seen['pushes']:,} pushes over {seen['connections']:.0f} connections in {rounds} runs, ", end=""
    )
    print(f"{seen['cpu'] * 100_000 / max(1, seen['pushes']):.3f} CPU s per 100,000 for itself")


def answers(bench: Bench) -> Iterator[Verdict]:
    """Every way a server may write its answers, and all pushes rejected, against plain 200s in the same round."""
    many = clients.heliogram("", accept=False)
    for kind, rejected in (("200", ()), ("410", ("--reject-every", "1"))):
        chosen = {f"{kind} {name}": (*rejected, *options) for name, options in STYLES.items()}
        runs = _beside_plain(bench, many, chosen)
        table(runs, "plain 200")
        for name in chosen:
            if name != "200 plain literal":
                yield at_most(f"{name}, to plain 200", against(runs, name, "plain 200"), 2.5)


def _beside_plain(bench: Bench, client: Client, chosen: dict[str, tuple[str, ...]]) -> dict[str, list[Run]]:
    """Each of the sinks in turn, after a plain one in every round."""
    runs: dict[str, list[Run]] = {"plain 200": [], **{name: [] for name in chosen}}
    for _ in range(bench.rounds):
        for name, options in {"plain 200": (), **chosen}.items():
            with sink(bench.folder, bench.server_cores, *options, lean=bench.lean) as server:
                runs[name].append(client.run(Place(server.port, bench.cafile), bench.pushes))
    return runs


def batches(bench: Bench) -> Iterator[Verdict]:
    """Batches with rejections and refused streams: four times the pushes cost four times as much."""
    for name, parts in {
        "every 10th rejected": ("--reject-every", "10"),
        "every 2nd rejected": ("--reject-every", "2"),
        "every 1,000th sent again": ("--expired", "--reject-every", "1000"),
        "every 1,000th refused": ("--refuse-every", "1000"),
        "every 10th refused": ("--refuse-every", "10"),
        "every 10th rejected, every 100th refused": ("--reject-every", "10", "--refuse-every", "100"),
    }.items():
        for way in ("many", "send"):
            runs: dict[str, list[Run]] = {"N": [], "4N": []}
            with sink(bench.folder, bench.server_cores, *parts, lean=bench.lean) as server:
                for _ in range(bench.rounds):
                    for label, count in (("N", bench.pushes // 4), ("4N", bench.pushes)):
                        # With send_many all are queued at once, so that what walks the whole queue would show; as many
                        # tasks would show what the event loop and the garbage collector make of them instead.
                        options = ("--way", way, "--queued", str(count))
                        client = clients.heliogram(name, *options, accept=False)
                        runs[label].append(client.run(Place(server.port, bench.cafile), count))
            cost_each = [statistics.median(run.cost for run in found) for found in runs.values()]
            rate = statistics.median(run.rate for run in runs["4N"])
            print(f"  {name}, {way}: {cost_each[0]:.3f} and {cost_each[1]:.3f} CPU s per 100,000, {rate:,.0f} pushes/s")
            yield at_most(f"{name}, {way}: a push of 4N to one of N", against(runs, "4N", "N"), 1.25)


def memory(bench: Bench) -> Iterator[Verdict]:
    """Memory after a tenth of the pushes against memory at the end."""
    pushes = 10 * bench.pushes
    for way in ("many", "send"):
        client = clients.heliogram("", "--way", way, "--marks", str(bench.pushes))
        with sink(bench.folder, bench.server_cores, lean=bench.lean) as server:
            run = client.run(Place(server.port, bench.cafile), pushes)
        marks = [mark / 2**20 for mark in run.told["marks"]]
        print(f"  {way}: MiB after each {bench.pushes:,} pushes: {' '.join(f'{mark:.1f}' for mark in marks)}")
        growth = (max(marks[-1], statistics.median(marks[1:])) / marks[0] - 1) * 100
        yield at_most(f"memory after {pushes:,} pushes by {way}, growth since {bench.pushes:,}", growth, GROWTH, " %")
