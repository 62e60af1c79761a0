"""What every benchmark shares: cores, a description of the machine, alternating rounds, targets that hold or not."""

from __future__ import annotations

import os
import platform
import ssl
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

SCALE = 100_000
"""Pushes that a figure of CPU seconds is for."""


def cpu_of(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def at_rest(cpu: Callable[[], float]) -> None:
    """Waits until a process uses no CPU to speak of."""
    before = cpu()
    while True:
        time.sleep(0.5)
        now = cpu()
        if now - before < 0.03:
            return
        before = now


class Place(NamedTuple):
    """Where pushes go, and over how many connections."""

    port: int
    cafile: str
    connections: int = 1


class Run(NamedTuple):
    """What sending so many pushes cost a client, in seconds; more where it tells more."""

    pushes: int
    cpu: float
    wall: float
    told: dict[str, Any]

    @property
    def cost(self) -> float:
        """CPU seconds per 100,000 pushes."""
        return self.cpu * SCALE / self.pushes

    @property
    def rate(self) -> float:
        """Pushes a second."""
        return self.pushes / self.wall


class Failed(Exception):
    """A client did not do what it was asked; the text says which and what it said."""


class Client(NamedTuple):
    """A program that sends pushes, and the share of them it is given because it is slow."""

    name: str
    run: Callable[[Place, int], Run]
    share: float = 1.0


class Verdict(NamedTuple):
    """A target and whether it holds; None when it could not be measured here."""

    target: str
    found: str
    holds: bool | None


class Bench(NamedTuple):
    """What a case is given: where to build things, cores, and how much to do."""

    folder: Path
    client_cores: list[int]
    server_cores: list[int]
    pushes: int
    rounds: int
    lean: bool = True
    peers: Path = Path()

    @property
    def cafile(self) -> str:
        """The sinks' certificate."""
        return str(self.folder / "ca.pem")


def divide_cores() -> tuple[list[int], list[int]]:
    """The client's core and the server's; this process and its children move to the client's."""
    if not hasattr(os, "sched_setaffinity"):
        return [], []
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("one core only: client and server share it, so rates mean little; CPU seconds still do")
        return cores, cores
    os.sched_setaffinity(0, cores[:1])
    return cores[:1], cores[-1:]


def describe() -> str:
    """The machine and the versions."""
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    versions = []
    for name in ("heliogram", "msgspec", "cryptography", "uvloop", "aioapns"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{model}, {platform.machine()}, {os.cpu_count()} cores, {platform.platform()}, load {load}\n"
        f"{platform.python_implementation()} {platform.python_version()}, {ssl.OPENSSL_VERSION}, {', '.join(versions)}"
    )


def alternate(clients: Sequence[Client], place: Place, pushes: int, rounds: int) -> dict[str, list[Run]]:
    """Rounds of A B C … A B C against one server."""
    runs: dict[str, list[Run]] = {client.name: [] for client in clients}
    for _ in range(rounds):
        for client in clients:
            runs[client.name].append(client.run(place, max(100, int(pushes * client.share))))
    return runs


def ratios(mine: Iterable[Run], other: Iterable[Run]) -> list[float]:
    """Cost against cost, round by round."""
    return [a.cost / b.cost for a, b in zip(mine, other, strict=True)]


def against(runs: dict[str, list[Run]], name: str, other: str) -> float | None:
    """The median of `name`'s cost in terms of `other`'s in the same round; None where one did not run."""
    if name not in runs or other not in runs:
        return None
    return statistics.median(ratios(runs[name], runs[other]))


def table(runs: dict[str, list[Run]], floor: str | None) -> None:
    """Medians with the least and the most, and the ratio to `floor` where it ran."""
    known = floor is not None and floor in runs
    print(f"  {'':34}{'CPU s':>8}{'least':>8}{'most':>8}{'pushes/s':>11}" + (f"   to {floor}" if known else ""))
    for name, found in runs.items():
        costs = [run.cost for run in found]
        rate = statistics.median(run.rate for run in found)
        ratio = f"{against(runs, name, floor):8.2f}" if known and floor is not None else ""
        print(f"  {name:34}{statistics.median(costs):8.3f}{min(costs):8.3f}{max(costs):8.3f}{rate:11,.0f}{ratio}")


def at_most(target: str, found: float | None, limit: float, unit: str = "x") -> Verdict:
    """The verdict on a figure that must not exceed `limit`."""
    if found is None:
        return Verdict(f"{target} <= {limit:g}{unit}", "left out", None)
    return Verdict(f"{target} <= {limit:g}{unit}", f"{found:.2f}{unit}", found <= limit)


def at_least(target: str, found: float | None, limit: float, unit: str = "x") -> Verdict:
    """The verdict on a figure that must not be below `limit`."""
    if found is None:
        return Verdict(f"{target} >= {limit:g}{unit}", "left out", None)
    return Verdict(f"{target} >= {limit:g}{unit}", f"{found:.2f}{unit}", found >= limit)


def report(verdicts: Iterable[Verdict]) -> bool:
    """One line for each target; whether none was missed."""
    missed = False
    for verdict in verdicts:
        word = {True: "PASS", False: "miss", None: "----"}[verdict.holds]
        missed = missed or verdict.holds is False
        print(f"{word}  {verdict.target:72} {verdict.found}")
    return not missed
