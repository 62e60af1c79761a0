"""`heliogram` on a machine whose clock is wrong: `skewed.py SECONDS serve …` is so many seconds ahead."""

from __future__ import annotations

import sys
import time

from heliogram.cli import main
from heliogram.observe.clock import SystemClock


def put_ahead(seconds: float) -> None:
    """The service's own clock; nothing else of it asks the machine for the time."""

    def ahead(self: SystemClock) -> float:
        return time.time() + seconds

    SystemClock.time = ahead  # type: ignore[method-assign]  # what a wrong clock is


if __name__ == "__main__":
    put_ahead(float(sys.argv.pop(1)))
    main()
