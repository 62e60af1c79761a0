"""The real programs as children: `heliogram serve` and `heliogram simulator`, on free ports, always stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from support.waiting import HANG_SECONDS

HELIOGRAM = [sys.executable, "-m", "heliogram"]
STOP_SECONDS = HANG_SECONDS


def heliogram(
    *arguments: str, stdin: str | None = None, timeout: float = HANG_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [*HELIOGRAM, *arguments], capture_output=True, text=True, input=stdin, timeout=timeout, check=False
    )


class Program:
    """A long-running command. Entering starts it and reads its ready line, leaving stops it with SIGTERM."""

    def __init__(self, *arguments: str, log: Path, command: Sequence[str] = HELIOGRAM) -> None:
        self.arguments: Sequence[str] = arguments
        self.log = log
        self.command = tuple(command)
        self.ready: dict[str, Any] = {}
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Program:
        self.launch()
        return self.until_ready()

    def launch(self) -> None:
        """Starts it."""
        with self.log.open("a") as errors:
            self._child = subprocess.Popen(
                [*self.command, *self.arguments, "--json"], stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def until_ready(self) -> Program:
        """Reads its ready line."""
        assert self._child is not None
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            self._child.wait(STOP_SECONDS)
            self._child.stdout.close()
            raise AssertionError(f"heliogram {self.arguments[0]} did not start:\n{self.log.read_text()}")
        self.ready = json.loads(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self.stop()

    @property
    def runs(self) -> bool:
        """Whether it was started, and not stopped by us."""
        return self._child is not None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def send_signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals it and returns its exit code."""
        assert self._child is not None
        child, self._child = self._child, None
        if child.poll() is None:
            child.send_signal(number)
        try:
            code = child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise AssertionError(f"heliogram {self.arguments[0]} did not stop on {number.name}") from None
        finally:
            assert child.stdout is not None
            child.stdout.close()
        return code

    def kill(self) -> None:
        """kill -9."""
        self.stop(signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """The process ids of its children."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found]


def connections_of(pid: int) -> set[tuple[int, int]]:
    """Its TCP connections: the ports here and there."""
    handles = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return {(here, there) for here, there, _, handle in _connections() if f"socket:[{handle}]" in handles}


def is_read(connections: set[tuple[int, int]]) -> bool:
    """Whether who was at the other end of these, whose process is dead, has read it all and closed."""
    open_ = {(there, here) for here, there, state, _ in _connections() if state in ("ESTABLISHED", "CLOSE_WAIT")}
    return connections.isdisjoint(open_)


def _connections() -> list[tuple[int, int, str, str]]:
    """Both ports of each TCP connection on this machine, its state, and the inode of its handle."""
    states = {"01": "ESTABLISHED", "08": "CLOSE_WAIT"}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        (int(row[1].split(":")[1], 16), int(row[2].split(":")[1], 16), states.get(row[3], row[3]), row[9])
        for row in rows
    ]
