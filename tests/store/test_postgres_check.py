"""What `check` finds in a PostgreSQL database, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.postgres import server
from support.stores import open_postgres, opened
from support.wards import fill

from heliogram.store.errors import StoreError
from heliogram.store.postgres import check as postgres_check
from heliogram.store.postgres.check import look
from heliogram.store.postgres.link import Link
from heliogram.store.postgres.migrate import Script, migrations
from heliogram.store.postgres.partitions import DAY_MS, make_partitions, suffix_of
from heliogram.store.sqlite import check, statements

pytestmark = pytest.mark.anyio


class Database:
    """A database with devices and operations of every kind in it, and a way to spoil it."""

    def __init__(self, url: str, link: asyncpg.Connection) -> None:
        self.url, self.link = url, link

    async def spoil(self, sql: str) -> None:
        """Does to it what no program of ours does, references and triggers notwithstanding."""
        await self.link.execute(f"SET session_replication_role = replica; {sql}; RESET session_replication_role")

    async def problems(self, *, full: bool = False) -> list[str]:
        """What is found."""
        return (await look(self.url, full=full)).problems


@pytest.fixture
async def database(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path, open_postgres) as bench:
        await fill(bench, worker="host:1", scheduled=False)
    url = await server().database_for(tmp_path)
    link = await asyncpg.connect(url)
    now = int(time.time() * 1000)  # partitions are looked at by the database's clock
    for at in (now, now + DAY_MS):  # should a day begin meanwhile
        await make_partitions(link, at)
    yield Database(url, link)
    await link.close()


async def test_nothing_is_wrong_with_what_the_store_writes(database: Database) -> None:
    """Beside the nodes, in a sample and in full; nothing is left behind, and how far it is is told."""
    for full in (False, True):
        heard: list[str] = []
        findings = await look(database.url, full=full, progress=heard.append)
        assert findings.problems == []
        assert (findings.operations, findings.registrations) == (3, 2)
        assert findings.schema == len(migrations())
        (note,) = findings.notes  # the fake clock is ahead
        assert note.startswith("leases: 1 chunks of host:1, which is no node, are taken over within ")
        assert heard[0] == "looking at the schema"
        assert "looking at references of credential to app" in heard
    assert await database.link.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'heliogram%'") == 0


async def test_whatever_is_looked_at_is_named_when_it_is_wrong(database: Database) -> None:
    """One line each, with what to do or with which operation or registration it is."""
    await database.spoil("DELETE FROM chunk_recipients WHERE first = 500")
    await database.spoil("UPDATE chunk SET sent = 3 WHERE sent = 2")
    await database.spoil("UPDATE chunk SET parts = 3 WHERE parts = 2")
    await database.spoil("UPDATE operation SET recipients = 3 WHERE recipients = 700")
    await database.spoil("UPDATE queue_depth SET waiting = waiting + 1")
    await database.spoil("UPDATE device SET slot = 63 WHERE slot = 2")
    await database.spoil("DELETE FROM app_user WHERE id = (SELECT id FROM app_user ORDER BY id LIMIT 1)")
    await database.spoil("DELETE FROM operation WHERE recipients = 1200")
    found = await database.problems()
    for expected in (
        "2 counts of waiting recipients (queue_depth) are not what the chunks say",
        "3 chunks belong to no operation",
        "2 chunks have no recipients",
        "do not make up its 63",
        "(2, 1, 1, 0), its counters say (3, 1, 1, 0)",
        "it has 2 result parts, it says 3",
        "its chunks hold 700 recipients, it says 3",
        "references: 1 rows of registration name a app_user that is not there",
    ):
        assert [line for line in found if expected in line] != [], (expected, found)
    assert set(await database.problems(full=True)) == set(found)


async def test_lists_of_no_chunk_are_counted(database: Database) -> None:
    """Recipients, results and the users in them."""
    await database.spoil("DELETE FROM chunk WHERE first = 0")
    found = await database.problems()
    for expected in (
        "3 lists of recipients belong to no chunk",
        "3 result parts belong to no chunk",
        "1 lists of users belong to no chunk",
    ):
        assert expected in found


async def test_the_schema_is_compared_with_what_migrations_make(database: Database) -> None:
    """Columns, indexes, functions, triggers and references; what an operator added is nobody's business."""
    await database.link.execute(
        """
        DROP INDEX chunk_held;
        DROP INDEX device_quarantined;
        CREATE INDEX device_quarantined ON device (account_id);
        CREATE INDEX of_our_own ON device (created);
        ALTER TABLE webhook DROP COLUMN description;
        ALTER TABLE registration DROP CONSTRAINT registration_account_id_user_id_fkey;
        ALTER TABLE credential_answer DROP CONSTRAINT credential_answer_account_id_credential_id_fkey;
        ALTER TABLE credential_answer ADD CONSTRAINT credential_answer_account_id_credential_id_fkey
          FOREIGN KEY (account_id, credential_id) REFERENCES credential (account_id, id) ON DELETE CASCADE NOT VALID;
        CREATE OR REPLACE FUNCTION settled_below() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 7::bigint';
        DROP TABLE chunk_user_default;
        """
    )
    await database.link.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'operation_finished'::regclass"
    )
    found = await database.problems()
    for expected in (
        "schema: the index chunk_held is missing",
        "schema: the index device_quarantined is not as migrations make it",
        "schema: the column webhook.description is missing",
        "schema: the constraint registration_account_id_user_id_fkey of registration is missing",
        "schema: the function settled_below() is not as migrations make it",
        "references: that of credential_answer to credential was never looked at: VALIDATE CONSTRAINT",
        "index operation_finished of operation is not valid: REINDEX INDEX CONCURRENTLY operation_finished",
        "partitions: chunk_user has none for what no day is made for (chunk_user_default)",
    ):
        assert expected in found, (expected, found)
    assert [line for line in found if "of_our_own" in line] == []


