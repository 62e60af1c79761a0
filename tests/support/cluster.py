"""A whole installation as real processes: what deploy/compose.yaml brings up, without containers.

PostgreSQL, NATS if wanted, nodes that serve the API, nodes that send, dispatchers, and the simulator in place of Apple;
each in a network namespace of its own, or, without root, all on loopback. `scripts/cluster` runs it for people.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from support.cluster_services import Nats, Postgres, Server, master_key, remove
from support.netns import Namespace, Network
from support.programs import HELIOGRAM, Program
from support.stack import BUNDLE, BackEnd, Phones

from heliogram.simulator import Simulator

LISTENERS = {"production": 2197, "sandbox": 2198, "manage-production": 2196, "manage-sandbox": 2195, "control": 8090}
SKEWED = [sys.executable, str(Path(__file__).with_name("skewed.py"))]
ROLES = {"api": "api", "worker": "worker", "dispatcher": "dispatcher"}


@dataclass(frozen=True, kw_only=True)
class Topology:
    """How many of what there are. `namespaces`: each process has an address of its own, and cables that can be cut.
    `devices`: so many virtual phones to begin with. `simulator` and `serve`: further words for their command lines."""

    api: int = 2
    workers: int = 2
    dispatchers: int = 1
    nats: int = 0
    namespaces: bool = True
    durable: bool = False
    lease_seconds: int = 60
    devices: int = 0
    simulator: Sequence[str] = ()
    serve: Sequence[str] = ()

    def names(self) -> Iterator[tuple[str, str]]:
        """The nodes and their roles."""
        counts = {"api": self.api, "worker": self.workers, "dispatcher": self.dispatchers}
        for role, count in counts.items():
            for number in range(1, count + 1):
                yield f"{role}-{number}", role


@dataclass
class Node:
    """One `heliogram serve`, or the simulator. It keeps its address when it is started again."""

    name: str
    program: Program
    place: Namespace | None
    words: list[str] = field(repr=False)
    listen: str

    def launch(self) -> None:
        """Starts it."""
        self.program.arguments = [*self.words, "--listen", self.listen]
        self.program.launch()

    def until_ready(self) -> Node:
        """Waits until it is up."""
        ready = self.program.until_ready().ready
        self.listen = str(ready["url"]).partition("://")[2]
        return self

    def start(self) -> Node:
        """Both."""
        self.launch()
        return self.until_ready()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.listen}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.program.pid

    def kill(self) -> None:
        """kill -9."""
        self.program.kill()

    def stop(self) -> int:
        """SIGTERM: it drains. Its exit code."""
        return self.program.stop()


class Cluster:
    """All of it, in one directory. Entering brings it up, leaving ends it, whatever has become of its parts."""

    def __init__(self, directory: Path, topology: Topology, *, seed: int = 1) -> None:
        self.directory, self.topology = directory, topology
        self._seed = seed
        self._stack = contextlib.ExitStack()
        self.network: Network | None = None
        self.nats: list[Nats] = []
        self.nodes: dict[str, Node] = {}
        self.tokens: list[str] = []
        self.postgres: Postgres
        self.simulator: Program
        self.simulators_place: Namespace | None
        self.phones: Phones
        self.back_end: BackEnd

    def __repr__(self) -> str:
        return f"Cluster({self.directory}, nodes={len(self.nodes)}, nats={len(self.nats)}, {self.network!r})"

    def __enter__(self) -> Cluster:
        try:
            self._bring_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, AssertionError):
            sys.stdout.write(self.logs())
        self._stack.close()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    # ---- coming up

    def _bring_up(self) -> None:
        if self.topology.namespaces:
            self.network = Network()
            self._stack.callback(self.network.close)
        self._key = master_key(self.directory)
        self.simulators_place = self._place()
        self._start_simulator()
        self._start_services()
        for name, role in self.topology.names():
            self.add(name, role)
        for node in self.nodes.values():
            node.launch()
        for node in self.nodes.values():
            node.until_ready()
        self.phones = Phones(self.simulator)
        self._stack.callback(self.phones.close)
        options = ("--store", self.postgres.url, "--master-key", str(self._key))
        self.back_end = BackEnd(self.nodes["api-1"].url, self.directory, *options)
        self._stack.callback(self.back_end.close)

    def _place(self) -> Namespace | None:
        return None if self.network is None else self.network.place()

    def _start_simulator(self) -> None:
        place = self.simulators_place
        host = "127.0.0.1" if place is None else place.address
        words = [word for name, port in LISTENERS.items() for word in (f"--{name}", f"{host}:{port if place else 0}")]
        words += ["--data", str(self.directory / "simulator"), "--name", host, *self.topology.simulator]
        if self.topology.devices:
            words += ["--scenario", str(self._scenario())]
        program = Program("simulator", *words, log=self.directory / "simulator.log", command=_command(place))
        program.launch()
        self._stack.callback(_end, program)
        self.simulator = program.until_ready()

    def _start_services(self) -> None:
        self.nats = [Nats(name, self.directory / name, self._place()) for name in self._names_of_nats()]
        for server in self.nats:
            server.routes = [each.route for each in self.nats] if len(self.nats) > 1 else []
            self._stack.callback(server.stop)
            server.start()
        home = Path(tempfile.mkdtemp(prefix="hgpg-"))  # where PostgreSQL's own user gets to
        home.chmod(0o755)
        self._stack.callback(remove, home)
        self.postgres = Postgres("postgres", home / "postgres", self._place(), durable=self.topology.durable)
        self._stack.callback(self.postgres.stop, signal.SIGQUIT)
        self.postgres.start()

    def _names_of_nats(self) -> list[str]:
        return [f"nats-{number}" for number in range(1, self.topology.nats + 1)]

    def _scenario(self) -> Path:
        """Phones with the app on them."""
        world = Simulator(random=random.Random(self._seed))
        for number in range(self.topology.devices):
            device = world.add_device(f"phone {number}")
            world.install(device.id, BUNDLE, "production")
            token = world.launch(device.id, BUNDLE).device_token
            assert token is not None
            self.tokens.append(token)
        file = self.directory / "scenario.json"
        file.write_text(json.dumps(world.scenario.export()))
        return file

    # ---- nodes

    def add(self, name: str, role: str, *more: str, ahead: float = 0) -> Node:
        """Another node, not started yet, whose clock is so many seconds ahead."""
        place, ready = self._place(), self.simulator.ready
        words = ["serve", "--role", role, "--data", str(self.directory / name)]
        words += ["--store", self.postgres.url, "--master-key", str(self._key)]
        words += ["--lease-seconds", str(self.topology.lease_seconds)]
        if self.nats:
            words += ["--queue", ",".join(each.url for each in self.nats)]
        words += ["--apns-production", ready["production"], "--apns-sandbox", ready["sandbox"]]
        words += ["--apns-manage-production", ready["manage_production"]]
        words += ["--apns-manage-sandbox", ready["manage_sandbox"], "--apns-cacert", ready["ca"]]
        words += ["--behind-proxy", *self.topology.serve, *more]
        program = Program(log=self.directory / f"{name}.log", command=_command(place, ahead))
        listen = "127.0.0.1:0" if place is None else f"{place.address}:8080"
        node = self.nodes[name] = Node(name, program, place, words, listen)
        self._stack.callback(_end, program)
        return node

    def of(self, role: str) -> list[Node]:
        """The nodes that run and have a role."""
        return [each for name, each in self.nodes.items() if name.startswith(role) and each.program.runs]

    @property
    def urls(self) -> list[str]:
        """Where the API is."""
        return [each.url for name, each in self.nodes.items() if name.startswith("api")]

    # ---- cables

    def cut(self, node: Node, other: Server | Namespace | None) -> None:
        """Nothing passes between a node and a server any more."""
        network, one, two = self._ends(node, other)
        network.cut(one, two)

    def join(self, node: Node, other: Server | Namespace | None) -> None:
        """It passes again."""
        network, one, two = self._ends(node, other)
        network.join(one, two)

    def _ends(self, node: Node, other: Server | Namespace | None) -> tuple[Network, Namespace, Namespace]:
        place = other.place if isinstance(other, Server) else other
        assert self.network is not None
        assert node.place is not None
        assert place is not None
        return self.network, node.place, place

    # ---- what is told

    def logs(self, lines: int = 15) -> str:
        """The end of every node's log."""
        files: Iterable[Path] = (*self.directory.glob("*.log"), *self.directory.glob("*/log"))
        tails = [(file, file.read_text(errors="replace").splitlines()[-lines:]) for file in sorted(files)]
        return "".join(f"== {file}\n" + "".join(f"{line}\n" for line in tail) for file, tail in tails)

    def summary(self) -> dict[str, Any]:
        """Addresses, processes and an API key, for people."""
        found: dict[str, Any] = {"postgres": self.postgres.url, "nats": [each.url for each in self.nats]}
        found["nodes"] = {name: {"url": node.url, "pid": node.pid} for name, node in self.nodes.items()}
        found["simulator"] = {"control": self.simulator.ready["control"], "pid": self.simulator.pid}
        found["apiKey"] = {"keyId": self.back_end.key[0], "secret": self.back_end.key[1]}
        found["masterKey"], found["logs"] = str(self._key), str(self.directory)
        return found


def _command(place: Namespace | None, ahead: float = 0) -> list[str]:
    enter = ["setpriv", "--pdeathsig=KILL"] if place is None else place.enter
    return [*enter, *(HELIOGRAM if not ahead else [*SKEWED, str(ahead)])]


def _end(program: Program) -> None:
    if program.runs:
        program.kill()
