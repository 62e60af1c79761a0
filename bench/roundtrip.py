"""The APNs-like case: 50 ms between client and server, 900 streams a connection, a wide window and a narrow one.

With a round trip, what bounds the rate is not the client's CPU but what may be on its way: per round trip no more
pushes than streams, and no more bytes of body than the connection's window. The bound is the lesser of the two, for
each connection, over the round trip as it was measured on the idle connection.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench import clients
from bench.harness import Bench, Failed, Place, Run, Verdict, at_least
from bench.sinks import Child, relay, sink

DELAY = 25.0
STREAMS = 900
WIDE = 1 << 24
NARROW = 65_535
SHARE = 80.0
CONNECTIONS = (1, 2, 4)


def round_trip(bench: Bench) -> Iterator[Verdict]:
    """Ours in both ways over 1, 2 and 4 connections, and the peers over one."""
    for name, window in (("wide window", WIDE), ("65,535-byte window", NARROW)):
        options = ("--streams", str(STREAMS), "--window", str(window), "--replenish", str(min(window // 2, 8192)))
        with (
            sink(bench.folder, bench.server_cores, *options, lean=bench.lean) as server,
            relay(server.port, bench.server_cores, DELAY) as way,
        ):
            yield from _ours(bench, server, way.port, name, window)
            _others(bench, way.port, name, window)
            seen = server.ask()
            if seen["overdrawn"]:
                yield Verdict(f"{name}: no client sends beyond the window", f"{seen['overdrawn']:.0f} did", False)


def _ours(bench: Bench, server: Child, port: int, name: str, window: int) -> Iterator[Verdict]:
    for connections in CONNECTIONS:
        for way in ("many", "send"):
            # Some seconds at the bound; the rate is taken without the first tenth and the last.
            count = int(max(1000, bound(connections, window, 0.05) * bench.pushes / 20_000))
            options = ("--way", way, "--open", "--concurrent", str(1000 * connections), "--marks", str(count // 10))
            client = clients.heliogram(f"heliogram {way}", *options)
            before = server.ask()
            runs = [client.run(Place(port, bench.cafile, connections), count) for _ in range(max(1, bench.rounds // 2))]
            after = server.ask()
            body = (after["data"] - before["data"]) / (after["pushes"] - before["pushes"])
            opened = (after["connections"] - before["connections"]) / len(runs)
            least = min(run.told["round_trip"] for run in runs)
            best = bound(connections, window, least, body)
            rate = statistics.median(_steady(run) for run in runs)
            share = 100 * rate / best
            _tell(
                name, client.name, connections, rate, runs, f"{share:4.0f} % of {best:,.0f}, {opened:.1f} connections"
            )
            target = f"{name}, {connections} connections, {way}: share of the bound"
            yield at_least(target, share if opened >= connections else 0.0, SHARE, " %")


def bound(connections: int, window: int, seconds: float, body: float = 144.0) -> float:
    """Pushes a second: streams or window, whichever is reached first in a round trip."""
    return connections * min(STREAMS, window / body) / seconds


def _others(bench: Bench, port: int, name: str, window: int) -> None:
    """Each peer over one connection; the bound is that of the plain round trip of 50 ms."""
    for client in (clients.h2load(bench.folder, STREAMS), clients.aioapns(), *clients.built(bench.peers)):
        if client is None:
            continue
        count = int(max(1000, bound(1, window, 0.05) * bench.pushes / 20_000 * min(1.0, 3 * client.share)))
        try:
            runs = [client.run(Place(port, bench.cafile), count) for _ in range(max(1, bench.rounds // 2))]
        except Failed as error:
            print(f"  {name:19} {client.name:20} failed: {str(error).splitlines()[-1]}", flush=True)
            continue
        rate = statistics.median(run.rate for run in runs)
        _tell(name, client.name, 1, rate, runs, f"{100 * rate / bound(1, window, 0.05):4.0f} %")


def _tell(name: str, client: str, connections: int, rate: float, runs: list[Run], share: str) -> None:
    cost = statistics.median(run.cost for run in runs)
    print(f"  {name:19} {client:20} {connections}: {rate:9,.0f} pushes/s {cost:7.3f} CPU s  {share}", flush=True)


def _steady(run: Run) -> float:
    """Pushes a second between the first tenth and the last."""
    times = run.told["times"]
    return float(run.pushes // 10 * 8 / (times[8] - times[0]))
