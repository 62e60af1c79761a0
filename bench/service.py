"""The whole service, from the request to the recorded outcome: recipients a second and CPU seconds per 100,000.

    python bench/service.py [--only CASE …] [--recipients N] [--operations N] [--rounds N] [--devices N]
    python bench/service.py --single [--seconds N] [--rounds N] [--round-trip MS]

`heliogram serve` runs on one core, the simulator and this feeder on the other (where there are two). Each round sends
one operation of 10,000 recipients after another and waits until all are COMPLETED; the CPU counted is that of the
service's process alone. Cases: `direct` (tokens, one content), `personal` (tokens with variables), `user` (users with
one device, with variables), `users` and `users-plain` (users with 1.5 devices on average, with variables and without),
`engine` (`send_many` to the same simulator, a distinct body per push, in a process of its own on the service's core).
Rounds alternate, medians count. `--single`: sends to one over 64 connections. `--round-trip`:
how far away APNs is, by a relay between. Exit status 1 when a target was missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.clients import heliogram
from bench.harness import SCALE, Place, Verdict, at_most, cpu_of, describe, report
from bench.sinks import relay

PUSH = "/v1/PushNotifications"
BUNDLE = "com.example.app"
CORES = sorted(os.sched_getaffinity(0))


CASES = {
    "direct": "direct tokens, one content",
    "personal": "direct tokens, personalised",
    "user": "users, one device each, personalised",
    "users": "users, 1.5 devices each, personalised",
    "users-plain": "users, 1.5 devices each, one content",
    "engine": "the engine's send_many",
}
TARGETS = {"direct": 2.5, "users": 3.5, "users-plain": 3.5}
"""CPU seconds that 100,000 recipients may cost."""
TIMES_ENGINE = 4.0
"""How often the engine's own cost per push the service's may be."""
OWN_PUSHES = 50_000
"""Pushes of one round of `send_many`."""


def main() -> None:
    """Run the cases in turn and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--single", action="store_true", help="sends to one over 64 connections, nothing else")
    parser.add_argument("--recipients", type=int, default=10_000, help="of one operation (default 10000)")
    parser.add_argument("--operations", type=int, default=5, help="in one round (default 5)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds after a warm-up (default 5)")
    parser.add_argument(
        "--devices", type=int, default=1200, help="virtual devices the tokens cycle over (default 1200)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round of --single (default 5)")
    parser.add_argument("--round-trip", type=float, default=0.0, help="milliseconds to APNs and back (default 0)")
    options = parser.parse_args()
    print(describe(), f"\ncores {CORES}", flush=True)
    os.sched_setaffinity(0, CORES[-1:])
    with ExitStack() as stack:
        bench = Bench(stack, options.round_trip)
        if options.single:
            from bench.single import single  # which needs what is here

            verdicts = single(bench, options.seconds, options.rounds)
        else:
            verdicts = many(bench, options)
    sys.exit(not report(verdicts))


def many(bench: Bench, options: argparse.Namespace) -> list[Verdict]:
    """The cases of --only, round by round."""
    tokens = bench.prepare(options.devices)
    third = len(tokens) // 3  # a token is one user's
    ones = bench.register(tokens[:third], 1) if "user" in options.only else []
    users = bench.register(tokens[third:], 1, 2) if {"users", "users-plain"} & set(options.only) else []
    recipients = {
        "direct": [{"token": token, "provider": "APN"} for token in tokens],
        "personal": [personal({"token": token, "provider": "APN"}) for token in tokens],
        "user": [personal({"userId": user}) for user in ones],
        "users": [personal({"userId": user}) for user in users],
        "users-plain": [{"userId": user} for user in users],
    }
    taken: dict[str, list[Round]] = {name: [] for name in options.only}
    for turn in range(options.rounds + 1):
        for name, found in taken.items():
            if name == "engine":
                row = bench.engine(OWN_PUSHES)
            else:
                row = bench.measure(cycle(recipients[name], options.recipients), options.operations)
            if turn:
                found.append(row)
    for name, found in taken.items():
        show(name, found)
    return list(verdicts_of(taken))


