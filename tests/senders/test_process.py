"""A sender process's own end: it works as long as somebody writes down what became of its pushes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.senders import Pair
from support.stores import opened

from heliogram.delivery.providers.apns import ApnsEndpoints
from heliogram.delivery.refusal import WHOLE, Refusal
from heliogram.domain.operations import Lane
from heliogram.senders.frames import Wire
from heliogram.senders.messages import Begin, Canceled, Drain, Mended, Refused, Wake, encode
from heliogram.senders.process import LOST, Process
from heliogram.store.errors import StoreReadOnly
from heliogram.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def beginning(directory: Path) -> Begin:
    return Begin(
        database=str(directory / "heliogram.db"),
        keys=[b"k" * 32],
        endpoints=ApnsEndpoints(),
        slots={Lane.BULK: 2},
        parent=os.getpid(),
        refusals=[],
        log_level="info",
    )


async def connected(pair: Pair, left: list[int]) -> Process:
    """A sender process's end, in this process."""
    process = Process(leave=left.append)
    here, there = socket.socketpair()
    loop = asyncio.get_running_loop()
    await loop.create_unix_connection(lambda: process.wire, sock=here)
    await loop.create_unix_connection(lambda: pair.desk.wire, sock=there)
    return process


async def test_it_works_until_it_is_told_to_drain(tmp_path: Path) -> None:
    """Ready first; then hints, whatever they are of; then it ends by itself, without alarm at the socket's end."""
    async with opened(tmp_path) as bench:
        pair, left = Pair(bench), list[int]()
        process = await connected(pair, left)
        pair.desk.send(Wake(Lane.BULK))  # before it knows of any lane
        pair.desk.send(beginning(tmp_path))
        here = await SqliteStore.open_to_read(tmp_path / "heliogram.db", ids=bench.ids, clock=bench.clock)
        async with asyncio.timeout(90):
            running = asyncio.create_task(process.run(here, await process.begin))
            await pair.desk.ready.wait()
            account, credential = b"a" * 16, b"c" * 16
            refusal = Refusal(
                account=account, credential_id=credential, place=WHOLE, reason="R", since=1, probe_at=2, step=0
            )
            pair.desk.send(Canceled(b"o" * 16))
            pair.desk.send(Refused(refusal))
            while not process._breakers.refusals():
                await asyncio.to_thread(lambda: None)
            pair.desk.send(Mended(account, credential))
            while process._breakers.refusals():
                await asyncio.to_thread(lambda: None)
            pair.desk.send(Drain(1.0))
            await running
            await pair.desk.ended.wait()
        await here.close()
        assert left == []


async def test_it_leaves_at_once_when_the_serving_process_is_gone(tmp_path: Path) -> None:
    """Nobody would write down what became of a push."""
    async with opened(tmp_path) as bench:
        pair, left = Pair(bench), list[int]()
        process = await connected(pair, left)
        pair.desk.wire.close()
        async with asyncio.timeout(90):
            while not left:
                await asyncio.to_thread(lambda: None)
        assert left == [LOST]
        assert process.begin.done() is False


async def test_its_own_connection_cannot_write(tmp_path: Path) -> None:
    """There is one writer."""
    async with opened(tmp_path) as bench:
        here = await SqliteStore.open_to_read(tmp_path / "heliogram.db", ids=bench.ids, clock=bench.clock)
        with pytest.raises(StoreReadOnly):
            await here.ensure_user(bench.account, "ada", bench.clock.ms)
        await here.close()


def test_what_it_is_told_first_hides_the_keys() -> None:
    """A repr finds its way into logs."""
    begin = Begin(
        database="x",
        keys=[b"topsecret" * 4],
        endpoints=ApnsEndpoints(),
        slots={},
        parent=1,
        refusals=[],
        log_level="info",
    )
    assert "topsecret" not in repr(begin)
    assert "topsecret" not in str(begin)


@pytest.mark.parametrize("words", [[], ["1"], ["1", "x"], ["1", "2", "3"]])
def test_nobody_starts_it_by_hand(words: list[str]) -> None:
    """It says who does."""
    done = subprocess.run(
        [sys.executable, "-m", "heliogram.senders", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "heliogram serve --senders" in done.stderr


async def test_a_database_that_cannot_be_opened_is_one_line_in_the_log(tmp_path: Path) -> None:
    """A full disk, say: the serving process starts another, again and again, and the log is for people to read."""
    ours, theirs = socket.socketpair()
    with theirs:
        sender = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "heliogram.senders", str(theirs.fileno()), "1"),
            pass_fds=[theirs.fileno()],
            stderr=asyncio.subprocess.PIPE,
        )
    wire = Wire(lambda body: None, lambda: None)
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: wire, sock=ours)
        wire.send(encode(beginning(tmp_path / "nowhere")))
        async with asyncio.timeout(90):
            _, said = await sender.communicate()
    finally:
        wire.close()
        if sender.returncode is None:
            sender.kill()
            await sender.wait()
    assert sender.returncode == 1
    (line,) = said.decode().splitlines()
    assert "sender.no_database" in line
    assert str(tmp_path / "nowhere") in line
