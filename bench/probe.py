"""`heliogram` with a probe on its event loop: how late the loop is, and what it was doing when it was very late.

    python bench/probe.py MILLISECONDS REPORT serve …

A timer every millisecond tells how late the loop runs it; a thread looks at the loop's stack every millisecond and
keeps it when the loop has not been back for longer than MILLISECONDS. Both are written to REPORT at the end: the
lateness that one timer in two, in a hundred and in a thousand exceeds, and the stacks by how often they were met. The
thread takes its turns from the loop: look at figures without the probe, and at the probe for where they come from.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from heliogram import service as services
from heliogram.cli import main

EVERY = 0.001
DEPTH = 14


class Probe:
    """The loop's pulse, and a thread that feels it."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.late: list[float] = []
        self.stacks: Counter[str] = Counter()
        self.held: list[float] = []
        self.beat = time.monotonic()
        self.over = False
        self.main = threading.get_ident()

    async def pulse(self) -> None:
        """Notes how late each beat is."""
        while not self.over:
            due = time.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self.beat = time.monotonic()
            self.late.append(self.beat - due)

    def watch(self) -> None:
        """Keeps the stack of a loop that is not back in time."""
        while not self.over:
            time.sleep(EVERY)
            if time.monotonic() - self.beat > self.limit + EVERY:
                frame = sys._current_frames().get(self.main)
                self.stacks[stack(frame)] += 1

    def report(self) -> str:
        """What was found."""
        late = sorted(self.late) or [0.0]
        parts = [(share, late[min(len(late) - 1, int(len(late) * share))] * 1000) for share in (0.5, 0.99, 0.999)]
        lines = ["loop late by (ms): " + ", ".join(f"p{share * 100:g} {found:.1f}" for share, found in parts)]
        lines.append(f"at most {late[-1] * 1000:.1f}; {sum(self.stacks.values())} ms in these places:")
        lines += [f"{count:6} {text}" for text, count in self.stacks.most_common(40)]
        return "\n".join(lines) + "\n"


def stack(frame: FrameType | None) -> str:
    """The innermost frames of ours, and the innermost of all."""
    names: list[str] = []
    while frame is not None and len(names) < DEPTH:
        place = frame.f_code.co_filename
        if "asyncio/runners" in place or "bench/probe" in place:
            break
        names.append(f"{Path(place).stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(names)


def install(limit: float, report: Path) -> None:
    """Puts the probe around the service's life."""
    serve = services.Service.run

    async def run(service: services.Service, *arguments: Any) -> None:
        probe = Probe(limit)
        beating = asyncio.create_task(probe.pulse())
        watcher = threading.Thread(target=probe.watch, daemon=True)
        watcher.start()
        try:
            await serve(service, *arguments)
        finally:
            probe.over = True
            await beating
            watcher.join()
            await asyncio.to_thread(report.write_text, probe.report())

    services.Service.run = run  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    install(float(sys.argv[1]) / 1000, Path(sys.argv[2]))
    del sys.argv[1:3]
    main()
