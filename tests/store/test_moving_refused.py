"""What a move does not do: fill a database that holds something, go on where something is missing, or end when both
sides differ."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import asyncpg
import pytest
from support.clock import FakeClock
from support.moving import FILE, IDENT, KEY, Meddler, moved, moving, stored, unmarked
from support.postgres import server
from support.stores import Bench, opened, recipients_of

from heliogram.domain.ids import IdFactory
from heliogram.store.errors import StoreUnavailable
from heliogram.store.moving import notes
from heliogram.store.moving.canonical import Sum, sum_in_target, summer
from heliogram.store.moving.errors import MoveRefused
from heliogram.store.moving.move import give_up
from heliogram.store.moving.source import Source
from heliogram.store.moving.tables import LEFT_OUT, OWN_OF_TARGET, TABLES, Layout, Table
from heliogram.store.moving.target import Target
from heliogram.store.postgres import PostgresStore
from heliogram.store.sqlite.backup import Restoring, back_up

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000_000
OTHER = b"another move's id"


@pytest.fixture
async def source(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        await bench.app()
        await bench.device(b"t" * 32)
        await bench.accept(recipients_of(3))
        yield bench


@pytest.fixture
async def url(anyio_backend: str) -> str:
    return await server().empty()


async def open_target(url: str) -> PostgresStore:
    clock = FakeClock()
    return await PostgresStore.open(url, ids=IdFactory(lambda: clock.ms), clock=clock)


async def run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


def noted(path: Path) -> bytes | None:
    """Which move notes changes in a file."""
    source = Source(path)
    try:
        return source.move()
    finally:
        source.close()


def write(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


async def test_every_table_and_column_moves_or_is_named(source: Bench, url: str, tmp_path: Path) -> None:
    """A new table is in one of the lists, a new column in both databases."""
    await (await open_target(url)).close()
    connection = apsw.Connection(str(tmp_path / FILE))
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert {str(name) for name in names if name != "sqlite_sequence"} == (
        {table.name for table in TABLES} | set(LEFT_OUT) - {"sqlite_sequence"}
    )
    target = await Target.connect(url)
    rows = await target.connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition"
    )
    assert {row[0] for row in rows} == {table.place for table in TABLES} | OWN_OF_TARGET
    for table in TABLES:
        columns = {name for name, _ in await target.columns(table)}
        assert columns == set(stored(connection, table.name)) | set(table.joined), table.name
    connection.close()
    await target.close()


async def test_both_sides_compute_the_same_checksum(url: str) -> None:
    """Of bytes, texts, numbers at their ends and NULLs; another value, or one that moved to the next column, is another
    sum."""
    rows = [
        (b"", "", 2**63 - 1, -32768, None),
        (b"\0\xff", "ü\u2028", -(2**63), 32767, -(2**31)),
        (None, None, None, None, 2**31 - 1),
        (b"a", "b", 0, 1, 2),
    ]
    layout = Layout(
        Table("t", ("a",)), ("a", "b", "c", "d", "e"), ("bytea", "text", "bigint", "smallint", "integer"), 0
    )
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE t (a bytea, b text, c bigint, d smallint, e integer)")
    await connection.copy_records_to_table("t", records=rows)
    found = await connection.fetchrow(f"SELECT {sum_in_target(layout)} FROM t")  # noqa: S608 - a test's own
    await connection.close()
    add = summer(layout)
    assert add(rows) == add(reversed(rows)) == Sum(*map(int, found))
    for other in ((b"a", "b", 0, 2, 1), (b"ab", "", 0, 1, 2), (b"", "ab", 0, 1, 2), (b"a", "b", None, 1, 2)):
        assert add([*rows[:3], other]) != add(rows)


async def test_a_database_with_data_is_refused(source: Bench, url: str, tmp_path: Path) -> None:
    """Nothing of the source is changed then; the account that a first start makes is no data."""
    store = await open_target(url)
    account = (await store.default_account()).id
    other = Bench(store, source.clock, source.ids, account)
    await other.app()
    await store.close()
    with pytest.raises(MoveRefused, match="another instance's data"):
        await moved(tmp_path / FILE, url, NOW)
    await run(url, "DELETE FROM credential; DELETE FROM app; DELETE FROM audit")
    assert (await moved(tmp_path / FILE, url, NOW))["device"] == 1


async def test_a_database_that_services_run_on_is_refused(source: Bench, url: str, tmp_path: Path) -> None:
    """They would find their account gone."""
    store = await open_target(url)
    await store.seen(b"n" * 16, "somewhere:1", "api")
    await store.close()
    with pytest.raises(MoveRefused, match="somewhere:1"):
        await moved(tmp_path / FILE, url, NOW)
    assert noted(tmp_path / FILE) is None


async def test_a_database_of_another_move_is_refused(source: Bench, url: str, tmp_path: Path) -> None:
    """Half of one, or a whole one; and nobody works on half of one."""
    async with moving(tmp_path / FILE, url) as first:
        await first.begin(OTHER, "sqlite:there", NOW)
    with pytest.raises(StoreUnavailable, match="holds a part of sqlite:there"):
        await open_target(url)
    write(tmp_path / FILE, f"UPDATE {notes.STATE} SET id = x'00'")  # noqa: S608 - a test's own
    with pytest.raises(MoveRefused, match="make the database anew"):
        await moved(tmp_path / FILE, url, NOW)
    await run(url, "UPDATE heliogram_move SET state = 'done'")
    with pytest.raises(MoveRefused, match="another instance's data"):
        await moved(tmp_path / FILE, url, NOW)


async def test_another_database_may_be_named_before_the_end(source: Bench, url: str, tmp_path: Path) -> None:
    """A move that has begun elsewhere begins anew: what was noted is noted still."""
    async with moving(tmp_path / FILE, url) as first:
        await first.begin(IDENT, "sqlite:here", NOW)
        await first.copy()
    await source.accept(recipients_of(2))
    assert (await moved(tmp_path / FILE, await server().empty(), NOW))["operation"] == 2


async def test_a_trigger_that_is_missing_ends_it(source: Bench, url: str, tmp_path: Path) -> None:
    """What changed may not have been noted: it cannot go on, only begin anew."""
    async with moving(tmp_path / FILE, url) as first:
        await first.begin(IDENT, "sqlite:here", NOW)
    write(tmp_path / FILE, "DROP TRIGGER moving_chunk_update")
    with pytest.raises(MoveRefused, match="begin again"):
        await moved(tmp_path / FILE, url, NOW)


async def test_rows_that_differ_end_it(source: Bench, url: str, tmp_path: Path) -> None:
    """One value in one row of the target: the table is named, and the source is served on."""
    async with moving(tmp_path / FILE, url) as move:
        await move.begin(IDENT, "sqlite:here", NOW)
        await move.copy()
        await run(url, "UPDATE device SET time_zone = 'UTC'")
        with pytest.raises(MoveRefused, match="device is not the same on both sides"):
            await move.finish(KEY, NOW, unmarked, whole=True)
    with pytest.raises(StoreUnavailable):
        await open_target(url)
    await source.accept(recipients_of(1))


async def test_a_count_that_differs_ends_it_in_any_case(source: Bench, url: str, tmp_path: Path) -> None:
    """The last round compares what it wrote, and how many rows there are of each table."""
    async with moving(tmp_path / FILE, url) as move:
        await move.begin(IDENT, "sqlite:here", NOW)
        await move.copy()
        await run(url, "DELETE FROM chunk_recipients")
        with pytest.raises(MoveRefused, match="chunk_recipients has 1 rows in the source and 0"):
            await move.finish(KEY, NOW, unmarked)


async def test_rows_that_the_target_does_not_take_are_named(source: Bench, url: str, tmp_path: Path) -> None:
    """By table and key, with the reason, all of a range; once they are changed it goes on."""
    ids = [source.ids.new() for _ in range(3)]
    for number, ident in enumerate(ids):
        text = "'a' || char(0)" if number else "'fine'"
        write(
            tmp_path / FILE,
            f"INSERT INTO user (account_id, id, created, updated, external_id)"  # noqa: S608 - a test's own
            f" VALUES (x'{source.account.hex()}', x'{ident.hex()}', 1, 1, {text} || {number})",
        )
    with pytest.raises(MoveRefused) as refused:
        await moved(tmp_path / FILE, url, NOW)
    said = str(refused.value)
    assert "does not take these rows of user" in said
    assert [ident.hex() in said for ident in ids] == [False, True, True]
    assert "0x00" in said
    write(tmp_path / FILE, "UPDATE user SET external_id = NULL WHERE instr(external_id, char(0))")
    assert (await moved(tmp_path / FILE, url, NOW))["user"] == 4


async def test_a_move_that_is_given_up_leaves_nothing_in_the_source(source: Bench, url: str, tmp_path: Path) -> None:
    """No trigger and no note; the target is of no use to nodes, and to another move."""
    async with moving(tmp_path / FILE, url) as move:
        await move.begin(IDENT, "sqlite:here", NOW)
        await move.copy()
    await source.accept(recipients_of(1))
    here, target = Source(tmp_path / FILE), await Target.connect(url)
    await give_up(here, target, IDENT)
    here.close()
    await target.close()
    connection = apsw.Connection(str(tmp_path / FILE))
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'moving%'").get == 0
    connection.close()
    with pytest.raises(MoveRefused, match="make the database anew"):
        await moved(tmp_path / FILE, url, NOW)


async def test_a_backup_that_was_made_meanwhile_restores_without_notes(source: Bench, url: str, tmp_path: Path) -> None:
    """They would be of changes that the target knows more of, and go on growing."""
    async with moving(tmp_path / FILE, url) as move:
        await move.begin(IDENT, "sqlite:here", NOW)
    back_up(tmp_path / FILE, tmp_path / "copy.db")
    (tmp_path / "other").mkdir()
    Restoring(tmp_path / "copy.db", tmp_path / "other/draft", tmp_path / "other" / FILE).run(NOW, "then")
    assert noted(tmp_path / "other" / FILE) is None
    with pytest.raises(MoveRefused, match="holds a part of"):
        await moved(tmp_path / "other" / FILE, url, NOW)


async def test_a_run_that_ended_behind_its_last_transaction_is_finished_by_the_next(
    source: Bench, url: str, tmp_path: Path
) -> None:
    """The target is whole then, and the source has been left: nothing is copied again."""

    class Cut(Exception):
        pass

    def cut(*, done: bool) -> None:
        if done:
            raise Cut

    async with moving(tmp_path / FILE, url) as move:
        await move.begin(IDENT, "sqlite:here", NOW)
        await move.copy()
        with pytest.raises(Cut):
            await move.finish(KEY, NOW, cut)
    await (await open_target(url)).close()
    assert await moved(tmp_path / FILE, url, NOW) == {}
    assert noted(tmp_path / FILE) is None


async def test_a_run_that_ended_before_its_last_transaction_changes_nothing(
    source: Bench, url: str, tmp_path: Path
) -> None:
    """Neither the leases of the source, nor that no node may work on the target."""

    class Cut(Exception):
        pass

    def cut(*, done: bool) -> None:
        raise Cut

    async with moving(tmp_path / FILE, url) as move:
        await move.begin(IDENT, "sqlite:here", NOW)
        await move.copy()
        with pytest.raises(Cut):
            await move.finish(KEY, NOW, cut)
    with pytest.raises(StoreUnavailable):
        await open_target(url)
    assert (await moved(tmp_path / FILE, url, NOW))["operation"] == 1


async def test_notes_that_come_while_others_are_forgotten_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers begin anew when the last note goes: those that are noted then are not taken for the old ones."""
    monkeypatch.setattr(notes, "DELETED_AT_ONCE", 3)
    async with opened(tmp_path) as bench:
        source = Source(tmp_path / FILE)
        await source.install(IDENT)
        await Meddler(bench, 1).found()
        connection = apsw.Connection(str(tmp_path / FILE))
        found = notes.bounds(connection)
        assert found is not None
        for high in notes.forget(connection, found[1]):
            if high == found[1]:
                await bench.accept(recipients_of(1))
        left = notes.bounds(connection)
        assert left is not None
        assert left[0] == 1
        connection.close()
        source.close()
