"""What `check` finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest
from support.stores import opened, recipients_of
from support.wards import fill

from heliogram.store.sqlite import check
from heliogram.store.sqlite.check import Findings, examine
from heliogram.store.sqlite.connection import opened_read_only
from heliogram.store.sqlite.migrate import migrations

pytestmark = pytest.mark.anyio

FILE = "heliogram.db"


def look(directory: Path, *, full: bool = False) -> Findings:
    return examine(directory / FILE, full=full)


async def test_nothing_is_wrong_with_what_the_store_writes(tmp_path: Path) -> None:
    """Beside the open store, in a sample and in full; each thing is looked at once."""
    async with opened(tmp_path) as bench:
        await fill(bench, gone=True)
        for full in (False, True):
            findings = look(tmp_path, full=full)
            assert (findings.problems, findings.notes) == ([], [])
            assert (findings.operations, findings.registrations) == (4, 1)
            assert findings.schema == len(migrations())


async def test_a_sample_has_the_newest_and_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of each; everything only when asked for."""
    monkeypatch.setattr(check, "SAMPLE_OPERATIONS", 4)
    async with opened(tmp_path) as bench:
        made = []
        for _ in range(6):
            made.append(await bench.accept(recipients_of(1)))
            bench.clock.advance(1)
        assert (look(tmp_path).operations, look(tmp_path, full=True).operations) == (4, 6)
        for place in (0, 3, 5):
            spoil(tmp_path, "UPDATE operation SET recipients = 9 WHERE id = ?", made[place].id)
        assert (len(look(tmp_path).problems), len(look(tmp_path, full=True).problems)) == (2, 3)


def spoil(directory: Path, sql: str, *values: object) -> None:
    """Does to the database what no program of ours does."""
    connection = apsw.Connection(str(directory / FILE))
    connection.execute(sql, values)
    assert connection.changes() > 0
    connection.close()


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("DELETE FROM operation WHERE status = 'COMPLETED'", "1 chunks belong to no operation"),
        ("DELETE FROM chunk_recipients WHERE first = 500", "2 chunks have no recipients"),
        ("DELETE FROM chunk WHERE first = 1000", "1 lists of recipients belong to no chunk"),
        ("DELETE FROM chunk WHERE first = 0 AND sent = 2", "2 result parts belong to no chunk"),
        ("DELETE FROM chunk WHERE first = 0 AND sent = 2", "1 lists of users belong to no chunk"),
        ("UPDATE chunk SET first = 501 WHERE first = 500 AND size = 200", "begins at recipient 501, expected 500"),
        ("UPDATE operation SET recipients = 3 WHERE recipients = 4", "hold 4 recipients, it says 3"),
        ("UPDATE operation SET finished = NULL WHERE status = 'COMPLETED'", "is COMPLETED, and its end is None"),
        ("UPDATE chunk SET state = 0 WHERE sent = 2", "is COMPLETED, and a chunk is not done"),
        ("UPDATE chunk SET state = 2 WHERE first = 0 AND size = 2", "is SCHEDULED, and every chunk is done"),
        ("UPDATE chunk SET sent = 3 WHERE sent = 2", "5 of 4 recipients have ended"),
        ("UPDATE chunk SET sent = 3 WHERE sent = 2", "(2, 1, 1, 0), its counters say (3, 1, 1, 0)"),
        ("UPDATE chunk SET parts = 3 WHERE parts = 2", "it has 2 result parts, it says 3"),
        ("UPDATE chunk_result SET packed = x'07' WHERE part = 2", "packed rows begin with"),
        ("UPDATE chunk_recipients SET packed = x'0190' WHERE first = 1000", "other recipients than the 200 it says"),
        ("UPDATE registration SET free_slots = CAST(x'05' || free_slots AS BLOB)", "do not make up its 63"),
        ("UPDATE device SET slot = 63 WHERE slot = 2", "do not make up its 63"),
        ("DELETE FROM device", "it has no device"),
        ("DELETE FROM reachable", "devices can be sent to, and sending would not find them"),
        ("UPDATE reachable SET token = x'00'", "devices can be sent to, and sending would not find them"),
        ("UPDATE reachable SET slot = slot + 7", "entries of what can be sent to are no such devices"),
        ("PRAGMA application_id = 7", "is no database of heliogram"),
        ("PRAGMA user_version = 1000", "use the newer heliogram"),
    ],
)
async def test_each_thing_that_must_be_true_is_looked_at(tmp_path: Path, sql: str, problem: str) -> None:
    """One line says what is wrong, and with which operation or registration."""
    async with opened(tmp_path) as bench:
        await fill(bench, gone=True)
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute(sql).fetchall()
    connection.close()
    assert [line for line in look(tmp_path).problems if problem in line] != []


async def test_references_to_what_is_not_there_are_counted(tmp_path: Path) -> None:
    """One line a table, not one a row."""
    async with opened(tmp_path) as bench:
        await fill(bench, gone=True)
    spoil(tmp_path, "DELETE FROM user")
    assert "references: 1 rows of registration name a user that is not there" in look(tmp_path).problems


async def test_damage_is_told_and_not_raised(tmp_path: Path) -> None:
    """However early it ends the reading."""
    async with opened(tmp_path) as bench:
        await bench.accept(recipients_of(3000))
    file = tmp_path / FILE
    whole = file.read_bytes()
    pages = len(whole) // 4096
    file.write_bytes(b"".join(os.urandom(4096) if n > 5 else whole[n * 4096 :][:4096] for n in range(pages)))
    problems = look(tmp_path).problems
    assert 1 <= len(problems) <= check.MOST_PROBLEMS
    assert any("integrity" in line or "damaged" in line for line in problems)


async def test_an_older_schema_is_a_note(tmp_path: Path) -> None:
    """It is whole, and the next start brings it up to date."""
    old = apsw.Connection(str(tmp_path / FILE))
    old.execute(migrations()[1]).fetchall()
    old.pragma("user_version", 1)
    old.pragma("application_id", int.from_bytes(b"HELG", "big"))
    old.close()
    findings = look(tmp_path)
    assert findings.problems == []
    assert "the next start brings it to" in findings.notes[0]


async def test_what_is_being_removed_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two slices of retention an operation's chunks are on their way out."""
    monkeypatch.setattr("heliogram.store.sqlite.retention.SLICE_ROWS", 5)
    async with opened(tmp_path) as bench:
        await fill(bench, gone=True)
        await bench.store.remove_ended(bench.clock.ms, bench.clock.ms)
        assert look(tmp_path).problems == []
        assert look(tmp_path).operations == 3


async def test_looking_writes_nothing(tmp_path: Path) -> None:
    """The connection refuses to."""
    async with opened(tmp_path):
        pass
    with opened_read_only(tmp_path / FILE) as connection, pytest.raises(apsw.ReadOnlyError):
        connection.execute("DELETE FROM account")