class Round(NamedTuple):
    """Recipients a second, CPU seconds per 100,000 of them, and the milliseconds until the 202 of each send."""

    rate: float
    cost: float
    accepts: list[float]


def show(name: str, rounds: list[Round]) -> None:
    """The medians of one case."""
    costs, accepts = [row.cost for row in rounds], [each for row in rounds for each in row.accepts]
    waited = f"   202 after {statistics.median(accepts):.0f} ms" if accepts else ""
    print(
        f"{CASES[name]:38} {statistics.median(row.rate for row in rounds):8,.0f} recipients/s   "
        f"{statistics.median(costs):5.2f} CPU s per 100,000 ({min(costs):.2f} to {max(costs):.2f}){waited}"
    )


def verdicts_of(taken: dict[str, list[Round]]) -> Iterator[Verdict]:
    """What was to hold."""
    medians = {name: statistics.median(row.cost for row in rounds) for name, rounds in taken.items()}
    for name, most in TARGETS.items():
        yield at_most(f"{CASES[name]}: CPU per 100,000", medians.get(name), most, " s")
    ratio = None
    if "direct" in taken and "engine" in taken:
        both = zip(taken["direct"], taken["engine"], strict=True)
        ratio = statistics.median(mine.cost / own.cost for mine, own in both)
    yield at_most("a direct recipient, in terms of the engine's own send_many", ratio, TIMES_ENGINE)


def personal(recipient: dict[str, Any]) -> dict[str, Any]:
    ident = str(recipient.get("token") or recipient["userId"])
    return recipient | {"variables": {"name": f"Ada {ident[-6:]}"}}


