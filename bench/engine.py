"""The APNs engine measured: CPU seconds per 100,000 pushes, throughput over a round trip, memory; PASS or miss.

    python bench/engine.py [--only CASE …] [--quick] [--pushes N] [--rounds N] [--server sink.c|sink.py]

Cases: cost (beside h2load and Go), round-trip (50 ms, 900 streams, wide and narrow window), answers (HPACK styles, all
rejected), batches (some rejected, some refused), memory (ten times the pushes), simulator (what checks every push).
The client is pinned to one core and the server to another; rounds alternate; medians count. What needs a tool that is
not on this machine is left out by name. Exit status 1 when a target was missed. See bench/README.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import cases, roundtrip, simulator
from bench.clients import BUILT
from bench.harness import Bench, Failed, Verdict, describe, divide_cores, report
from bench.sinks import Unsupported

CASES: dict[str, Callable[[Bench], Iterator[Verdict]]] = {
    "cost": cases.cost,
    "round-trip": roundtrip.round_trip,
    "answers": cases.answers,
    "batches": cases.batches,
    "memory": cases.memory,
    "simulator": simulator.simulator,
}


def main() -> None:
    """Run the cases and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE")
    parser.add_argument("--quick", action="store_true", help="a fifth of the pushes, 3 rounds: to look, not to claim")
    parser.add_argument("--pushes", type=int, help="in one run of one client (default 100,000)")
    parser.add_argument("--rounds", type=int, help="alternating rounds (default 7)")
    parser.add_argument("--server", choices=["sink.c", "sink.py"], default="sink.c")
    parser.add_argument("--peers", type=Path, default=BUILT, help="where peers are built (default: %(default)s)")
    options = parser.parse_args()
    pushes = options.pushes or (20_000 if options.quick else 100_000)
    rounds = options.rounds or (3 if options.quick else 7)
    print(describe())
    client_cores, server_cores = divide_cores()
    print(f"client on cores {client_cores}, server on {server_cores}; {pushes:,} pushes a run, {rounds} rounds")
    print("distinct body per push; CPU seconds are the client's, per 100,000 pushes", flush=True)
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="heliogram-bench-") as folder:
        bench = Bench(
            Path(folder), client_cores, server_cores, pushes, rounds, options.server == "sink.c", options.peers
        )
        for name in options.only:
            begin = time.perf_counter()
            print(f"\n{name}: {(CASES[name].__doc__ or '').splitlines()[0]}", flush=True)
            try:
                verdicts.extend(CASES[name](bench))
            except Unsupported as error:
                verdicts.append(Verdict(name, f"left out: {error}", None))
            except Failed as error:
                print(error)
                verdicts.append(Verdict(name, "failed", False))
            print(f"  ({time.perf_counter() - begin:.0f} s)", flush=True)
    print()
    if not report(verdicts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
