"""How long a push to one device takes from the request's first byte to APNs, on an idle service and beside a campaign.

    python bench/latency.py [--only CASE …] [--seconds N] [--rate N] [--rounds N] [--backlog N] [--probe]

Cases: `idle`; `campaign`, while another account's backlog of sends to 10,000 is being sent; `arriving`, while such
requests of 1.5 MB keep arriving as well, each as soon as the one before was answered. Requests of one recipient come
at random moments (Poisson, so many a second), whether or not earlier ones were answered: over any idle connection, or
a new one. What counts begins when the first byte is written and ends when the push is out of TLS at the receiving
end, both by the host's monotonic clock. Exit status 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.harness import Verdict, cpu_of, describe, report
from bench.service import CORES, PUSH, post, start
from bench.sinks import Child, certificate, relay, sink

HERE = Path(__file__).resolve().parent
LONGEST_IDLE = 2.0
"""Seconds that a connection of this feeder may have been unused."""
BIG = 10_000
TARGETS = {"idle": {50: 5.0, 99: 20.0}, "campaign": {99: 60.0}, "arriving": {99: 60.0}}
"""Milliseconds by percentile."""
QUANTILES = (50, 90, 99)


class Account(NamedTuple):
    """Who sends: the key as an Authorization header."""

    authorization: str


class Sent(NamedTuple):
    """One request: when it was to be written, when it was, and when the push was there (seconds, monotonic)."""

    due: float
    written: float
    arrived: float

    @property
    def took(self) -> float:
        """Milliseconds that count."""
        return (self.arrived - self.written) * 1000

    @property
    def late(self) -> float:
        """Milliseconds by which this program was late with it."""
        return (self.written - self.due) * 1000


class Round(NamedTuple):
    """What one case found in one round."""

    sent: list[Sent]
    pushes: float
    cpu: float
    accepted: int

    def quantile(self, percent: int) -> float:
        """The wait that so many percent do not exceed (ms)."""
        ordered = sorted(each.took for each in self.sent)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


class Stand:
    """A new service, a sink for the campaign and one that remembers when each push came. `slow`: the campaign's is
    50 ms away, and takes so many streams a connection."""

    def __init__(self, stack: ExitStack, probe: Path | None, place: str | None, *, slow: int = 0) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-", dir=place)))
        self.data = folder / "data"
        pem = certificate(folder)
        self.bulk = way = stack.enter_context(sink(folder, CORES[-1:], *(["--streams", str(slow)] if slow else [])))
        if slow:
            way = stack.enter_context(relay(way.port, CORES[-1:], 25))
        self.receipts = stack.enter_context(Receipts([sys.executable, str(HERE / "receipts.py"), str(pem)], CORES[-1:]))
        words = ["--data", str(self.data), "--listen", "127.0.0.1:0", "--log-level", "error"]
        words += ["--apns-production", f"127.0.0.1:{way.port}", "--apns-cacert", str(folder / "ca.pem")]
        words += ["--apns-sandbox", f"127.0.0.1:{self.receipts.port}"]
        program = ("-m", "heliogram") if probe is None else (str(HERE / "probe.py"), "5", str(probe))
        child, ready = start(stack, CORES[:1], "serve", *words, program=program)
        self.pid = child.pid
        self.host, self.port = ready["url"].removeprefix("http://").split(":")
        self.campaign = self.account("campaign", "APN")
        self.single = self.account("single", "APN_SANDBOX")

    def account(self, name: str, type_: str) -> Account:
        """An account with a credential of that type."""
        self.command("accounts", "create", name)
        key = json.loads(self.command("api-keys", "create", "--account", name))
        signing = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "signingKey": signing.decode(),
            "keyId": "ABC123DEFG",
            "teamId": "DEF123GHIJ",
            "bundleId": "com.example.bench",
        }
        auth = (key["keyId"], key["secret"])
        with httpx2.Client(base_url=f"http://{self.host}:{self.port}", auth=auth, trust_env=False, timeout=30) as api:
            post(api, f"{PUSH}/Credentials", {"credentialType": type_, "appName": "bench", "content": content})
        return Account("Basic " + base64.b64encode(":".join(auth).encode()).decode())

    def command(self, *words: str) -> str:
        """What a `heliogram` command on the data directory prints."""
        command = [sys.executable, "-m", "heliogram", *words, "--data", str(self.data), "--json"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def cpu(self) -> float:
        """CPU seconds the service has used."""
        return cpu_of(self.pid)

    def pushes(self) -> int:
        """What came of the campaign so far."""
        return int(self.bulk.ask()["pushes"])


class Receipts(Child):
    """The sink that remembers."""

    def arrivals(self) -> dict[str, list[int]]:
        """When pushes came since the last call, by token (ns)."""
        found: dict[str, list[int]] = self.ask()  # type: ignore[assignment]
        return found


def head(account: Account, stand: Stand, length: int) -> bytes:
    """The head of a request with a body of that length."""
    return (
        f"POST {PUSH} HTTP/1.1\r\nHost: {stand.host}\r\nAuthorization: {account.authorization}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


class Singles:
    """Requests of one recipient at random moments."""

    def __init__(self, stand: Stand, rate: float, seconds: float, seed: int) -> None:
        self.stand, self.rate, self.seconds = stand, rate, seconds
        self.random = random.Random(seed)
        self.idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.written: dict[str, tuple[float, float]] = {}

    async def run(self) -> dict[str, tuple[float, float]]:
        """Due and written, by token, when all are answered."""
        await self.one(f"{self.random.getrandbits(256):064x}", time.monotonic())  # connections and caches are warm
        self.written.clear()
        self.stand.receipts.arrivals()
        due, tasks = time.monotonic() + 0.1, set()
        end = due + self.seconds
        while due < end:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            tasks.add(asyncio.create_task(self.one(f"{self.random.getrandbits(256):064x}", due)))
            due += self.random.expovariate(self.rate)
        await asyncio.gather(*tasks)
        for _, _, writer in self.idle:
            writer.close()
        return self.written

    async def one(self, token: str, due: float) -> None:
        """One request and its answer."""
        body = json.dumps(
            {"to": [{"token": token, "provider": "APN"}], "content": {"title": "Code", "body": f"It is {token[:6]}"}}
        ).encode()
        request = head(self.stand.single, self.stand, len(body)) + body
        reader, writer = await self.connection()
        self.written[token] = due, time.monotonic()
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 202"):
            raise SystemExit(f"refused: {answer!r} {await reader.read(2000)!r}")
        await reader.readexactly(int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        self.idle.append((time.monotonic(), reader, writer))

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The one used last, or a fresh one: the service closes those that nothing came over for five seconds."""
        while self.idle:
            since, reader, writer = self.idle.pop()
            if time.monotonic() - since < LONGEST_IDLE:
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.stand.host, self.stand.port)