def cycle(recipients: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [recipients[n % len(recipients)] for n in range(count)]


class Bench:
    """Simulator and service as processes, and the calls that fill them."""

    def __init__(self, stack: ExitStack, round_trip: float = 0.0) -> None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-")))
        self.data, self.folder = directory / "data", directory
        names = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
        listeners = [word for name in names for word in (f"--{name}", "127.0.0.1:0")]
        apns = start(stack, CORES[-1:], "simulator", *listeners, "--data", str(directory / "simulator"))
        production = str(apns[1]["production"])
        if round_trip:
            port = int(production.rpartition(":")[2])
            production = f"127.0.0.1:{stack.enter_context(relay(port, CORES[-1:], round_trip / 2)).port}"
        place = ["--apns-production", production, "--apns-cacert", apns[1]["ca"]]
        words = ["--data", str(self.data), "--listen", "127.0.0.1:0", "--log-level", "warning", *place]
        self.apns = Place(int(apns[1]["production"].rpartition(":")[2]), apns[1]["ca"], 4)
        service = start(stack, CORES[:1], "serve", *words)
        self.pid = service[0].pid
        self.control = stack.enter_context(httpx2.Client(base_url=apns[1]["control"], trust_env=False))
        key = json.loads(
            subprocess.run(
                [sys.executable, "-m", "heliogram", "api-keys", "create", "--data", str(self.data), "--json"],
                check=True,
                capture_output=True,
            ).stdout
        )
        self.key = (key["keyId"], key["secret"])
        self.api = stack.enter_context(
            httpx2.Client(base_url=service[1]["url"], auth=self.key, timeout=120, trust_env=False)
        )

    def prepare(self, devices: int) -> list[str]:
        """A credential and that many device tokens."""
        key = post(self.control, "/portal/keys", {"teamId": "DEF123GHIJ"})
        (self.folder / "key.p8").write_text(key["p8"])
        self.issued = key["keyId"]
        content = {"signingKey": key["p8"], "keyId": key["keyId"], "teamId": "DEF123GHIJ", "bundleId": BUNDLE}
        post(self.api, f"{PUSH}/Credentials", {"credentialType": "APN", "appName": "bench", "content": content})
        tokens = []
        for number in range(devices):
            device = post(self.control, "/devices", {"name": f"phone {number}"})["id"]
            post(self.control, f"/devices/{device}/apps", {"bundleId": BUNDLE, "environment": "production"})
            tokens.append(post(self.control, f"/devices/{device}/apps/{BUNDLE}/launch", None)["deviceToken"])
        (self.folder / "tokens").write_text("\n".join(tokens))
        return tokens

    def register(self, tokens: list[str], *sizes: int) -> list[str]:
        """Users with so many of the tokens each, in turn."""
        users: list[str] = []
        left = list(tokens)
        for size in itertools.cycle(sizes):
            if len(left) < size:
                return users
            body = {"appName": "bench", "token": left.pop(), "provider": "APN"}
            made = post(self.api, f"{PUSH}/DeviceRegistrations", body)["resourceId"]
            user = self.api.get(f"{PUSH}/DeviceRegistrations/{made}").json()["userId"]
            for _ in range(size - 1):
                post(self.api, f"{PUSH}/DeviceRegistrations", body | {"token": left.pop(), "userId": user})
            users.append(user)
        return users

    def measure(self, recipients: list[dict[str, Any]], operations: int) -> Round:
        """Sends, and waits for every outcome."""
        content = {"title": "Hello", "body": "Hello {{ name | default: 'you' }}, your parcel 4711 is out for delivery"}
        if "variables" not in recipients[0]:
            content["body"] = "Your parcel 4711 is out for delivery and will be with you today"
        body = json.dumps({"to": recipients, "content": content}).encode()
        cpu, begin = self.cpu(), time.perf_counter()
        made, accepts = [], []
        for _ in range(operations):
            sent = time.perf_counter()
            answer = self.api.post(PUSH, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 202, answer.text
            accepts.append((time.perf_counter() - sent) * 1000)
            made.append(answer.json()["operationId"])
        for operation in made:
            self.wait(operation, len(recipients))
        total = len(recipients) * operations
        rate = total / (time.perf_counter() - begin)
        return Round(rate, (self.cpu() - cpu) / total * SCALE, accepts)

    def engine(self, pushes: int) -> Round:
        """`send_many` with the service's key to the same devices, on the service's core."""
        words = ["--key", f"{self.folder}/key.p8", "--key-id", self.issued, "--tokens", f"{self.folder}/tokens"]
        os.sched_setaffinity(0, CORES[:1])
        try:
            run = heliogram("send_many", "--loop", "uvloop", *words).run(self.apns, pushes)
        finally:
            os.sched_setaffinity(0, CORES[-1:])
        return Round(run.rate, run.cost, [])

    def wait(self, operation: str, expected: int) -> None:
        """Until the operation is COMPLETED, everything accepted."""
        begin = time.perf_counter()
        while True:
            found = self.api.get(f"{PUSH}/Operations/{operation}").json()
            if found["status"] == "COMPLETED":
                assert found["stats"]["sent"] == expected, found
                return
            time.sleep(
                max(0.02, (time.perf_counter() - begin) / 10)
            )  # asking costs the service, on a slow machine most

    def cpu(self) -> float:
        """CPU seconds the service has used."""
        return cpu_of(self.pid)


def post(client: httpx2.Client, path: str, body: object) -> Any:
    answer = client.post(path, json=body)
    assert answer.status_code < 300, answer.text
    return answer.json()


def start(
    stack: ExitStack, cores: list[int], *arguments: str, program: Sequence[str] = ("-m", "heliogram")
) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A heliogram command on these cores, stopped at the end; the process and its ready line."""
    child = subprocess.Popen([sys.executable, *program, *arguments, "--json"], stdout=subprocess.PIPE, text=True)
    stack.callback(child.wait, 60)
    stack.callback(child.terminate)
    os.sched_setaffinity(child.pid, cores)
    assert child.stdout is not None
    return child, json.loads(child.stdout.readline())


if __name__ == "__main__":
    main()
