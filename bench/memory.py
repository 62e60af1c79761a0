"""How much memory the service takes: idle, and at most while a campaign of 1,000,000 recipients is taken and queued.

    python bench/memory.py [--recipients N] [--seconds N] [--streams N]

Requests of 10,000 recipients with variables (1.5 MB each) are sent one after another as fast as they are answered; the
APNs behind the service is slow (50 ms away, a few streams a connection), so that nearly all of them queue. What counts
is resident memory as the kernel keeps it: `VmRSS` once the service has started, and `VmHWM`, the most there ever was,
some seconds after the last request was taken. Exit status 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.harness import at_most, describe, report
from bench.latency import BIG, Campaign, Stand
from bench.service import CORES

IDLE_MIB = 90.0
PEAK_MIB = 250.0
SETTLING = 2.0
"""Seconds after the start, before an idle service is looked at."""


def memory(pid: int, name: str) -> float:
    """A line of the process's status, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"there is no {name} here: this needs Linux")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipients", type=int, default=1_000_000, help="of the campaign (default 1000000)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to look on after the last request (default 10)")
    parser.add_argument("--streams", type=int, default=10, help="of a connection to the slow APNs (default 10)")
    parser.add_argument("--directory", help="where the data goes (default: temporary files)")
    options = parser.parse_args(arguments)
    print(describe())
    os.sched_setaffinity(0, CORES[-1:])
    with ExitStack() as stack:
        stand = Stand(stack, None, options.directory, slow=options.streams)
        campaign = Campaign(stand)
        time.sleep(SETTLING)
        idle = memory(stand.pid, "VmRSS")
        print(f"idle: {idle:.1f} MiB")
        begin = time.monotonic()
        for number in range(1, max(1, options.recipients // BIG) + 1):
            campaign.post(1)
            if not number % 10:
                told = {name: round(memory(stand.pid, name), 1) for name in ("VmRSS", "VmHWM")}
                print(f"  {number * BIG:,} taken: {json.dumps(told)}, {stand.pushes():,} sent", flush=True)
        print(f"taken in {time.monotonic() - begin:.1f} s")
        time.sleep(options.seconds)
        peak = memory(stand.pid, "VmHWM")
        print(f"  {options.seconds:g} s later: VmRSS {memory(stand.pid, 'VmRSS'):.1f}, {stand.pushes():,} sent")
    print()
    verdicts = [at_most("idle", idle, IDLE_MIB, " MiB"), at_most("at its most", peak, PEAK_MIB, " MiB")]
    if not report(verdicts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