class Campaign:
    """Sends to 10,000, one after another, in a thread of this process that mostly waits."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        to = [
            {"token": f"{number:064x}", "provider": "APN", "variables": {"name": f"Ada {number}", "order": number}}
            for number in range(BIG)
        ]
        content = {"title": "On its way", "body": "Hello {{ name }}, order {{ order }} is on its way"}
        self.body = json.dumps({"to": to, "content": content}).encode()
        self.accepted = 0

    def post(self, times: int = 1_000_000, *, over: Callable[[], bool] = lambda: False) -> None:
        """So many, or until it is over. Where the service says that its queue is full, it waits."""
        connection = http.client.HTTPConnection(self.stand.host, int(self.stand.port), timeout=60)
        headers = {"Authorization": self.stand.campaign.authorization, "Content-Type": "application/json"}
        while times and not over():
            connection.request("POST", PUSH, self.body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == 429:
                time.sleep(0.5)
                continue
            if answer.status != 202:
                raise SystemExit(f"refused: {answer.status} {said!r}")
            self.accepted += 1
            times -= 1
        connection.close()

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """Requests keep arriving meanwhile."""
        over = threading.Event()
        thread = threading.Thread(target=self.post, kwargs={"over": over.is_set})
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def flush_ms(folder: str | None, times: int = 200) -> list[float]:
    """How long it takes to have 4 KiB more on this disk."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(times):
            file.write(os.urandom(4096))
            file.flush()
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begin) * 1000)
    return sorted(took)


