"""Copies of the database, made while it is written to, and databases made out of copies."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import apsw
import pytest
from support.clock import FakeClock
from support.stores import opened, recipients_of

from heliogram.domain.operations import Lane
from heliogram.ports import Window
from heliogram.store.errors import NotADatabase, SchemaTooNew, StoreError, StoreUnavailable
from heliogram.store.sqlite import backup
from heliogram.store.sqlite.backup import Restoring, back_up
from heliogram.store.sqlite.check import examine
from heliogram.store.sqlite.migrate import migrations

pytestmark = pytest.mark.anyio

FILE = "heliogram.db"


def restore(source: Path, directory: Path, now: int = 1_800_000_000_000) -> backup.Restored:
    directory.mkdir(exist_ok=True)
    return Restoring(source, directory / f"{FILE}.restoring", directory / FILE).run(now, "then")


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def problems_of(path: Path) -> list[str]:
    return examine(path, full=True).problems


async def test_a_backup_is_of_one_moment_whoever_writes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes between its steps neither end it nor come into it; nobody waits for it."""
    monkeypatch.setattr(backup, "STEP_PAGES", 5)
    async with opened(tmp_path) as bench:
        before = [await bench.accept(recipients_of(2000)) for _ in range(3)]
        loop, steps = asyncio.get_running_loop(), []

        def write(done: int, total: int) -> None:
            steps.append((done, total))
            if len(steps) <= 3:
                asyncio.run_coroutine_threadsafe(bench.accept(recipients_of(500)), loop).result(20)

        size = await asyncio.to_thread(back_up, tmp_path / FILE, tmp_path / "copy.db", write)
        assert len((await bench.store.list_operations(bench.account, Window())).items) == 6
    assert len(steps) > 3
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert size == (tmp_path / "copy.db").stat().st_size
    assert problems_of(tmp_path / "copy.db") == []
    restore(tmp_path / "copy.db", tmp_path / "other")
    async with opened(tmp_path / "other") as again:
        kept = (await again.store.list_operations(again.account, Window())).items
        assert {operation.id for operation in kept} == {operation.id for operation in before}


async def test_a_backup_is_one_file_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, no log beside it, no draft left."""
    (tmp_path / "data").mkdir()
    (tmp_path / "backups").mkdir()
    before = os.umask(0)
    try:
        async with opened(tmp_path / "data") as bench:
            await bench.app()
            back_up(tmp_path / "data" / FILE, tmp_path / "backups" / "copy.db")
    finally:
        os.umask(before)
    (copy,) = (tmp_path / "backups").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


async def test_a_backup_replaces_nothing(tmp_path: Path) -> None:
    """Neither a file nor a link to nowhere, also when it comes while the copy is made."""
    async with opened(tmp_path) as bench:
        await bench.app()
    there, link, late = tmp_path / "there", tmp_path / "link", tmp_path / "late"
    there.write_text("precious")
    link.symlink_to(tmp_path / "nowhere")
    for target in (there, link):
        with pytest.raises(StoreUnavailable, match="is there already"):
            back_up(tmp_path / FILE, target)
    with pytest.raises(StoreUnavailable, match="is there already"):
        back_up(tmp_path / FILE, late, lambda done, total: late.write_text("precious"))
    assert there.read_text() == late.read_text() == "precious"
    assert not [name for name in names_in(tmp_path) if "part" in name]


async def test_a_backup_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    """The directory is not there; or whoever asked for it went away."""
    async with opened(tmp_path) as bench:
        await bench.app()

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(StoreUnavailable, match="cannot create"):
            back_up(tmp_path / FILE, tmp_path / "none" / "copy.db")
        with pytest.raises(KeyboardInterrupt):
            back_up(tmp_path / FILE, tmp_path / "copy.db", interrupt)
    assert names_in(tmp_path) == [FILE]


async def test_what_was_leased_and_queued_goes_out_after_a_restore(tmp_path: Path) -> None:
    """Leases are given back at once, and the restore says how many recipients wait."""
    clock = FakeClock()
    async with opened(tmp_path, clock=clock) as bench:
        leased = await bench.accept(recipients_of(3))
        clock.advance(1)
        queued = await bench.accept(recipients_of(4))
        (held,) = await bench.store.claim(Lane.TX, 0, limit=1, now=clock.ms, until=clock.ms + 60_000, worker="gone")
        assert held.operation_id == leased.id
        back_up(tmp_path / FILE, tmp_path / "copy.db")
        (later,) = await bench.store.claim(Lane.TX, 0, limit=9, now=clock.ms, until=clock.ms + 60_000, worker="w")
        await bench.store.finish(later, clock.ms)
    restored = restore(tmp_path / "copy.db", tmp_path / "other", clock.ms)
    assert (restored.chunks, restored.recipients, restored.kept) == (2, 7, None)
    async with opened(tmp_path / "other", clock=clock) as again:
        chunks = await again.store.claim(Lane.TX, 0, limit=9, now=clock.ms, until=clock.ms + 1, worker="w")
        assert {chunk.operation_id for chunk in chunks} == {leased.id, queued.id}
        assert await again.store.finish(chunks[0], clock.ms)


async def test_the_database_that_was_there_is_kept_whole(tmp_path: Path) -> None:
    """Under another name, with what was only in its log; and again under yet another."""
    (tmp_path / "data").mkdir()
    async with opened(tmp_path / "data") as bench:
        await bench.accept(recipients_of(1))
        back_up(tmp_path / "data" / FILE, tmp_path / "copy.db")
        second = await bench.accept(recipients_of(1))
        # As a crash leaves it: the log was not brought in.
        for name in (FILE, f"{FILE}-wal"):
            (tmp_path / name).write_bytes((tmp_path / "data" / name).read_bytes())
    for name in (FILE, f"{FILE}-wal"):
        (tmp_path / name).rename(tmp_path / "data" / name)
    kept = [restore(tmp_path / "copy.db", tmp_path / "data").kept for _ in range(2)]
    assert kept == [tmp_path / "data" / f"{FILE}.replaced-then", tmp_path / "data" / f"{FILE}.replaced-then-2"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        FILE,
        f"{FILE}.replaced-then",
        f"{FILE}.replaced-then-2",
    ]
    assert kept[0] is not None
    kept[0].rename(tmp_path / FILE)
    async with opened(tmp_path) as old:
        assert await old.store.get_operation(old.account, second.id) is not None
    async with opened(tmp_path / "data") as new:
        assert len((await new.store.list_operations(new.account, Window())).items) == 1


async def test_a_damaged_database_and_a_stray_log_give_way(tmp_path: Path) -> None:
    """What cannot be opened is kept as it is, and no log of another database is taken for the new one's."""
    (tmp_path / "data").mkdir()
    async with opened(tmp_path) as bench:
        made = await bench.accept(recipients_of(1))
        back_up(tmp_path / FILE, tmp_path / "copy.db")
        log = (tmp_path / f"{FILE}-wal").read_bytes()
    (tmp_path / "data" / FILE).write_bytes(b"no database" * 100)
    restore(tmp_path / "copy.db", tmp_path / "data")
    assert (tmp_path / "data" / f"{FILE}.replaced-then").read_bytes() == b"no database" * 100
    (tmp_path / "data" / FILE).unlink()
    (tmp_path / "data" / f"{FILE}-wal").write_bytes(log)
    restore(tmp_path / "copy.db", tmp_path / "data")
    assert (tmp_path / "data" / f"{FILE}.replaced-then-2-wal").exists()
    async with opened(tmp_path / "data") as again:
        assert await again.store.get_operation(again.account, made.id) is not None


