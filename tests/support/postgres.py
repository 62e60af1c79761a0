"""A PostgreSQL server for the tests of one process, and a database for each directory a test opens a store in.

The server is started when the first test asks, as an unprivileged user, on a Unix socket alone, without flushing to the
disk; it ends with the process. Databases are copied from one that is migrated once, and
used again for other directories.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pathlib import Path

import asyncpg
import pytest
from support.clock import FakeClock, FakeTimer

from heliogram.domain.ids import IdFactory
from heliogram.store.postgres import PostgresStore

CURE = "scripts/test-services (as root) installs PostgreSQL 15"
KEPT = 4
"""So many databases keep what was written, in case their test opens them again."""
_TABLES = "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "48MB",
    "max_connections": "200",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "autovacuum": "off",
    "log_min_messages": "fatal",
    "timezone": "UTC",
}


def binaries() -> Path | None:
    """Where the newest PostgreSQL's programs are, None when there is none."""
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return places[-1].parent if places else None


def require_postgres() -> Path:
    """The programs' directory. Without PostgreSQL the test is skipped, in CI it fails."""
    found = binaries()
    if found is None:
        message = f"PostgreSQL is not installed: {CURE}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


class Server:
    """A server, our own child."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.directory = Path(tempfile.mkdtemp(prefix="hgpg-"))
        self._as: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses root
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._process: subprocess.Popen[bytes] | None = None
        self._databases: OrderedDict[str, str] = OrderedDict()
        self._numbers = 0
        self._tables: set[str] = set()
        self._empty = ""
        data = self.directory / "data"
        command = [programs / "initdb", "-D", data, "-U", "heliogram", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"]
        self._run([*self._as, *map(str, command)])
        self.start()

    def __repr__(self) -> str:
        return f"Server({self.directory}, databases={len(self._databases)})"

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[-1]}: {done.stderr}")

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        settings = ["-k", str(self.directory)]
        settings += [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        guard = [*(self._as or ["setpriv"]), "--pdeathsig=QUIT"]  # it must not outlive us
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*guard, str(self._programs / "postgres"), "-D", str(self.directory / "data"), *settings],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        asks = [str(self._programs / "pg_isready"), "-q", "-h", str(self.directory)]
        while subprocess.run(asks, check=False).returncode:
            if self._process.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self.directory / 'log').read_text()}")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stops it at once, as a crash would; SIGINT ends it properly."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stops it and removes all it kept."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str) -> str:
        """What a store is opened with."""
        return f"postgresql://heliogram@/{database}?host={self.directory}"

    async def database_for(self, directory: Path) -> str:
        """The URL of a directory's database, which is empty but for its schema when it is asked for first."""
        place = str(directory)
        if place in self._databases:
            self._databases.move_to_end(place)
            return self.url(self._databases[place])
        name = await self._used_before() if len(self._databases) >= KEPT else None
        if name is None:
            await self.template()
            self._numbers += 1
            name = f"t{self._numbers}"
            await self._command(f"CREATE DATABASE {name} TEMPLATE migrated STRATEGY file_copy")
        self._databases[place] = name
        return self.url(name)

    async def _used_before(self) -> str | None:
        """A database that nobody has open any more, emptied: that takes a tenth of the time that a new one takes."""
        place, name = next(iter(self._databases.items()))
        link = await asyncpg.connect(self.url(name))
        try:
            others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            tables = {row[0] for row in await link.fetch(_TABLES)}
            if await link.fetchval(others) > 1 or tables != self._tables:
                return None
            await link.execute(self._empty)
        finally:
            await link.close()
        del self._databases[place]
        return name

    async def empty(self) -> str:
        """The URL of a new database without any table."""
        self._numbers += 1
        await self._command(f"CREATE DATABASE e{self._numbers} TEMPLATE template0 STRATEGY file_copy")
        return self.url(f"e{self._numbers}")

    async def template(self) -> None:
        """Makes the database that the others are copies of, unless it is there."""
        if self._tables:
            return
        await self._command("CREATE DATABASE migrated TEMPLATE template0 STRATEGY file_copy")
        clock = FakeClock()
        store = await PostgresStore.open(self.url("migrated"), ids=IdFactory(lambda: clock.ms), clock=clock)
        await store.close()
        link = await asyncpg.connect(self.url("migrated"))
        try:
            await link.execute("DELETE FROM account")  # a store's first account is its own
            self._tables = {row[0] for row in await link.fetch(_TABLES)}
            self._empty = await _emptying(link, self._tables)
        finally:
            await link.close()

    async def _command(self, text: str) -> None:
        link = await asyncpg.connect(self.url("postgres"))
        try:
            await link.execute(text)
        finally:
            await link.close()


async def _emptying(link: asyncpg.Connection, tables: set[str]) -> str:
    """What brings a database back to what it is now, whatever was written since: without triggers and references."""
    steps = ["SET session_replication_role = replica"]
    for table in sorted(tables - {"heliogram_schema"}):
        steps.append(f"DELETE FROM {table}")  # noqa: S608 - names of our own tables
        filling = f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, "  # noqa: S608 - the same
        rows = await link.fetch(f"SELECT quote_literal(row_to_json(t)::text) FROM {table} t")  # noqa: S608 - the same
        steps += [f"{filling}{row[0]})" for row in rows]
    for row in await link.fetch("SELECT relname FROM pg_class WHERE relkind = 'S'"):
        steps.append(f"ALTER SEQUENCE {row[0]} RESTART")
    return "; ".join(steps)


@cache
def server() -> Server:
    """This process's server."""
    made = Server(require_postgres())
    atexit.register(made.remove)
    return made


class ReadyClock(FakeClock):
    """A clock on which nothing takes time: back-off between attempts ends in the loop's next pass."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        """Calls back in the loop's next pass."""
        asyncio.get_running_loop().call_soon(callback)
        return FakeTimer(delay, callback)
