"""Ctrl-C under make: make would call the interrupt an error, so the demo takes the terminal for itself."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

ASKED = "HELIOGRAM_OWN_TERMINAL"


@contextlib.contextmanager
def own_terminal() -> Iterator[None]:
    """Makes this process the terminal's foreground group while it runs, when the Makefile asks for it.

    Then Ctrl-C reaches the demo alone; it ends with exit code 0, and so does make.
    """
    if not os.environ.get(ASKED) or not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = os.tcgetpgrp(terminal)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a background group may only change this when it ignores it
    try:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpgrp())
    except OSError:
        yield  # the terminal does not let us: make will print "Interrupt", nothing worse
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, before)
