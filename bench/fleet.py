"""An installation in one of the ways there are to run it, at a light sink, and what each of its parts costs.

`sqlite` is one process with its file, `postgres-one` one node with every role on PostgreSQL; `postgres` and `nats` are
a node of each role (API, worker, dispatcher), the latter with NATS JetStream handing out work. Servers flush to disk.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from support.cluster_services import Nats, Postgres, Server, master_key, remove

from bench.api import Target
from bench.harness import cpu_of

PUSH = "/v1/PushNotifications"
TEAM = "TEAM123456"
MODES = ("sqlite", "postgres-one", "postgres", "nats")
SPLIT = ("api", "worker", "dispatcher")
START_SECONDS = 60.0


class Parts(NamedTuple):
    """CPU seconds by part: of nodes by their names, and of servers."""

    nodes: dict[str, float]
    servers: dict[str, float]

    def since(self, before: Parts) -> Parts:
        """What was used meanwhile; a node that is new has used all it has."""
        return Parts(_less(self.nodes, before.nodes), _less(self.servers, before.servers))

    def times(self, factor: float) -> Parts:
        """Scaled."""
        return Parts(
            {name: used * factor for name, used in self.nodes.items()},
            {name: used * factor for name, used in self.servers.items()},
        )

    @property
    def own(self) -> float:
        """All nodes together."""
        return sum(self.nodes.values())


def _less(now: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: used - before.get(name, 0.0) for name, used in now.items()}


def group_cpu(pid: int) -> float:
    """CPU seconds of a process and of all below it, those that have ended included."""
    text = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used = sum(int(field) for field in text[11:15]) / os.sysconf("SC_CLK_TCK")
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            used += group_cpu(int(child))
    return used


class Servers:
    """PostgreSQL, and so many NATS servers, with the settings that people are told to use: what is confirmed is on the
    disk. They end with the stack."""

    def __init__(self, stack: ExitStack, folder: Path, nats: int) -> None:
        home = Path(tempfile.mkdtemp(prefix="hgpg-"))  # where PostgreSQL's own user gets to
        home.chmod(0o755)
        stack.callback(remove, home)
        postgres = Postgres("postgres", home / "postgres", None, durable=True)
        stack.callback(postgres.stop, signal.SIGINT)
        postgres.start()
        self.database = postgres.url
        self.running: dict[str, Server] = {"postgres": postgres}
        brokers = [Nats(f"nats-{number}", folder / f"nats-{number}", None) for number in range(1, nats + 1)]
        for broker in brokers:
            broker.routes = [each.route for each in brokers] if nats > 1 else []
            stack.callback(broker.stop)
            broker.start()
            self.running[broker.name] = broker
        self.queue = [broker.url for broker in brokers]

    def __repr__(self) -> str:
        return f"Servers({list(self.running)})"


class Node:
    """One `heliogram serve`."""

    def __init__(self, name: str, role: str, words: list[str]) -> None:
        self.name, self.role = name, role
        command = ["setpriv", "--pdeathsig=KILL", sys.executable, "-m", "heliogram", "serve", *words, "--json"]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = ""

    def until_ready(self) -> None:
        """Reads where it listens."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} did not start")
        self.url = json.loads(line)["url"]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends it."""
        self.child.send_signal(how)
        self.child.wait(60)
        assert self.child.stdout is not None
        self.child.stdout.close()


class Fleet:
    """A running installation. `apns` is where pushes go, `cafile` whom to trust there."""

    def __init__(
        self, stack: ExitStack, mode: str, apns: int, cafile: str, *, workers: int = 1, nats: int = 1, lease: int = 60
    ) -> None:
        self.mode, self._lease = mode, lease
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heliogram-bench-")))
        self.servers: dict[str, Server] = {}
        self.nodes: dict[str, Node] = {}
        self._numbers = itertools.count(1)
        self._apns = ["--apns-production", f"127.0.0.1:{apns}", "--apns-cacert", cafile, "--log-level", "warning"]
        if mode == "sqlite":
            self._place = ["--data", str(self.folder / "data")]
        else:
            servers = Servers(stack, self.folder, nats if mode == "nats" else 0)
            self.database, self.queue, self.servers = servers.database, servers.queue, servers.running
            self._place = ["--data", str(self.folder), "--store", self.database]
            self._place += ["--master-key", str(master_key(self.folder))]
        stack.callback(self._end)
        roles = SPLIT if mode in ("postgres", "nats") else ("all",)
        for role in roles:
            self.add(*[role] * (workers if role == "worker" else 1))
        made = [sys.executable, "-m", "heliogram", "api-keys", "create", *self._place, "--json"]
        key = json.loads(subprocess.run(made, check=True, capture_output=True).stdout)
        self.auth = (key["keyId"], key["secret"])
        self.url = next(iter(self.nodes.values())).url
        self.api = stack.enter_context(httpx2.Client(base_url=self.url, auth=self.auth, timeout=120, trust_env=False))

    def __repr__(self) -> str:
        return f"Fleet({self.mode}, nodes={list(self.nodes)}, servers={list(self.servers)})"

    def add(self, *roles: str) -> list[Node]:
        """More nodes, ready when this returns."""
        found = []
        for role in roles:
            words = ["--listen", "127.0.0.1:0", *self._place, *self._apns]
            if self.mode != "sqlite":
                words += ["--role", role, "--lease-seconds", str(self._lease)]
            if self.mode == "nats":
                words += ["--queue", ",".join(self.queue)]
            node = Node(f"{role}-{next(self._numbers)}", role, words)
            self.nodes[node.name] = node
            found.append(node)
        for node in found:
            node.until_ready()
        return found

    def drop(self, node: Node, how: signal.Signals = signal.SIGTERM) -> None:
        """One node less."""
        self.nodes.pop(node.name)
        node.stop(how)

    def of(self, role: str) -> list[Node]:
        """The nodes of a role."""
        return [node for node in self.nodes.values() if node.role == role]

    def _end(self) -> None:
        for node in self.nodes.values():
            node.child.kill()
        for node in self.nodes.values():
            node.stop(signal.SIGKILL)

    # ---- what it costs

    def cpu(self) -> Parts:
        """CPU seconds so far, workers together."""
        nodes: dict[str, float] = {}
        for node in self.nodes.values():
            nodes[node.role] = nodes.get(node.role, 0.0) + cpu_of(node.child.pid)
        servers: dict[str, float] = {}
        for name, server in self.servers.items():
            kind = name.partition("-")[0]
            servers[kind] = servers.get(kind, 0.0) + group_cpu(server.pid)
        return Parts(nodes, servers)

    def rest(self) -> None:
        """Waits until it is as idle as it gets."""
        until = time.perf_counter() + START_SECONDS
        before = self.cpu()
        while time.perf_counter() < until:
            time.sleep(0.5)
            now = self.cpu()
            used = now.since(before)
            if used.own + sum(used.servers.values()) < 0.03 * len(self.nodes):
                return
            before = now

    # ---- what it has

    def post(self, path: str, body: object) -> Any:
        """An answer's body."""
        answer = self.api.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def app(self, name: str = "bench", team: str = TEAM, bundle: str = "com.example.app") -> None:
        """An app with a credential of a team."""
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        content = {"signingKey": pem, "keyId": "KEY1234567", "teamId": team, "bundleId": bundle}
        self.post(f"{PUSH}/Credentials", {"credentialType": "APN", "appName": name, "content": content})

    def users(self, count: int) -> list[str]:
        """Users with one device and with two, in turn."""
        found = []
        for _, size in zip(range(count), itertools.cycle((1, 2)), strict=False):
            body = {"appName": "bench", "token": secrets.token_hex(32), "provider": "APN"}
            made = self.post(f"{PUSH}/DeviceRegistrations", body)["resourceId"]
            user = str(self.api.get(f"{PUSH}/DeviceRegistrations/{made}").json()["userId"])
            for _ in range(size - 1):
                self.post(f"{PUSH}/DeviceRegistrations", body | {"token": secrets.token_hex(32), "userId": user})
            found.append(user)
        return found

    def send(self, body: bytes) -> str:
        """Accepted: the operation."""
        answer = self.api.post(PUSH, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["operationId"])

    def until_ended(self, operations: Iterable[str], expected: int) -> None:
        """Until all are COMPLETED, everything accepted by APNs."""
        for operation in operations:
            begin = time.perf_counter()
            while True:
                found = self.api.get(f"{PUSH}/Operations/{operation}").json()
                if found["status"] == "COMPLETED":
                    assert found["stats"]["sent"] == expected, found
                    break
                time.sleep(max(0.02, (time.perf_counter() - begin) / 10))  # to ask costs it something, too

    def until_all_ended(self) -> None:
        """Until no operation is under way."""
        where: dict[str, str | int] = {"status": "PROCESSING", "pageSize": 1}
        begin = time.perf_counter()
        while self.api.get(f"{PUSH}/Operations", params=where).json()["operations"]:
            time.sleep(max(0.02, (time.perf_counter() - begin) / 10))  # as above

    @property
    def target(self) -> Target:
        """Where the API is, for many connections."""
        url = self.api.base_url
        word = base64.b64encode(":".join(self.auth).encode()).decode()
        return Target(url.host, url.port or 80, f"Basic {word}")
