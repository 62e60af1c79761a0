"""The simulator measured with h2load: CPU seconds of its process per 100,000 pushes, and its control API in a burst.

    python bench/simulator.py [--pushes N] [--rounds N] [--devices N] [--only CASE …]

Cases: rejected (tokens nobody has: the answer path without a device), one (one device), devices (a device for each of
N tokens: judged, delivered, logged, kept for lint), over 20 connections, and over one; burst (the slowest GET
/devices/{id} while pushes pour in). The simulator has one core, h2load the other; medians count. `simulator()` is the
engine's case of the same name for engine.py. Exit status 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench import clients
from bench.harness import (
    SCALE,
    Bench,
    Place,
    Verdict,
    alternate,
    at_most,
    cpu_of,
    describe,
    divide_cores,
    report,
    table,
)
from bench.sinks import pin

DEVICES = 100
TEAM = "DEF123GHIJ"
TOPIC = "com.example.app"
STREAMS = 500
LISTENERS = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
TARGETS = {"rejected": 2.5, "one": 3.5, "devices": 3.5}
"""CPU seconds of the simulator per 100,000 pushes."""


class Started(NamedTuple):
    """A simulator in a process of its own, and what is needed to push to it."""

    pid: int
    ports: dict[str, int]
    ca: str
    key_id: str
    private_key: str
    devices: list[str]
    tokens: list[str]


class Control:
    """The control API over one connection."""

    def __init__(self, address: str) -> None:
        self._http = http.client.HTTPConnection(address.partition("://")[2], timeout=60)
        self._http.connect()
        # Head and body leave apart: without this each call waits 40 ms for an acknowledgement that is delayed.
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        method = "GET" if body is None else "POST"
        self._http.request(method, path, data, {"content-type": "application/json"})
        answer = self._http.getresponse()
        text = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text) if text else None

    def close(self) -> None:
        self._http.close()


@contextmanager
def started(cores: Sequence[int], devices: int) -> Iterator[Started]:
    """The simulator on these cores with a key and so many devices; it ends with the block."""
    words = [word for name in LISTENERS for word in (f"--{name}", "127.0.0.1:0")]
    with tempfile.TemporaryDirectory(prefix="heliogram-bench-") as folder:
        command = [sys.executable, "-m", "heliogram", "simulator", *words, "--data", folder, "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            pin(process.pid, cores)
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            control = Control(ready["control"])
            issued = control.ask("/portal/keys", {"teamId": TEAM})
            made = [_device(control, number) for number in range(devices)]
            control.close()
            ports = {name: int(ready[name].rpartition(":")[2]) for name in ("production", "control")}
            ids, tokens = [one for one, _ in made], [token for _, token in made]
            yield Started(process.pid, ports, ready["ca"], issued["keyId"], issued["p8"], ids, tokens)
        finally:
            process.terminate()
            process.wait(10)


def _device(control: Control, number: int) -> tuple[str, str]:
    device = control.ask("/devices", {"name": f"phone {number}", "platform": "ios"})["id"]
    control.ask(f"/devices/{device}/apps", {"bundleId": TOPIC, "environment": "production"})
    return device, control.ask(f"/devices/{device}/apps/{TOPIC}/launch", {})["deviceToken"]


def simulator(bench: Bench) -> Iterator[Verdict]:
    """Pushes to 100 virtual devices of the simulator. No target: it limits the rate, not the CPU figure."""
    with started(bench.server_cores, DEVICES) as running, tempfile.TemporaryDirectory() as folder:
        Path(folder, "key.p8").write_text(running.private_key)
        Path(folder, "tokens").write_text("\n".join(running.tokens))
        place = Place(running.ports["production"], running.ca)
        own = ["--key", f"{folder}/key.p8", "--key-id", running.key_id, "--tokens", f"{folder}/tokens"]
        chosen = [clients.heliogram(f"heliogram {way}", "--way", way, *own) for way in ("many", "send")]
        table(alternate(chosen, place, bench.pushes, max(1, bench.rounds // 2)), None)
    yield from ()


# ---- h2load against the simulator


class Figure(NamedTuple):
    """What one run of h2load cost the simulator."""

    cpu: float
    wall: float
    pushes: int

    @property
    def cost(self) -> float:
        """CPU seconds per 100,000 pushes."""
        return self.cpu * SCALE / self.pushes


def provider_token(key_id: str, private_key: str) -> str:
    """A JWT of this key, issued now."""

    def b64(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")

    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    head, claims = {"alg": "ES256", "kid": key_id}, {"iss": TEAM, "iat": int(time.time())}
    message = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
    r, s = decode_dss_signature(key.sign(message.encode(), ec.ECDSA(SHA256())))
    return f"{message}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Load:
    """h2load with this simulator's key, on a core of its own."""

    def __init__(self, running: Started, folder: Path, program: str) -> None:
        self._running = running
        self._folder = folder
        self._program = program
        self._jwt = provider_token(running.key_id, running.private_key)
        (folder / "body").write_text(clients.BODY)

    def run(self, tokens: Sequence[str], pushes: int, connections: int, status: str) -> Figure:
        """Send to these tokens in turn; every answer must be of this class (2xx)."""
        port, pid = self._running.ports["production"], self._running.pid
        urls = self._folder / "urls"
        urls.write_text("".join(f"https://127.0.0.1:{port}/3/device/{token}\n" for token in tokens))
        fields = {
            "authorization": f"bearer {self._jwt}",
            "apns-topic": TOPIC,
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-expiration": "0",
        }
        words = [self._program, f"-n{pushes}", f"-c{connections}", f"-m{STREAMS}", "-t1", "-i", str(urls)]
        words += ["-d", str(self._folder / "body")]
        words += [word for name, value in fields.items() for word in ("-H", f"{name}: {value}")]
        before, begin = cpu_of(pid), time.perf_counter()
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        figure = Figure(cpu_of(pid) - before, time.perf_counter() - begin, pushes)
        counts = {name: int(count) for count, name in re.findall(r"(\d+) (\dxx)", said)}
        if counts.get(status) != pushes:
            raise SystemExit(f"of {pushes} pushes {counts} were answered {status}:\n{said}")
        return figure


