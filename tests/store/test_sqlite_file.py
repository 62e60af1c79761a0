"""The file itself: modes, versions, damage, several processes, and what survives a kill."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import apsw
import pytest
from support.clock import FakeClock
from support.stores import open_sqlite, opened, recipients_of, token_of

from heliogram.domain.ids import IdFactory
from heliogram.domain.operations import Lane
from heliogram.ports import Window
from heliogram.store.errors import (
    NotADatabase,
    SchemaTooNew,
    StoreClosed,
    StoreError,
    StoreUnavailable,
    UnsupportedDatabase,
)
from heliogram.store.sqlite import SqliteStore
from heliogram.store.sqlite.connection import connect, connect_reader, create_file, require_sqlite

pytestmark = pytest.mark.anyio

FILE = "heliogram.db"

CHILD = """
    import asyncio, os, sys
    from pathlib import Path
    from support.stores import opened, recipients_of
    from support.clock import FakeClock

    async def main(directory):
        clock = FakeClock(START)
        async with opened(directory, clock=clock) as bench:
            BODY

    asyncio.run(main(Path(sys.argv[1])))
"""


def child(directory: Path, body: str, start: float = 1_800_000_000.0) -> subprocess.Popen[str]:
    """Another process with the same store open, running `body`."""
    indented = textwrap.indent(textwrap.dedent(body), " " * 12).strip()
    code = textwrap.dedent(CHILD.replace("BODY", indented).replace("START", str(start)))
    return subprocess.Popen(
        [sys.executable, "-c", code, str(directory)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def fails(directory: Path, kind: type[StoreError], match: str) -> None:
    with pytest.raises(kind, match=match):
        await open_sqlite(directory, IdFactory(lambda: 0), FakeClock())


async def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """All its files have mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        async with opened(tmp_path) as bench:
            await bench.app()
            modes = modes_in(tmp_path)
    finally:
        os.umask(before)
    assert set(modes) == {FILE, f"{FILE}-wal", f"{FILE}-shm"}
    assert set(modes.values()) == {0o600}


async def test_the_database_is_set_up_for_durability(tmp_path: Path) -> None:
    """WAL, a flush with each commit, foreign keys, and never mmap."""
    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)

        def job(connection: apsw.Connection) -> list[object]:
            names = ("journal_mode", "synchronous", "foreign_keys", "mmap_size", "auto_vacuum", "application_id")
            return [connection.pragma(name) for name in names]

        assert await store._write(job) == ["wal", 2, 1, 0, 2, int.from_bytes(b"HELG", "big")]
        assert (await store._read(job))[:4] == ["wal", 2, 1, 0]


async def test_readers_cannot_write(tmp_path: Path) -> None:
    """Only the one writer thread does."""
    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)
        with pytest.raises(StoreUnavailable):
            await store._read(lambda c: c.execute("DELETE FROM account"))


@pytest.mark.parametrize(
    ("version", "good"), [("3.40.1", False), ("3.51.2", False), ("3.51.3", True), ("3.54.1", True), ("4.0", True)]
)
def test_an_sqlite_that_may_corrupt_the_file_is_refused(version: str, good: bool) -> None:
    """Below 3.51.3 two connections can corrupt a WAL database."""
    if good:
        require_sqlite(version)
    else:
        with pytest.raises(UnsupportedDatabase, match=r"3\.51\.3"):
            require_sqlite(version)


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """The error says which versions and what to do, and the file stays as it is."""
    async with opened(tmp_path):
        pass
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.pragma("user_version", 999)
    connection.close()
    await fails(tmp_path, SchemaTooNew, "schema 999.*run the newer heliogram")


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """Nothing is put into a foreign file."""
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    await fails(tmp_path, NotADatabase, "another program")
    connection = apsw.Connection(str(tmp_path / FILE))
    assert [row[0] for row in connection.execute("SELECT name FROM sqlite_schema")] == ["theirs"]
    connection.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Any other file is named as what it is."""
    (tmp_path / FILE).write_bytes(b"This is not a database. " * 500)
    await fails(tmp_path, NotADatabase, f"{FILE} is not an SQLite database")


async def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    """A schema page of garbage is damage, and the cure is the backup."""
    async with opened(tmp_path) as bench:
        await bench.app()
    file = tmp_path / FILE
    whole = file.read_bytes()
    file.write_bytes(whole[:100] + os.urandom(3996) + whole[4096:])
    await fails(tmp_path, NotADatabase, "damaged.*restore it from a backup")


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The store does not make directories."""
    await fails(tmp_path / "none", StoreUnavailable, "cannot create the database")


async def test_a_path_that_is_a_directory_is_told(tmp_path: Path) -> None:
    """Neither a crash nor a guess."""
    (tmp_path / FILE).mkdir()
    await fails(tmp_path, StoreUnavailable, "cannot open the database")


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    """What a start that was killed at once leaves behind does no harm."""
    (tmp_path / FILE).touch()
    async with opened(tmp_path) as bench:
        await bench.app()


