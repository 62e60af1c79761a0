"""The service and the simulator as child processes, on free ports, stopped in any case."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from ...configuration.table import CONFIG, SETTINGS
from .narrator import Narrator

START_SECONDS = 30.0
STOP_SECONDS = 15.0


def variables() -> dict[str, str]:
    """The environment of children: the demo stands on its own, and must not meet the user's real service because a
    configuration file or a variable names it."""
    settings = {each.variable for each in SETTINGS} | {f"{each.variable}_FILE" for each in SETTINGS if each.secret}
    return {name: value for name, value in os.environ.items() if name not in settings} | {CONFIG: os.devnull}


class StepFailed(Exception):
    """A step of the demo did not work; the message says which and why."""


class Processes:
    """Starts children of this same installation; leaving the context stops them all, newest first."""

    def __init__(self, data: Path, narrator: Narrator) -> None:
        self._data = data
        self._narrator = narrator
        self._children: list[tuple[str, subprocess.Popen[str]]] = []
        self._taken: set[int] = set()

    def __repr__(self) -> str:
        return f"Processes(running={sum(child.poll() is None for _, child in self._children)})"

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _, child in reversed(self._children):
            child.terminate()
        for name, child in reversed(self._children):
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._narrator.note(f"{name} did not stop within {STOP_SECONDS:.0f} s; killing it")
                child.kill()
                child.wait()

    def port(self, wanted: int, purpose: str) -> int:
        """The wanted port, or a free one when it is taken, which is then said."""
        if wanted not in self._taken and _is_free(wanted):
            port = wanted
        else:
            port = _free_port()
            self._narrator.note(f"port {wanted} is taken: {purpose} uses {port}")
        self._taken.add(port)
        return port

    def start(self, name: str, *arguments: str) -> dict[str, Any]:
        """Starts `heliogram ARGUMENTS --json` and waits for its ready line. Raises `StepFailed`."""
        log = self._data / f"{name}.log"
        with open(log, "w", encoding="utf-8", opener=_private) as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "heliogram", *arguments, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=variables(),
                start_new_session=True,  # Ctrl-C is for the demo: it stops its children itself, in order
            )
        self._children.append((name, child))
        line = _first_line(child)
        with contextlib.suppress(ValueError):
            ready = json.loads(line)
            if isinstance(ready, dict):
                return ready
        tail = log.read_text(encoding="utf-8", errors="replace").strip()[-2_000:]
        raise StepFailed(f"`heliogram {arguments[0]}` did not become ready; its log is {log}\n{tail}")

    def died(self) -> str | None:
        """The name of a child that is no longer running."""
        return next((name for name, child in self._children if child.poll() is not None), None)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _first_line(child: subprocess.Popen[str]) -> str:
    lines: queue.Queue[str] = queue.Queue()
    assert child.stdout is not None  # noqa: S101 - Popen was asked for a pipe
    stdout = child.stdout

    def read() -> None:
        for line in stdout:  # read to the end: a full pipe would stop the child
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        return lines.get(timeout=START_SECONDS)
    except queue.Empty:
        return ""


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that lingers after a stop is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