async def test_what_cannot_be_read_for_want_of_a_table_is_told(database: Database) -> None:
    """It is missing, and the rest is not looked at."""
    await database.link.execute("DROP TABLE going")
    first, *_, last = await database.problems()
    assert first == "schema: the column going.high is missing"
    assert last.startswith("what follows was not looked at: ")


async def test_days_without_partitions_are_problems(database: Database) -> None:
    """Of today and the next three; rows in the default ones are a note."""
    today = int(time.time() * 1000) // DAY_MS
    for table in ("chunk", "chunk_result"):
        await database.link.execute(f"DROP TABLE {table}_{suffix_of(today + 2)}")
    await database.spoil(
        "INSERT INTO chunk_user_default SELECT account_id, '\\xffffffffffffffff', first, fingerprints FROM chunk_user"
    )
    findings = await look(database.url)
    missing = f"partitions: chunk, chunk_result has none for {suffix_of(today + 2)}: does a dispatcher run?"
    assert missing in findings.problems
    assert "chunk_user_default holds rows of days that nobody made a partition for" in findings.notes


async def test_leases_that_nobody_takes_over_are_problems(database: Database) -> None:
    """A minute after they ended; nodes that fell silent are a note."""
    await database.link.execute(
        "UPDATE chunk SET due = now_ms() - 90000 WHERE state = 1;"
        "INSERT INTO node VALUES ('x', 'host:9', '1', 6, 'worker', now_ms() - 200000, now_ms() - 100000)"
    )
    findings = await look(database.url)
    (problem,) = findings.problems
    waited = re.match(r"leases: 1 chunks of host:1 have waited for (\d+) s to be taken over: do workers run\?", problem)
    silent = re.search(r"node host:9 has not been heard of for (\d+) s", "\n".join(findings.notes))
    assert waited is not None
    assert silent is not None
    assert (int(waited[1]) >= 90, int(silent[1]) >= 100) == (True, True)


async def test_a_schema_of_another_version_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one is brought up by the next start; of a newer one nothing is known."""
    known = len(migrations())
    for module in ("check", "blueprint"):
        newer = {**migrations(), known + 1: Script("CREATE TABLE fresh (one integer)")}
        monkeypatch.setattr(f"heliogram.store.postgres.{module}.migrations", lambda newer=newer: newer)
    findings = await look(database.url)
    assert findings.problems == []
    assert findings.notes == [
        f"schema {known}: the next start brings it to {known + 1}; what we keep in it is checked from then on"
    ]
    await database.link.execute("UPDATE heliogram_schema SET version = $1", known + 2)
    (problem,) = await database.problems()
    assert problem.endswith(
        f"has schema {known + 2}, this version of heliogram knows up to {known + 1}: use the newer one"
    )


async def test_what_is_no_database_of_ours_is_a_problem(database: Database) -> None:
    """Nor one that holds a half of an instance; one that cannot be reached is an error."""
    empty = await server().empty()
    assert [line.endswith(" is no database of heliogram") for line in (await look(empty)).problems] == [True]
    await database.link.execute("CREATE TABLE heliogram_move (state text, origin text)")
    await database.link.execute("INSERT INTO heliogram_move VALUES ('copying', 'sqlite:/data')")
    (problem,) = await database.problems()
    assert "holds a part of sqlite:/data" in problem
    with pytest.raises(StoreError, match="nobody_made_it"):
        await look(server().url("nobody_made_it"))


async def test_without_the_right_to_make_a_schema_the_rest_is_looked_at(database: Database) -> None:
    """A role that may only read is enough for all but the schema itself."""
    await database.link.execute(
        "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
        "REVOKE CREATE ON DATABASE " + await database.link.fetchval("SELECT current_database()") + " FROM PUBLIC"
    )
    try:
        findings = await look(database.url.replace("heliogram@", "reader@"))
        assert (findings.problems, findings.operations) == ([], 3)
        assert "the schema was not compared with what migrations make" in findings.notes[0]
    finally:
        await database.link.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_all_are_looked_at_in_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: in full each once, in a sample the newest and the oldest."""
    monkeypatch.setattr(check, "PAGE", 1)
    monkeypatch.setattr(check, "SAMPLE_OPERATIONS", 2)
    assert (await look(database.url, full=True)).operations == 3
    assert (await look(database.url)).operations == 2


async def test_what_was_looked_at_is_let_go_of(database: Database) -> None:
    """A check of hours keeps nobody from making a partition or dropping one: with what is looked at next the locks on
    what came before it are gone."""
    link = Link(await asyncpg.connect(database.url))
    glances = postgres_check._Glances(link)
    sql = statements.load("check")
    try:
        await glances.execute(sql.chunks_astray, {})
        with pytest.raises(asyncpg.LockNotAvailableError):
            async with database.link.transaction():
                await database.link.execute("LOCK TABLE chunk IN ACCESS EXCLUSIVE MODE NOWAIT")
        await glances.execute(sql.oldest_registrations, {"account": b"", "id": b"", "limit": 1})
        async with database.link.transaction():
            await database.link.execute("LOCK TABLE chunk IN ACCESS EXCLUSIVE MODE NOWAIT")
    finally:
        await link.close()
