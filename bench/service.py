"""The whole service, from the request to the recorded outcome: recipients a second and CPU seconds per 100,000.

`heliogram serve` runs on one core, the simulator and this feeder on the other (where there are two). Each round sends
one operation of 10,000 recipients after another and waits until all are COMPLETED; the CPU counted is that of the
service's process alone. Run it with `python bench/service.py --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2

PUSH = "/v1/PushNotifications"
BUNDLE = "com.example.bench"
CORES = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipients", type=int, default=10_000, help="of one operation (default 10000)")
    parser.add_argument("--operations", type=int, default=5, help="in one round (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds after a warm-up (default 3)")
    parser.add_argument("--devices", type=int, default=500, help="virtual devices the tokens cycle over (default 500)")
    options = parser.parse_args()
    os.sched_setaffinity(0, CORES[-1:])
    with ExitStack() as stack:
        bench = Bench(stack)
        print(f"{platform.platform()}, Python {platform.python_version()}, cores {CORES}")
        tokens = bench.prepare(options.devices)
        users = bench.register(tokens)
        for name, recipients in (
            ("direct tokens, one content", [{"token": token, "provider": "APN"} for token in tokens]),
            ("direct tokens, personalised", [personal({"token": token, "provider": "APN"}) for token in tokens]),
            ("users, one device each, personalised", [personal({"userId": user}) for user in users]),
        ):
            bench.measure(name, cycle(recipients, options.recipients), options.operations, options.rounds)


def personal(recipient: dict[str, Any]) -> dict[str, Any]:
    ident = str(recipient.get("token") or recipient["userId"])
    return recipient | {"variables": {"name": f"Ada {ident[-6:]}"}}


def cycle(recipients: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [recipients[n % len(recipients)] for n in range(count)]


class Bench:
    """Simulator and service as processes, and the calls that fill them."""

    def __init__(self, stack: ExitStack) -> None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-")))
        self.data = directory / "data"
        names = ("production", "sandbox", "manage-production", "manage-sandbox", "control")
        listeners = [word for name in names for word in (f"--{name}", "127.0.0.1:0")]
        apns = start(stack, CORES[-1:], "simulator", *listeners, "--data", str(directory / "simulator"))
        place = ["--apns-production", apns[1]["production"], "--apns-cacert", apns[1]["ca"]]
        words = ["--data", str(self.data), "--listen", "127.0.0.1:0", "--log-level", "warning", *place]
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
        content = {"signingKey": key["p8"], "keyId": key["keyId"], "teamId": "DEF123GHIJ", "bundleId": BUNDLE}
        post(self.api, f"{PUSH}/Credentials", {"credentialType": "APN", "appName": "bench", "content": content})
        tokens = []
        for number in range(devices):
            device = post(self.control, "/devices", {"name": f"phone {number}"})["id"]
            post(self.control, f"/devices/{device}/apps", {"bundleId": BUNDLE, "environment": "production"})
            tokens.append(post(self.control, f"/devices/{device}/apps/{BUNDLE}/launch", None)["deviceToken"])
        return tokens

    def register(self, tokens: list[str]) -> list[str]:
        """A user for each token."""
        users = []
        for token in tokens:
            body = {"appName": "bench", "token": token, "provider": "APN"}
            made = post(self.api, f"{PUSH}/DeviceRegistrations", body)["resourceId"]
            users.append(self.api.get(f"{PUSH}/DeviceRegistrations/{made}").json()["userId"])
        return users

    def measure(self, name: str, recipients: list[dict[str, Any]], operations: int, rounds: int) -> None:
        """Sends, waits for every outcome, prints medians."""
        content = {"title": "Hello", "body": "Hello {{ name | default: 'you' }}, your parcel 4711 is out for delivery"}
        if "variables" not in recipients[0]:
            content["body"] = "Your parcel 4711 is out for delivery and will be with you today"
        body = json.dumps({"to": recipients, "content": content}).encode()
        costs, rates, accepts = [], [], []
        for counted in range(rounds + 1):
            cpu, begin = self.cpu(), time.perf_counter()
            made = []
            for _ in range(operations):
                sent = time.perf_counter()
                answer = self.api.post(PUSH, content=body, headers={"content-type": "application/json"})
                assert answer.status_code == 202, answer.text
                accepts.append(time.perf_counter() - sent)
                made.append(answer.json()["operationId"])
            for operation in made:
                self.wait(operation, len(recipients))
            if counted:
                total = len(recipients) * operations
                rates.append(total / (time.perf_counter() - begin))
                costs.append((self.cpu() - cpu) / total * 100_000)
        print(
            f"{name:38} {statistics.median(rates):8,.0f} recipients/s   "
            f"{statistics.median(costs):5.2f} CPU s per 100,000 ({min(costs):.2f} to {max(costs):.2f})   "
            f"202 after {statistics.median(accepts) * 1000:.0f} ms ({len(body):,} bytes)"
        )

    def wait(self, operation: str, expected: int) -> None:
        """Until the operation is COMPLETED, everything accepted."""
        while True:
            found = self.api.get(f"{PUSH}/Operations/{operation}").json()
            if found["status"] == "COMPLETED":
                assert found["stats"]["sent"] == expected, found
                return
            time.sleep(0.02)

    def cpu(self) -> float:
        """CPU seconds the service has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


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