async def _copy_of(tmp_path: Path) -> Path:
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(3000))
        back_up(tmp_path / FILE, tmp_path / "copy.db")
    return tmp_path / "copy.db"


async def _refused(copy: Path, kind: type[StoreError], match: str) -> None:
    """The database that is there stays as it is, and no draft is left."""
    target = copy.parent / "data"
    target.mkdir()
    (target / FILE).write_text("what was there")
    with pytest.raises(kind, match=match):
        restore(copy, target)
    assert [path.name for path in target.iterdir()] == [FILE]
    assert (target / FILE).read_text() == "what was there"


async def test_a_damaged_backup_is_refused(tmp_path: Path) -> None:
    """Somewhere in the middle of it."""
    copy = await _copy_of(tmp_path)
    whole = copy.read_bytes()
    pages = len(whole) // 4096
    broken = b"".join(os.urandom(4096) if n in range(3, pages, 4) else whole[n * 4096 :][:4096] for n in range(pages))
    copy.write_bytes(broken)
    await _refused(copy, NotADatabase, "damaged")


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A wrong name on the command line."""
    copy = tmp_path / "copy.db"
    copy.write_text("Dear diary, " * 500)
    await _refused(copy, NotADatabase, "not an SQLite database")


async def test_the_database_of_another_program_is_refused(tmp_path: Path) -> None:
    """Its header says whose it is."""
    copy = tmp_path / "copy.db"
    other = apsw.Connection(str(copy))
    other.execute("CREATE TABLE song (name TEXT)")
    other.close()
    await _refused(copy, NotADatabase, "no database of heliogram")


async def test_the_backup_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """It says which schema it has and what to run."""
    copy = await _copy_of(tmp_path)
    connection = apsw.Connection(str(copy))
    connection.pragma("user_version", len(migrations()) + 1)
    connection.close()
    await _refused(copy, SchemaTooNew, "use the newer heliogram")


async def test_the_backup_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """Forward, as at a start."""
    copy = tmp_path / "copy.db"
    old = apsw.Connection(str(copy))
    old.execute(migrations()[1]).fetchall()
    old.pragma("user_version", 1)
    old.pragma("application_id", int.from_bytes(b"HELG", "big"))
    old.close()
    restored = restore(copy, tmp_path / "data")
    assert (restored.was_schema, restored.schema) == (1, len(migrations()))
    assert problems_of(tmp_path / "data" / FILE) == []