async def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    """When `accept` has returned, the operation is on disk."""
    body = """
        operation = await bench.accept(recipients_of(700))
        print(operation.id.hex(), flush=True)
        os.kill(os.getpid(), 9)
    """
    process = child(tmp_path, body)
    out, _ = await asyncio.to_thread(process.communicate, timeout=90)
    assert process.returncode == -9
    async with opened(tmp_path) as bench:
        found = await bench.store.get_operation(bench.account, bytes.fromhex(out.strip()))
        assert found is not None
        assert found.recipients == 700
        now = bench.clock.ms
        chunks = await bench.store.claim(Lane.BULK, 0, limit=9, now=now, until=now + 1, worker="w")
        assert sum(len(chunk.recipients) for chunk in chunks) == 700


async def test_a_kill_amid_accepts_leaves_whole_operations_only(tmp_path: Path) -> None:
    """Every operation that is there has all its recipients, and every one that was confirmed is there."""
    body = """
        async def one():
            while True:
                operation = await bench.accept(recipients_of(1200))
                print(operation.id.hex(), flush=True)
        await asyncio.gather(*(one() for _ in range(4)))
    """
    process = child(tmp_path, body)
    assert process.stdout is not None
    lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(20)]
    process.kill()
    rest, _ = await asyncio.to_thread(process.communicate, timeout=90)
    confirmed = {line.strip() for line in [*lines, *rest.splitlines(keepends=True)] if line.endswith("\n")}
    async with opened(tmp_path) as bench:
        listed = await bench.store.list_operations(bench.account, Window(limit=1000))
        assert confirmed <= {operation.id.hex() for operation in listed.items}
        now = bench.clock.ms
        chunks = await bench.store.claim(Lane.BULK, 0, limit=10_000, now=now, until=now + 1, worker="w")
        assert sum(len(chunk.recipients) for chunk in chunks) == 1200 * len(listed.items)


async def test_two_processes_share_the_file(tmp_path: Path) -> None:
    """A key that the command line makes while the service runs is there at once, and both go on writing."""
    body = """
        sys.stdin.readline()
        for number in range(50):
            await bench.app() if number == 0 else await bench.device(bytes([number]) * 8)
        print(bench.account.hex(), flush=True)
    """
    async with opened(tmp_path) as bench:
        process = child(tmp_path, body)
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        made = [await bench.accept(recipients_of(1)) for _ in range(50)]
        out, _ = await asyncio.to_thread(process.communicate, timeout=90)
        assert bytes.fromhex(out.strip()) == bench.account
        assert await bench.store.get_app(bench.account, "shop") is not None
        assert (await bench.device(b"\x07" * 8)).created_user is False
        listed = await bench.store.list_operations(bench.account, Window())
        assert {operation.id for operation in listed.items} == {operation.id for operation in made}


async def test_processes_that_start_together_make_one_account(tmp_path: Path) -> None:
    """The schema and the account are made once."""
    processes = [child(tmp_path, "print(bench.account.hex())", start=1_800_000_000.0 + n) for n in range(3)]
    outs = [(await asyncio.to_thread(process.communicate, timeout=90))[0] for process in processes]
    assert {process.returncode for process in processes} == {0}
    assert len(set(outs)) == 1


async def test_a_lock_that_does_not_end_is_told(tmp_path: Path) -> None:
    """Writing waits as long as it was told to, then says who is in the way; reading goes on."""
    clock = FakeClock()
    async with opened(tmp_path):
        pass
    ids = IdFactory(lambda: clock.ms)
    store = await SqliteStore.open(tmp_path / FILE, ids=ids, clock=clock, busy_timeout_ms=20)
    other = apsw.Connection(str(tmp_path / FILE))
    other.execute("BEGIN IMMEDIATE")
    account = (await store.default_account()).id
    with pytest.raises(StoreUnavailable, match="another process keeps"):
        await store.delete_registration(account, ids.new())
    other.execute("ROLLBACK")
    other.close()
    assert not await store.delete_registration(account, ids.new())
    await store.close()


async def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """Nothing of the failed transaction stays, and later writes work again."""
    async with opened(tmp_path) as bench:
        store = bench.store
        assert isinstance(store, SqliteStore)
        pages = await store._write(lambda c: c.pragma("page_count"))
        await store._write(lambda c: c.pragma("max_page_count", pages))
        with pytest.raises(StoreUnavailable, match="no space is left"):
            await bench.accept(recipients_of(5000))
        assert (await store.list_operations(bench.account, Window())).items == ()
        await store._write(lambda c: c.pragma("max_page_count", 1 << 30))
        await bench.accept(recipients_of(5000))


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    """Closing twice is fine; anything else afterwards is an error."""
    async with opened(tmp_path) as bench:
        await bench.store.close()
        await bench.store.close()
        with pytest.raises(StoreClosed):
            await bench.store.default_account()
        with pytest.raises(StoreClosed):
            await bench.store.missing_users(bench.account, [token_of(1)])


def test_a_statement_keeps_its_plan_whatever_is_bound_to_it(tmp_path: Path) -> None:
    """Both kinds of connection are set up so that no value has a statement prepared anew."""
    create_file(tmp_path / FILE)
    for opening in (connect, connect_reader):
        connection = opening(tmp_path / FILE, busy_timeout_ms=0)
        assert connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1
        connection.close()
