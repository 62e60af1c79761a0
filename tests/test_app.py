"""The service put together, in process, on a clock that goes when it is told to."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from support.stores import opened, recipients_of

from heliogram.backing import Backing
from heliogram.datadir import DATABASE, StartError, is_served, open_store, own_data_directory
from heliogram.domain.operations import Lane
from heliogram.security import load_master_key
from heliogram.service import Service
from heliogram.settings import ServeSettings
from heliogram.store.errors import UpgradeRefused
from heliogram.store.sqlite import SqliteStore
from heliogram.store.sqlite.connection import APPLICATION_ID
from heliogram.store.sqlite.migrate import migrations
from heliogram.upkeep import FIRST_SECONDS

pytestmark = pytest.mark.anyio

DAY = 86_400


async def test_a_service_removes_what_is_over_while_it_runs(tmp_path: Path) -> None:
    """Soon after the start, and again a minute later; it stops in the middle of nothing."""
    async with opened(tmp_path) as bench:
        store, clock = bench.store, bench.clock
        assert isinstance(store, SqliteStore)

        async def end(recipients: int) -> bytes:
            made = await bench.accept(recipients_of(recipients))
            (chunk,) = await store.claim(Lane.TX, 0, limit=1, now=clock.ms, until=clock.ms + 1000, worker="w")
            await store.finish(chunk, clock.ms)
            return made.id

        async def gone(operation: bytes) -> None:
            async with asyncio.timeout(90):
                while await store.get_operation(bench.account, operation) is not None:
                    clock.advance(0.01)

        first = await end(1)
        clock.advance(DAY - 30)
        second = await end(2)
        clock.advance(30)
        settings = ServeSettings(data=tmp_path, retention_days=1)
        service = Service(settings, Backing(store=store, clock=clock, key=load_master_key(tmp_path, environ={})))
        ready, stop = asyncio.Event(), asyncio.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            running = asyncio.create_task(service.run(listener, ready.set, stop))
            async with asyncio.timeout(90):
                await ready.wait()
            assert await store.get_operation(bench.account, first) is not None
            clock.advance(FIRST_SECONDS)
            await gone(first)
            assert await store.get_operation(bench.account, second) is not None
            clock.advance(DAY - 30)
            await gone(second)
            stop.set()
            async with asyncio.timeout(90):
                await running


def test_a_directory_is_free_when_the_last_process_that_may_send_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service itself is dead; a process that has its lock, as senders do, keeps all others out."""
    monkeypatch.setattr("heliogram.datadir.ORPHANS_SECONDS", 0.0)
    data, start = tmp_path / "data", "import os, sys; os.write(1, b'x'); sys.stdin.read()"
    with own_data_directory(data) as lock:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        orphan = subprocess.Popen(
            [sys.executable, "-c", start], pass_fds=[lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert orphan.stdout is not None
            orphan.stdout.read(1)
            os.pwrite(lock, b"%-20d\n" % dead.pid, 0)  # the service that died
        except BaseException:
            orphan.kill()
            raise
    try:
        with pytest.raises(StartError, match="is using"), own_data_directory(data):
            pass
        orphan.communicate()
        with own_data_directory(data):
            pass
    finally:
        orphan.kill()
        orphan.wait()


async def test_a_command_leaves_the_schema_alone_while_an_older_service_runs(tmp_path: Path) -> None:
    """What that one accepted from then on would never be sent. Without it, or as the service itself, the schema is
    brought up to date; a command beside a service of its own version just works."""
    old = apsw.Connection(str(tmp_path / DATABASE))
    for script in list(migrations().values())[:-1]:
        old.execute(script).fetchall()
    old.pragma("user_version", len(migrations()) - 1)
    old.pragma("application_id", APPLICATION_ID)
    with own_data_directory(tmp_path):
        with pytest.raises(UpgradeRefused, match="stop it first"):
            async with open_store(tmp_path):
                pass
        assert old.pragma("user_version") == len(migrations()) - 1
        async with open_store(tmp_path, owned=True), open_store(tmp_path):
            assert old.pragma("user_version") == len(migrations())
    old.close()


def test_a_lock_that_is_held_says_that_a_service_runs(tmp_path: Path) -> None:
    """And to ask takes it from nobody."""
    assert not is_served(tmp_path)
    with own_data_directory(tmp_path):
        assert is_served(tmp_path)
    assert not is_served(tmp_path)
