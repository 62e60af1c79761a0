"""The engine beside its peers: CPU seconds of the client per 100,000 pushes, and the ratio to h2load in the same run.

    python bench/against_peers.py [--pushes N] [--rounds N] [--only NAME …]

Every client sends over one connection to `bench/sink.py`, which accepts everything, with a distinct body per push
(h2load repeats one body and one id: it has the easier job). The client is pinned to one core and the sink to another;
rounds alternate A B C … A B C. A peer that is not on this machine is left out by name:

- h2load: Debian's package nghttp2-client
- go: a Go toolchain (built once, before the rounds)
- aioapns: among the development requirements

A slow peer is given fewer pushes; the figure is always per 100,000.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ.eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxNzAwMDAwMDAwfQ." + "c2" * 43


class Sink(NamedTuple):
    """Where the pushes go."""

    port: str
    cafile: str


class Peer(NamedTuple):
    """A client: how it is run, and the share of the pushes it is given."""

    name: str
    run: Callable[[Sink, int], tuple[float, float]]
    share: float = 1.0


def reported(*command: str) -> Callable[[Sink, int], tuple[float, float]]:
    """A client that prints its own CPU and wall seconds, start-up left out. PORT, CAFILE and PUSHES are filled in."""

    def run(sink: Sink, count: int) -> tuple[float, float]:
        places = {"PORT": sink.port, "CAFILE": sink.cafile, "PUSHES": str(count)}
        words = [places.get(word, word) for word in command]
        environment = os.environ | {"PEER_TOKEN": TOKEN}
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        cpu, wall = done.stdout.split()[-2:]
        return float(cpu), float(wall)

    return run


def h2load(folder: str) -> Callable[[Sink, int], tuple[float, float]]:
    """h2load, one connection, 1,000 streams: the whole process counts, its start is short."""

    def run(sink: Sink, count: int) -> tuple[float, float]:
        urls, body = Path(folder, "urls.txt"), Path(folder, "body.json")
        urls.write_text("".join(f"https://127.0.0.1:{sink.port}/3/device/{n:064x}\n" for n in range(10_000)))
        text = "Your order 4711 has left our warehouse and will be with you tomorrow."
        body.write_text(f'{{"aps":{{"alert":{{"title":"On its way","body":"{text}"}},"badge":47}},"order":4711}}')
        words = ["h2load", "-c1", "-m1000", f"-n{count}", "-i", str(urls), "-d", str(body)]
        for header in (
            f"authorization: bearer {TOKEN}",
            "apns-topic: com.example.app",
            "apns-push-type: alert",
            "apns-priority: 10",
            "apns-id: 27cfdc15-e305-27e0-e290-8fc98e115899",
        ):
            words += ["-H", header]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        if f"{count} succeeded" not in done.stdout:
            raise SystemExit(f"h2load did not succeed:\n{done.stdout}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall

    return run


def peers(folder: str) -> list[Peer]:
    """Those that are on this machine."""
    python = sys.executable
    own = str(HERE / "peers" / "heliogram_client.py")
    found = [
        Peer(f"heliogram {way}", reported(python, own, "PORT", "CAFILE", "PUSHES", way))
        for way in ("many", "send", "send-uvloop")
    ]
    if shutil.which("h2load"):
        found.insert(0, Peer("h2load", h2load(folder)))
    if shutil.which("go"):
        binary = str(Path(folder, "go-peer"))
        subprocess.run(["go", "build", "-o", binary, str(HERE / "peers" / "main.go")], check=True)
        found.append(Peer("go net/http", reported(binary, "PORT", "CAFILE", "PUSHES"), 0.3))
    aioapns = str(HERE / "peers" / "aioapns_client.py")
    found.append(Peer("aioapns", reported(python, aioapns, "PORT", "CAFILE", "PUSHES"), 0.03))
    missing = [name for name in ("h2load", "go") if not shutil.which(name)]
    if missing:
        print(f"not on this machine, left out: {', '.join(missing)}")
    return found


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", default=[], help="names, or beginnings of names")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    print(f"{platform.platform()}, Python {platform.python_version()}, cores {cores}, distinct body per push")
    with tempfile.TemporaryDirectory(prefix="heliogram-peers-") as folder:
        chosen = [one for one in peers(folder) if not options.only or one.name.startswith(tuple(options.only))]
        words = [sys.executable, str(HERE / "sink.py")]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        os.sched_setaffinity(process.pid, cores[-1:])
        os.sched_setaffinity(0, cores[:1])
        assert process.stdout is not None
        sink = Sink(*process.stdout.readline().split())
        try:
            measure(chosen, sink, options.pushes, options.rounds)
        finally:
            process.terminate()
            process.wait(10)


def measure(chosen: list[Peer], sink: Sink, pushes: int, rounds: int) -> None:
    """Alternate, and tell medians with the ratio to h2load where it ran."""
    costs: dict[str, list[float]] = {peer.name: [] for peer in chosen}
    rates: dict[str, list[float]] = {peer.name: [] for peer in chosen}
    for _ in range(rounds):
        for peer in chosen:
            count = max(1000, int(pushes * peer.share))
            cpu, wall = peer.run(sink, count)
            costs[peer.name].append(cpu * 100_000 / count)
            rates[peer.name].append(count / wall)
    floor = costs.get("h2load")
    print(f"{'client':24}{'CPU s per 100,000':>20}{'least':>8}{'most':>8}{'pushes/s':>12}{'to h2load':>11}")
    for name, values in costs.items():
        pairs = [mine / other for mine, other in zip(values, floor, strict=True)] if floor else []
        ratio = f"{statistics.median(pairs):11.2f}" if pairs else ""
        rate = statistics.median(rates[name])
        print(f"{name:24}{statistics.median(values):20.3f}{min(values):8.3f}{max(values):8.3f}{rate:12,.0f}{ratio}")


if __name__ == "__main__":
    main()
