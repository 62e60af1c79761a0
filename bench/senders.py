"""What more processes bring: the same campaigns with `serve --senders` 0, 1, 2 …, recipients a second and CPU.

    python bench/senders.py [--senders N …] [--recipients N] [--operations N] [--rounds N] [--only CASE …]

One service for each number of senders, all at one sink, which costs next to nothing: so there are cores to spare for
senders. Rounds alternate between the services, on all cores, nothing pinned; medians count. CPU is that of a service
and its senders together, then that of the serving process alone. `direct` are device tokens with one content,
`personal` the same with variables.
"""

from __future__ import annotations

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import sinks
from bench.harness import cpu_of, describe

PUSH = "/v1/PushNotifications"
SCALE = 100_000
CASES = ("direct", "personal")


class Round(NamedTuple):
    """Recipients a second; CPU seconds per 100,000 of them, of all processes and of the serving one."""

    rate: float
    cost: float
    own: float


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--senders", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--recipients", type=int, default=10_000, help="of one operation (default 10000)")
    parser.add_argument("--operations", type=int, default=10, help="in one round (default 10)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds after a warm-up (default 5)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options = parser.parse_args()
    print(describe(), flush=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-")))
        sink = stack.enter_context(sinks.sink(folder, []))
        services = {number: Service(stack, folder, sink.port, number) for number in options.senders}
        for case in options.only:
            body = campaign(case, options.recipients)
            found: dict[int, list[Round]] = {number: [] for number in services}
            for turn in range(options.rounds + 1):
                for number, service in services.items():
                    row = service.measure(body, options.recipients, options.operations)
                    if turn:
                        found[number].append(row)
            show(case, found)


def show(case: str, found: dict[int, list[Round]]) -> None:
    """A line for each number of senders; the ratio is the median of those of each round to the first number's."""
    (_, first), *_ = found.items()
    for number, rows in found.items():
        ratio = statistics.median(row.rate / base.rate for row, base in zip(rows, first, strict=True))
        rate, cost, own = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{case:9} --senders {number}: {rate:8,.0f} recipients/s ({ratio:.2f}x)   {cost:5.2f} CPU s per 100,000, "
            f"{own:.2f} of it in the serving process",
            flush=True,
        )


def campaign(case: str, count: int) -> bytes:
    """A request to so many device tokens."""
    recipients: list[dict[str, Any]] = [{"token": secrets.token_hex(32), "provider": "APN"} for _ in range(count)]
    text = "Your parcel 4711 is out for delivery and will be with you today"
    if case == "personal":
        text = "Hello {{ name | default: 'you' }}, your parcel 4711 is out for delivery"
        recipients = [{**each, "variables": {"name": f"Ada {each['token'][:6]}"}} for each in recipients]
    return json.dumps({"to": recipients, "content": {"title": "Hello", "body": text}}).encode()


class Service:
    """One `heliogram serve`, with an app and a key."""

    def __init__(self, stack: ExitStack, folder: Path, port: int, senders: int) -> None:
        data = folder / f"data-{senders}"
        command = [sys.executable, "-m", "heliogram"]
        words = ["--data", str(data), "--listen", "127.0.0.1:0", "--log-level", "warning", "--senders", str(senders)]
        apns = ["--apns-production", f"127.0.0.1:{port}", "--apns-cacert", str(folder / "ca.pem")]
        child = subprocess.Popen([*command, "serve", *words, *apns, "--json"], stdout=subprocess.PIPE, text=True)
        stack.callback(child.wait, 60)
        stack.callback(child.terminate)
        assert child.stdout is not None
        ready = json.loads(child.stdout.readline())
        self.pid = child.pid
        made = subprocess.run(
            [*command, "api-keys", "create", "--data", str(data), "--json"], check=True, capture_output=True
        )
        key = json.loads(made.stdout)
        auth = (key["keyId"], key["secret"])
        self.api = stack.enter_context(httpx2.Client(base_url=ready["url"], auth=auth, timeout=120, trust_env=False))
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        content = {
            "signingKey": pem.decode(),
            "keyId": "KEY1234567",
            "teamId": "TEAM123456",
            "bundleId": "com.example.app",
        }
        body = {"credentialType": "APN", "appName": "app", "content": content}
        assert self.api.post(f"{PUSH}/Credentials", json=body).status_code < 300

    def measure(self, body: bytes, recipients: int, operations: int) -> Round:
        """Sends so many operations and waits for every outcome."""
        own, all_, begin = cpu_of(self.pid), self.cpu(), time.perf_counter()
        made = []
        for _ in range(operations):
            answer = self.api.post(PUSH, content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 202, answer.text
            made.append(answer.json()["operationId"])
        for operation in made:
            self.wait(operation, recipients)
        total = recipients * operations
        seconds = time.perf_counter() - begin
        return Round(total / seconds, (self.cpu() - all_) / total * SCALE, (cpu_of(self.pid) - own) / total * SCALE)

    def wait(self, operation: str, expected: int) -> None:
        """Until the operation is COMPLETED, everything accepted."""
        while True:
            found = self.api.get(f"{PUSH}/Operations/{operation}").json()
            if found["status"] == "COMPLETED":
                assert found["stats"]["sent"] == expected, found
                return
            time.sleep(0.01)

    def cpu(self) -> float:
        """CPU seconds of the service and its senders."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return cpu_of(self.pid) + sum(cpu_of(int(each)) for each in children)


if __name__ == "__main__":
    main()
