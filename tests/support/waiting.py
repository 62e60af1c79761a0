"""Waiting for another process: there is no clock to inject there, so what is waited for is asked until it is so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
HANG_SECONDS = 90.0
"""What ends a test that hangs. It promises nothing of how long anything takes: machines are loaded."""


def eventually(ask: Callable[[], T | None], *, what: str, seconds: float = HANG_SECONDS) -> T:
    """The first answer that is neither None nor False; fails the test with `what` when none comes in time."""
    give_up = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        assert time.monotonic() < give_up, f"waited {seconds} s for {what}"
        pause.wait(0.01)
