"""The store on a disk that is full, read-only, broken, slow or gone: told apart, survived, and told once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
import structlog
from support.disks import BROKEN, FULL, READ_ONLY, SickDisk, sick_disk
from support.stores import Bench, opened, recipients_of

from heliogram.domain.errors import Code
from heliogram.domain.notifications import Recipient
from heliogram.domain.operations import Lane
from heliogram.ports import Window
from heliogram.store.errors import StoreDamaged, StoreError, StoreFull, StoreGone, StoreReadOnly, StoreUnavailable
from heliogram.store.sqlite import SqliteStore
from heliogram.store.sqlite.connection import as_store_error
from heliogram.store.sqlite.trouble import AGAIN_SECONDS, WELL_SECONDS, Trouble

pytestmark = pytest.mark.anyio
FILE = "heliogram.db"


@pytest.fixture
def disk() -> Iterator[SickDisk]:
    with sick_disk() as made:
        yield made


async def listed(bench: Bench) -> int:
    return len((await bench.store.list_operations(bench.account, Window(limit=1_000))).items)


@pytest.mark.parametrize(("code", "error"), [(FULL, StoreFull), (BROKEN, StoreUnavailable), (READ_ONLY, StoreReadOnly)])
async def test_trouble_in_a_commit_is_told_apart_and_survived(
    tmp_path: Path, disk: SickDisk, code: int, error: type[StoreError]
) -> None:
    """Nothing of it is written, readers go on, and the next write on a healthy disk is taken."""
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(3))
        disk.trouble = code
        for _ in range(3):
            with pytest.raises(error):
                await bench.accept(recipients_of(3))
            assert await listed(bench) == 1
        disk.trouble = 0
        await bench.accept(recipients_of(3))
        assert await listed(bench) == 2


async def test_a_full_disk_while_the_log_is_copied_into_the_file(tmp_path: Path, disk: SickDisk) -> None:
    """A checkpoint that finds no room fails no write, loses nothing, and is made up for later."""
    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)
        for _ in range(4):
            await bench.accept(recipients_of(500))
        disk.trouble = FULL
        with pytest.raises(StoreError):
            await store.checkpoint()
        assert await listed(bench) == 4
        disk.trouble = 0
        await store.checkpoint()
        await bench.accept(recipients_of(1))
    async with opened(tmp_path) as bench:
        assert await listed(bench) == 5


@pytest.mark.parametrize("budget", range(0, 60_000, 4_999))
async def test_a_disk_that_fills_up_anywhere_in_a_commit(tmp_path: Path, disk: SickDisk, budget: int) -> None:
    """However many of its pages were written: all of a send is there or none of it, after a new start, too."""
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(1))
        disk.budget = budget
        taken = 1
        try:
            await bench.accept(recipients_of(1_000))
            taken = 2
        except StoreFull:
            pass
        assert await listed(bench) == taken
        disk.trouble, disk.budget = 0, None
        await bench.accept(recipients_of(1))
    async with opened(tmp_path) as bench:
        assert await listed(bench) == taken + 1
        connection = apsw.Connection(str(tmp_path / FILE))
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        connection.close()


async def test_a_large_write_that_finds_no_room_takes_no_small_one_with_it(tmp_path: Path) -> None:
    """What queued up with it is written by itself."""
    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)
        pages: Any = await store._write(lambda c: c.pragma("page_count"))
        await store._write(lambda c: c.pragma("max_page_count", pages + 8))
        seeded = random.Random(7)
        large = [Recipient(token=seeded.randbytes(32)) for _ in range(5_000)]
        sends = [recipients_of(1), large, recipients_of(1), large, recipients_of(1)]
        results = await asyncio.gather(*map(bench.accept, sends), return_exceptions=True)
        assert [isinstance(result, StoreFull) for result in results] == [False, True, False, True, False]
        assert await listed(bench) == 3


async def test_a_transaction_that_could_not_be_ended_does_not_stay(tmp_path: Path) -> None:
    """The writer begins by ending it: it is never stuck in an open transaction."""
    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)

        def leave_open(connection: apsw.Connection) -> None:
            connection.execute("ROLLBACK")  # with it the savepoint: the end of the job fails, too
            connection.execute("BEGIN")
            raise apsw.IOError("disk gone")

        with pytest.raises(StoreUnavailable):
            await store._write(leave_open)
        await bench.accept(recipients_of(1))
        assert await listed(bench) == 1


@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal"])
async def test_a_file_that_was_moved_is_noticed_at_the_next_write(tmp_path: Path, name: str) -> None:
    """What would be written into it, nobody would find again. Moved back, it goes on."""
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(1))
        (tmp_path / name).rename(tmp_path / "elsewhere")
        for _ in range(2):
            with pytest.raises(StoreGone, match=f"{name} was moved, removed or replaced"):
                await bench.accept(recipients_of(1))
        assert await listed(bench) == 1
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(StoreGone):
            await bench.accept(recipients_of(1))
        (tmp_path / "elsewhere").rename(tmp_path / name)
        await bench.accept(recipients_of(1))
        assert await listed(bench) == 2


async def test_a_flush_that_takes_long_is_shared(tmp_path: Path, disk: SickDisk) -> None:
    """What comes while one is under way is in the next: two flushes for a hundred writes, and readers do not wait."""
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(1))
        disk.slow = True
        first = asyncio.ensure_future(bench.accept(recipients_of(1)))
        assert await asyncio.to_thread(disk.waiting.wait, 30)
        before = disk.syncs
        rest = [asyncio.ensure_future(bench.accept(recipients_of(1))) for _ in range(100)]
        assert await listed(bench) == 1
        assert not first.done()
        disk.slow = False
        disk.go.set()
        await asyncio.gather(first, *rest)
        assert disk.syncs - before <= 3
        assert await listed(bench) == 102


async def test_a_lease_outlives_a_flush_that_takes_longer_than_it(tmp_path: Path, disk: SickDisk) -> None:
    """Heartbeats and claims go through the one writer in the order in which they came: a claim that waited behind
    heartbeats finds the lease renewed, whatever time it is by then."""
    async with opened(tmp_path) as bench:
        store, clock = bench.store, bench.clock
        await bench.accept(recipients_of(1))
        (chunk,) = await store.claim(Lane.TX, 0, limit=1, now=clock.ms, until=clock.ms + 60_000, worker="w")
        disk.slow = True
        slow = asyncio.ensure_future(bench.accept(recipients_of(1), send_at=clock.ms + 9_000_000))
        assert await asyncio.to_thread(disk.waiting.wait, 30)
        work: list[asyncio.Future[Any]] = []
        for _ in range(6):  # 120 s, twice the lease
            clock.advance(20)
            work.append(asyncio.ensure_future(store.extend(chunk, clock.ms + 60_000)))
            await asyncio.sleep(0)
            work.append(
                asyncio.ensure_future(
                    store.claim(Lane.TX, 0, limit=1, now=clock.ms, until=clock.ms + 60_000, worker="other")
                )
            )
            await asyncio.sleep(0)
        disk.slow = False
        disk.go.set()
        await slow
        assert await asyncio.gather(*work) == [True, []] * 6


async def test_a_damaged_page_fails_only_those_who_read_it(tmp_path: Path) -> None:
    """Others of the same group get their answers."""

    def damaged(_: apsw.Connection) -> None:
        raise apsw.exception_for(apsw.SQLITE_CORRUPT)

    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)
        for run in (store._write, store._read, store._list):
            results = await asyncio.gather(run(lambda _: 1), run(damaged), run(lambda _: 3), return_exceptions=True)
            assert [results[0], results[2]] == [1, 3]
            assert isinstance(results[1], StoreDamaged)


@pytest.mark.parametrize(
    ("sqlite", "number", "expected", "code"),
    [
        (apsw.SQLITE_FULL, 0, StoreFull, Code.STORE_FULL),
        (apsw.SQLITE_IOERR_WRITE, 28, StoreFull, Code.STORE_FULL),
        (apsw.SQLITE_IOERR_WRITE, 27, StoreFull, Code.STORE_FULL),
        (apsw.SQLITE_IOERR_SHMSIZE, 0, StoreFull, Code.STORE_FULL),
        (apsw.SQLITE_IOERR_WRITE, 30, StoreReadOnly, Code.STORE_READ_ONLY),
        (apsw.SQLITE_CANTOPEN, 30, StoreReadOnly, Code.STORE_READ_ONLY),
        (apsw.SQLITE_READONLY, 0, StoreReadOnly, Code.STORE_READ_ONLY),
        (apsw.SQLITE_READONLY_DBMOVED, 0, StoreGone, Code.STORE_GONE),
        (apsw.SQLITE_IOERR_FSYNC, 5, StoreUnavailable, Code.UNAVAILABLE),
        (apsw.SQLITE_CANTOPEN, 24, StoreUnavailable, Code.UNAVAILABLE),
        (apsw.SQLITE_CORRUPT, 0, StoreDamaged, Code.STORE_DAMAGED),
    ],
)
def test_each_trouble_has_its_code(sqlite: int, number: int, expected: type[StoreError], code: Code) -> None:
    """A quota and a size limit are a full disk; what cannot be written to is read-only; the text names the file."""
    met = apsw.exception_for(sqlite)
    assert isinstance(met, apsw.Error)
    error = as_store_error(met, Path("/data/heliogram.db"), number)
    assert type(error) is expected
    assert getattr(error, "code", None) == code
    assert "/data/heliogram.db" in str(error)


def test_trouble_is_told_once_a_minute_and_at_its_end() -> None:
    """Not for every job that meets it; small writes that succeed in between do not make it over."""
    now = 0.0
    trouble = Trouble("writer", lambda: now)
    with structlog.testing.capture_logs() as lines:
        for _ in range(1_000):
            trouble.meet(StoreFull("no room"))
            trouble.well()
        now += AGAIN_SECONDS
        trouble.meet(StoreFull("no room"))
        trouble.meet(StoreGone("moved"))
        now += WELL_SECONDS
        trouble.well()
        trouble.well()
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("store.trouble", "no room"),
        ("store.trouble", "no room"),
        ("store.trouble", "moved"),
        ("store.well_again", None),
    ]
    assert (lines[3]["seconds"], lines[3]["failed"]) == (65.0, 1_002)