def show(title: str, figures: Sequence[Figure]) -> float:
    """One line; the median of the costs."""
    costs = [figure.cost for figure in figures]
    rate = statistics.median(figure.pushes / figure.wall for figure in figures)
    middle = statistics.median(costs)
    print(f"  {title:44}{middle:8.3f}{min(costs):8.3f}{max(costs):8.3f}{rate:11,.0f}", flush=True)
    return middle


def costs(load: Load, running: Started, pushes: int, rounds: int, only: Sequence[str]) -> Iterator[Verdict]:
    """Each case over one connection and over 20, in alternation."""
    unknown = [f"{number:064x}" for number in range(len(running.tokens))]
    cases = {
        "rejected": (unknown, "4xx"),
        "one": (running.tokens[:1], "2xx"),
        "devices": (running.tokens, "2xx"),
    }
    chosen = {name: case for name, case in cases.items() if name in only}
    found: dict[tuple[str, int], list[Figure]] = {}
    for _ in range(rounds):
        for name, (tokens, status) in chosen.items():
            for connections in (1, 20):
                figure = load.run(tokens, pushes, connections, status)
                found.setdefault((name, connections), []).append(figure)
    print(f"  {'':44}{'CPU s':>8}{'least':>8}{'most':>8}{'pushes/s':>11}")
    for (name, connections), figures in found.items():
        middle = show(f"{name}, {connections} connections", figures)
        yield at_most(f"{name} over {connections} connections: CPU per 100,000", middle, TARGETS[name], " s")
    for name in chosen:
        both = [statistics.median(figure.cost for figure in found[name, number]) for number in (1, 20)]
        yield at_most(f"{name}: 20 connections against one", both[1] / both[0], 1.1)


def burst(load: Load, running: Started, pushes: int) -> Iterator[Verdict]:
    """GET /devices/{id} over and over while h2load sends to every device over 1 and over 20 connections."""
    for connections in (1, 20):
        over = threading.Event()

        def send(connections: int = connections, over: threading.Event = over) -> None:
            load.run(running.tokens, pushes, connections, "2xx")
            over.set()

        sender = threading.Thread(target=send)
        control, waits, number = Control(f"http://127.0.0.1:{running.ports['control']}"), [0.0], 0
        sender.start()
        while not over.is_set() and sender.is_alive():
            begin = time.perf_counter()
            control.ask(f"/devices/{running.devices[number % len(running.devices)]}")
            waits.append(time.perf_counter() - begin)
            number += 1
            time.sleep(0.005)
        sender.join()
        control.close()
        worst, middle = max(waits) * 1000, statistics.median(waits) * 1000
        print(f"  control API over {connections} connections: {len(waits)} answers, median {middle:.0f} ms")
        yield at_most(f"slowest GET /devices/{{id}} in a burst over {connections} connections", worst, 500, " ms")


def main() -> None:
    """Run the cases and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pushes", type=int, default=SCALE, help="in one run of h2load (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default %(default)s)")
    parser.add_argument("--devices", type=int, default=10_000, help="virtual devices (default %(default)s)")
    names = [*TARGETS, "burst"]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="CASE")
    options = parser.parse_args()
    program = shutil.which("h2load")
    if program is None:
        print("left out: h2load is not on this machine (Debian: apt-get install nghttp2-client)")
        return
    print(describe())
    client_cores, server_cores = divide_cores()
    print(f"h2load on cores {client_cores}, the simulator on {server_cores}; -m{STREAMS}, {options.pushes:,} pushes")
    with (
        tempfile.TemporaryDirectory(prefix="heliogram-bench-") as folder,
        started(server_cores, options.devices) as running,
    ):
        load = Load(running, Path(folder), program)
        load.run(running.tokens[:1], min(5000, options.pushes), 1, "2xx")
        verdicts = list(costs(load, running, options.pushes, options.rounds, options.only))
        if "burst" in options.only:
            verdicts += burst(load, running, options.pushes)
    print()
    if not report(verdicts):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
