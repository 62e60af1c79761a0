"""The programs that send: Heliogram in its ways, h2load, and the peers under `bench/peers`."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.harness import Client, Place, Run

HERE = Path(__file__).resolve().parent
TOKEN = "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQzEyM0RFRkcifQ.eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxNzAwMDAwMDAwfQ." + "c2" * 43
_TEXT = "Your order 4711 has left our warehouse and will be with you tomorrow."
BODY = f'{{"aps":{{"alert":{{"title":"On its way","body":"{_TEXT}"}},"badge":47}},"order":4711}}'
URLS = 10_000


def heliogram(name: str, *options: str, accept: bool = True) -> Client:
    """Our engine (`load.py`); `accept` says that every push must be accepted, else that it must have an answer."""

    def run(place: Place, count: int) -> Run:
        words = [sys.executable, str(HERE / "load.py"), str(place.port), place.cafile, str(count)]
        words += ["--connections", str(place.connections), *options]
        told = json.loads(_output(words).splitlines()[-1])
        ended = told["ended"]
        good = ended.get("Accepted", 0) + (0 if accept else ended.get("Rejected", 0))
        if good != count:
            raise SystemExit(f"{name}: of {count} pushes {good} ended as they should: {ended}")
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
            raise SystemExit(f"h2load did not succeed:\n{said}")
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall

    def run(place: Place, count: int) -> Run:
        if len(starts) < 5:
            starts.append(once(place, place.connections)[0])
        cpu, wall = once(place, count)
        return Run(count, max(cpu - statistics.median(starts), 1e-6), wall, {})

    return Client("h2load", run)


def reported(*command: str) -> Callable[[Place, int], Run]:
    """A program that prints its own CPU and wall seconds last, start-up left out.

    PORT, CAFILE and PUSHES are filled in; PEER_TOKEN and PEER_CONNECTIONS are in its environment.
    """

    def run(place: Place, count: int) -> Run:
        places = {"PORT": str(place.port), "CAFILE": place.cafile, "PUSHES": str(count)}
        words = [places.get(word, word) for word in command]
        said = _output(words, PEER_TOKEN=TOKEN, PEER_CONNECTIONS=str(place.connections))
        cpu, wall = said.split()[-2:]
        return Run(count, float(cpu), float(wall), {})

    return run


def go(folder: Path) -> Client | None:
    """Go's net/http, built once."""
    source = HERE / "peers" / "main.go"
    if not shutil.which("go") or not source.exists():
        return None
    binary = folder / "go-peer"
    if not binary.exists():
        subprocess.run(["go", "build", "-o", str(binary), str(source)], check=True)
    return Client("go net/http", reported(str(binary), "PORT", "CAFILE", "PUSHES"), 0.3)


def peers(folder: Path) -> list[Client]:
    """Everything that is on this machine besides Heliogram and h2load; what is not is named."""
    found = []
    gone = go(folder)
    if gone is None:
        print("left out: go (no Go toolchain)")
    else:
        found.append(gone)
    aioapns = HERE / "peers" / "aioapns_client.py"
    if aioapns.exists():
        found.append(Client("aioapns", reported(sys.executable, str(aioapns), "PORT", "CAFILE", "PUSHES"), 0.03))
    for described in sorted((HERE / "peers").glob("*/peer.toml")):
        peer = _described(described, folder)
        if peer is not None:
            found.append(peer)
    return found


def _described(path: Path, folder: Path) -> Client | None:
    """A peer by its `peer.toml` (see the README): name, command, share, needs, build."""
    told = tomllib.loads(path.read_text())
    missing = [word for word in told.get("needs", ()) if not shutil.which(word)]
    if missing:
        print(f"left out: {told['name']} (not on this machine: {', '.join(missing)})")
        return None
    here, out = path.parent, folder / path.parent.name
    out.mkdir(exist_ok=True)

    def fill(words: Sequence[str]) -> list[str]:
        return [w.replace("HERE", str(here)).replace("OUT", str(out)).replace("PYTHON", sys.executable) for w in words]

    for step in told.get("build", ()):
        done = subprocess.run(fill(step), capture_output=True, text=True, check=False, cwd=here)
        if done.returncode:
            print(f"left out: {told['name']} ({' '.join(step)} failed: {done.stderr.strip()[-200:]})")
            return None
    return Client(told["name"], reported(*fill(told["command"])), float(told.get("share", 1.0)))


def _output(words: Sequence[str], **environment: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:3])} … failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout
