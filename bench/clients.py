"""The programs that send: Heliogram in its ways, h2load, and the peers under `bench/peers`."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.harness import Client, Failed, Place, Run

HERE = Path(__file__).resolve().parent
TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ.eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxNzAwMDAwMDAwfQ." + "c2" * 43
_TEXT = "Your order 4711 has left our warehouse and will be with you tomorrow."
BODY = f'{{"aps":{{"alert":{{"title":"On its way","body":"{_TEXT}"}},"badge":47}},"order":4711}}'
URLS = 10_000
PEERS = HERE / "peers"
BUILT = Path(tempfile.gettempdir()) / "heliogram-peers"
"""Where peers are built, unless told otherwise: outside the repository, and kept for the next run."""
SHARES = {"pushy": 0.5, "apns2": 0.3, "nethttp": 0.3, "node-apn": 0.1, "aioapns": 0.03, "httpx2": 0.01}
BUILDABLE = ("a2", "pushy", "apns2", "nethttp", "node-apn", "httpx2")
"""What `peers/build.py` knows."""
PATIENCE = 900
"""Seconds for one run of one client."""


def heliogram(name: str, *options: str, accept: bool = True) -> Client:
    """Our engine (`load.py`); `accept` says that every push must be accepted, else that it must have an answer."""

    def run(place: Place, count: int) -> Run:
        words = [sys.executable, str(HERE / "load.py"), str(place.port), place.cafile, str(count)]
        words += ["--connections", str(place.connections), *options]
        told = json.loads(_output(words).splitlines()[-1])
        ended = told["ended"]
        good = ended.get("Accepted", 0) + (0 if accept else ended.get("Rejected", 0))
        if good != count:
            raise Failed(f"{name}: of {count} pushes {good} ended as they should: {ended}")
        return Run(count, told["cpu"], told["wall"], told)

    return Client(name, run)


def ways() -> list[Client]:
    """The three ways of sending that have targets."""
    return [
        heliogram("heliogram send_many"),
        heliogram("heliogram send", "--way", "send"),
        heliogram("heliogram send, uvloop", "--way", "send", "--loop", "uvloop"),
    ]


def h2load(folder: Path, streams: int = 1000) -> Client | None:
    """h2load with one body and one id for all; what its start costs is measured apart and taken off."""
    if not shutil.which("h2load"):
        return None
    body, urls = folder / "body.json", folder / "urls.txt"
    body.write_text(BODY)
    starts: list[float] = []

    def once(place: Place, count: int) -> tuple[float, float]:
        urls.write_text("".join(f"https://127.0.0.1:{place.port}/3/device/{n:064x}\n" for n in range(URLS)))
        words = ["h2load", f"-c{place.connections}", f"-m{streams}", f"-n{count}", "-i", str(urls), "-d", str(body)]
        for header in (
            f"authorization: bearer {TOKEN}",
            "apns-topic: com.example.app",
            "apns-push-type: alert",
            "apns-priority: 10",
            "apns-id: 27cfdc15-e305-27e0-e290-8fc98e115899",
        ):
            words += ["-H", header]
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        said = _output(words)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        if f"{count} succeeded" not in said:
            raise Failed(f"h2load did not succeed:\n{said}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall

    def run(place: Place, count: int) -> Run:
        if len(starts) < 5:
            starts.append(once(place, place.connections)[0])
        cpu, wall = once(place, count)
        return Run(count, max(cpu - statistics.median(starts), 1e-6), wall, {})

    return Client("h2load", run)


def reported(*command: str) -> Callable[[Place, int], Run]:
    """A program that is given PORT CAFILE PUSHES CONNECTIONS and prints its CPU and wall seconds last."""

    def run(place: Place, count: int) -> Run:
        said = _output([*command, str(place.port), place.cafile, str(count), str(place.connections)], PEER_TOKEN=TOKEN)
        cpu, wall = said.split()[-2:]
        return Run(count, float(cpu), float(wall), {})

    return run


def aioapns() -> Client:
    """It is among the development requirements, so there is nothing to build."""
    return Client("aioapns", reported(sys.executable, str(PEERS / "aioapns_client.py")), SHARES["aioapns"])


def peers(folder: Path, *names: str) -> list[Client]:
    """Peers that `peers/build.py` can build below that folder, without a name all; it says what it leaves out."""
    words = [sys.executable, str(PEERS / "build.py"), str(folder), *names]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    commands: dict[str, list[str]] = json.loads(done.stdout)
    return [Client(name, reported(*command), SHARES.get(name, 1.0)) for name, command in commands.items()]


def built(folder: Path) -> list[Client]:
    """Those that were built below that folder before."""
    names = [path.stem for path in sorted(folder.glob("*.json"))]
    return peers(folder, *names) if names else []


def _output(words: Sequence[str], **environment: str) -> str:
    what = " ".join(Path(word).name for word in words[:2])
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{what} did not end within {PATIENCE} s") from None
    if done.returncode:
        raise Failed(f"{what} failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout
