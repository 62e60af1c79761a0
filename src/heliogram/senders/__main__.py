"""`python -m heliogram.senders HANDLE NUMBER`: a sender process, started by `heliogram serve` and by nobody else."""

from __future__ import annotations

import signal
import sys


def die_with_parent() -> None:
    """Has the kernel kill this process when the one that started it dies, where it can (Linux)."""
    import ctypes

    if sys.platform == "linux":
        set_death_signal = 1
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    """Works until the serving process says that it is enough, or is gone."""
    if len(sys.argv) != 3 or not all(word.isdigit() for word in sys.argv[1:]):
        sys.exit("heliogram.senders is started by `heliogram serve --senders N`")
    # Whoever stops the service signals the whole group: the serving process says when it is time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent()

    import asyncio

    import uvloop

    from ..pacing import settle
    from ..store.errors import StoreError
    from .process import work

    settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(work(int(sys.argv[1]), int(sys.argv[2])))
        except StoreError:
            sys.exit(1)  # it was told; the serving process starts another


if __name__ == "__main__":
    main()