def measure(case: str, options: argparse.Namespace, seed: int) -> Round:
    """One case on a new service."""
    probe = Path(tempfile.gettempdir()) / f"heliogram-probe-{case}.txt" if options.probe else None
    with ExitStack() as stack:
        stand = Stand(stack, probe, options.directory)
        campaign = Campaign(stand)
        if case != "idle":
            with stand.bulk.frozen():  # what is taken would be sent nearly as fast
                campaign.post(options.backlog)
        singles = Singles(stand, options.rate, options.seconds, seed)
        accepted, cpu, before, begin = campaign.accepted, stand.cpu(), stand.pushes(), time.monotonic()
        with campaign.arriving() if case == "arriving" else ExitStack():
            written = asyncio.run(singles.run())
            wall, cpu, after = time.monotonic() - begin, stand.cpu() - cpu, stand.pushes()
        if case != "idle" and after >= campaign.accepted * BIG:
            raise SystemExit(
                f"the campaign was over before the measurement: give more than --backlog {options.backlog}"
            )
        arrived = waited_for(stand.receipts, set(written))
    if probe is not None:
        print(probe.read_text())
    sent = [Sent(*times, arrived[token] / 1e9) for token, times in written.items()]
    return Round(sent, (after - before) / wall, cpu / wall, campaign.accepted - accepted)


def waited_for(receipts: Receipts, wanted: set[str]) -> dict[str, int]:
    """When each push came first; all of them within a minute."""
    found: dict[str, int] = {}
    end = time.monotonic() + 60
    while wanted - found.keys():
        if time.monotonic() > end:
            raise SystemExit(f"{len(wanted - found.keys())} of {len(wanted)} pushes did not arrive")
        time.sleep(0.1)
        for token, moments in receipts.arrivals().items():
            found.setdefault(token, moments[0])
            if len(moments) > 1:
                raise SystemExit(f"a push came {len(moments)} times")
    return found


def show(case: str, found: Round) -> None:
    """One line."""
    parts = "  ".join(f"p{percent} {found.quantile(percent):7.2f}" for percent in QUANTILES)
    worst, late = max(each.took for each in found.sent), max(each.late for each in found.sent)
    more = (
        f"{found.pushes:,.0f} pushes/s of the campaign, {found.accepted} sends to 10,000 taken"
        if case != "idle"
        else ""
    )
    print(
        f"  {case:9} {parts}  max {worst:7.2f} ms  ({len(found.sent)} sends, asked at most {late:.1f} ms late;"
        f" service {found.cpu:.0%} of a core{'; ' + more if more else ''})",
        flush=True,
    )


def verdicts(rounds: dict[str, list[Round]]) -> Iterator[Verdict]:
    """The medians of the rounds against the targets."""
    for case, found in rounds.items():
        for percent, limit in TARGETS[case].items():
            middle = statistics.median(each.quantile(percent) for each in found)
            yield Verdict(f"{case}: p{percent} at most {limit:g} ms", f"{middle:.2f} ms", middle <= limit)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the cases in turn and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="CASE")
    parser.add_argument("--seconds", type=float, default=15.0, help="of one case in one round (default 15)")
    parser.add_argument("--rate", type=float, default=40.0, help="single sends a second (default 40)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating (default 3)")
    parser.add_argument("--backlog", type=int, default=100, help="sends to 10,000 taken beforehand (default 100)")
    parser.add_argument("--directory", help="where the data goes, to measure another disk (default: temporary files)")
    parser.add_argument("--probe", action="store_true", help="tell what holds the event loop; figures are then worse")
    options = parser.parse_args(arguments)
    print(describe())
    os.sched_setaffinity(0, CORES[-1:])
    rounds: dict[str, list[Round]] = {case: [] for case in options.only}
    for turn in range(options.rounds):
        flushes = flush_ms(options.directory)
        print(f"round {turn + 1}: a flush of this disk takes {told(flushes)} ms; load {os.getloadavg()[0]:.1f}")
        for case, found in rounds.items():
            found.append(measure(case, options, turn))
            show(case, found[-1])
    print()
    if not report(verdicts(rounds)):
        raise SystemExit(1)


def told(ordered: list[float]) -> str:
    """The median and the slowest of a hundred."""
    return f"p50 {ordered[len(ordered) // 2]:.2f}, p99 {ordered[len(ordered) * 99 // 100]:.2f}"


if __name__ == "__main__":
    main()
