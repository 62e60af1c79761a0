"""The engine beside its peers: CPU seconds of the client per 100,000 pushes, and the ratio to h2load in the same run.

    python bench/against_peers.py [--pushes N] [--rounds N] [--connections N] [--only NAME …] [--peers DIR]

Every client sends over one connection (or as many as asked for) to the sink, which accepts everything, with a distinct
body per push (h2load repeats one body and one id: it has the easier job). The client is pinned to one core and the sink
to another; rounds alternate A B C … A B C. Peers are built below DIR by `peers/build.py`, and one that cannot be had on
this machine is left out by name. A slow peer is given fewer pushes; the figure is always per 100,000.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import clients
from bench.harness import Client, Place, alternate, describe, divide_cores, table
from bench.sinks import sink


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=1, help="of each client that can have more than one")
    parser.add_argument("--only", nargs="+", default=[], help="names, or beginnings of names")
    parser.add_argument("--peers", type=Path, default=clients.BUILT, help="where peers are built (%(default)s)")
    parser.add_argument("--server", choices=["sink.c", "sink.py"], default="sink.c")
    options = parser.parse_args()
    print(describe())
    client_cores, server_cores = divide_cores()
    print(
        f"client on cores {client_cores}, server on {server_cores}; {options.pushes:,} pushes, distinct body per push"
    )
    with tempfile.TemporaryDirectory(prefix="heliogram-bench-") as name:
        folder, lean = Path(name), options.server == "sink.c"
        chosen = choose(folder, options.peers, tuple(options.only))
        with sink(folder, server_cores, lean=lean) as server:
            place = Place(server.port, str(folder / "ca.pem"), options.connections)
            runs = alternate(chosen, place, options.pushes, options.rounds)
            seen = server.ask()
        table(runs, "h2load")
        print(f"  the sink saw {seen['pushes']:,} pushes over {seen['connections']:.0f} connections")


def choose(folder: Path, built: Path, only: tuple[str, ...]) -> list[Client]:
    """The clients asked for, h2load first; nothing is built that was not asked for."""
    floor = clients.h2load(folder)
    own = [*([floor] if floor else []), *clients.ways(), clients.aioapns()]
    if not only:
        return [*own, *clients.peers(built)]
    wanted = [name for name in clients.BUILDABLE if name.startswith(only)]
    return [one for one in own if one.name.startswith(only)] + (clients.peers(built, *wanted) if wanted else [])


if __name__ == "__main__":
    main()
