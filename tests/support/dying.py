"""`heliogram serve` that dies by kill -9 when a request with an Idempotency-Key has done what it was to do, before its
answer is kept: what a crash at the worst moment is."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Never

from heliogram.cli import main
from heliogram.store.sqlite.idempotency import Idempotency

DYING = (sys.executable, str(Path(__file__)))
"""The command, in place of `heliogram`."""


async def _die(*_: object, **__: object) -> Never:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("this process is dead")


if __name__ == "__main__":
    Idempotency.keep_answer = _die  # type: ignore[method-assign] # for every store
    main()
