"""What nodes of a cluster stand on: PostgreSQL and NATS, each server in a place of its own, or on loopback."""

from __future__ import annotations

import base64
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from support.nats import find_server
from support.netns import Namespace
from support.ports import free_ports, own_host
from support.postgres import require_postgres
from support.waiting import eventually

DATABASE = "push"
POSTGRES_PORT = 5432
NATS_PORT = 4222
NATS_ROUTE_PORT = 6222
_FAST = ("fsync=off", "full_page_writes=off", "max_wal_senders=0", "wal_level=minimal", "shared_buffers=48MB")
"""Of processes that are killed nothing is lost that way; of a machine that is switched off it would be."""


class Server:
    """A server that is our child, in a namespace or on loopback; it keeps its address when it is started again."""

    def __init__(self, name: str, directory: Path, place: Namespace | None) -> None:
        self.name, self.directory, self.place = name, directory, place
        self.host = own_host() if place is None else place.address
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, at={self.host}, runs={self._process is not None})"

    def _launch(self, command: Sequence[str]) -> None:
        enter = ["setpriv", "--pdeathsig=KILL"] if self.place is None else self.place.enter
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen([*enter, *command], cwd=self.directory, stdout=log, stderr=log)

    @property
    def runs(self) -> bool:
        """Whether it was started, and not stopped by us."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def _lives(self) -> None:
        """Fails with its log when it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Signals it, and waits for its end."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(how)
            process.wait()


class Postgres(Server):
    """A PostgreSQL server on TCP, of an unprivileged user. `durable`: it survives the machine's end, too."""

    def __init__(self, name: str, directory: Path, place: Namespace | None, *, durable: bool = False) -> None:
        self._programs = require_postgres()
        super().__init__(name, directory, place)
        self.port = POSTGRES_PORT if place is not None else free_ports(1, self.host)[0]
        self._durable = durable
        self._as: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses root
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        options = ["-U", "heliogram", "-N", "-E", "UTF8", "--locale=C", "-A", "trust"]
        self._run("initdb", "-D", str(directory / "data"), *options)
        with (directory / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")  # this machine's own, with nobody else on it

    @property
    def url(self) -> str:
        """What nodes are told."""
        return f"postgresql://heliogram@{self.host}:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Starts it, and waits until it answers; the first time it makes the database."""
        first = not (self.directory / "log").exists()
        settings = [f"listen_addresses={self.host}", f"port={self.port}", f"unix_socket_directories={self.directory}"]
        settings += ["max_connections=200", "timezone=UTC", *(() if self._durable else _FAST)]
        words = [word for each in settings for word in ("-c", each)]
        program, data = str(self._programs / "postgres"), str(self.directory / "data")
        self._launch([*(self._as or ["setpriv"]), "--pdeathsig=QUIT", program, "-D", data, *words])
        asks = [str(self._programs / "pg_isready"), "-q", "-h", str(self.directory), "-p", str(self.port)]

        def answers() -> bool:
            self._lives()
            return subprocess.run(asks, check=False).returncode == 0

        eventually(answers, what="PostgreSQL to answer")
        if first:
            made = ["-h", str(self.directory), "-p", str(self.port), "-U", "heliogram", "-T", "template0", DATABASE]
            self._run("createdb", *made)

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._programs / program), *words]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")


class Nats(Server):
    """One of the NATS servers with JetStream; `routes` are those of all of them, none for one that is alone."""

    def __init__(self, name: str, directory: Path, place: Namespace | None) -> None:
        self._program = find_server()
        super().__init__(name, directory, place)
        self.port, self.route_port = (NATS_PORT, NATS_ROUTE_PORT) if place is not None else free_ports(2, self.host)
        self.routes: list[str] = []

    @property
    def url(self) -> str:
        """What nodes are told."""
        return f"nats://{self.host}:{self.port}"

    @property
    def route(self) -> str:
        """What the others are told."""
        return f"nats://{self.host}:{self.route_port}"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        lines = [f'server_name: "{self.name}"', f'listen: "{self.host}:{self.port}"']
        lines.append(f'jetstream {{ store_dir: "{self.directory}/js", sync_interval: always }}')
        if self.routes:
            routes = ", ".join(f'"{each}"' for each in self.routes)
            lines.append(
                f'cluster {{ name: "heliogram", listen: "{self.host}:{self.route_port}", routes: [{routes}] }}'
            )
        config = self.directory / "nats.conf"
        config.write_text("\n".join(lines) + "\n")
        self._launch([self._program, "-c", str(config)])

        def listens() -> bool:
            self._lives()
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex((self.host, self.port)) == 0

        eventually(listens, what="NATS to listen")


def master_key(directory: Path) -> Path:
    """A master key for all nodes, in a file that nobody else may read."""
    file = directory / "master.key"
    file.touch(mode=0o600)
    file.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return file


def remove(directory: Path) -> None:
    """All that a server kept."""
    shutil.rmtree(directory, ignore_errors=True)
