"""What a repair puts right, that it leaves alone what cannot be told, and that it says both: on both stores."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.stores import recipients_of
from support.wards import AT, Ward, ward

from heliogram.domain import ids
from heliogram.store.cures import CURES, cure_of
from heliogram.store.errors import StoreUnavailable
from heliogram.store.postgres.migrate import LOCK
from heliogram.store.postgres.partitions import DAY_MS, TABLES, suffix_of
from heliogram.store.postgres.repair import NUMBER, put_right
from heliogram.store.sqlite import repair

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, anyio_backend: str, tmp_path: Path) -> AsyncIterator[Ward]:
    async with ward(request.param, tmp_path) as made:
        yield made


CURABLE = {
    "a count of what waits": (
        "UPDATE queue_depth SET waiting = waiting + 7",
        ["all accounts: recipients that wait were counted as 1", ": recipients that wait were counted as 1"],
    ),
    "counters of a chunk that is done": (
        "UPDATE chunk SET sent = 0, failed = 4 WHERE sent = 2",
        ["chunk 0: its counters (sent, failed, unaddressable, canceled) were (0, 4, 1, 0), now (2, 1, 1, 0)"],
    ),
    "how many result parts there are": (
        "UPDATE chunk SET parts = 3 WHERE parts = 2",
        ["chunk 0: it said that it has 3 result parts, and has 2"],
    ),
    "fewer recipients than chunks hold": (
        "UPDATE operation SET recipients = 3 WHERE recipients = 700",
        ["it said that it has 3 recipients, and has 700"],
    ),
    "an operation that is over and does not say so": (
        "UPDATE operation SET status = 'PROCESSING', finished = NULL WHERE recipients = 4",
        ["it was PROCESSING, and all of it is done: it is over now"],
    ),
    "an operation that is over without an end": (
        "UPDATE operation SET finished = NULL WHERE recipients = 4",
        ["it is over, and had no end"],
    ),
    "an operation that has an end and is not over": (
        "UPDATE operation SET finished = 7 WHERE recipients = 1200",
        ["it is PROCESSING, and is not over"],
    ),
    "an operation's row": (
        "DELETE FROM operation WHERE recipients = 4",
        ["1 chunks of no operation were removed", "1 lists of recipients of no chunk were removed"],
    ),
    "the row of an operation that was not over": (
        "DELETE FROM operation WHERE recipients = 1200",
        ["3 chunks of no operation were removed, with 1200 recipients who were not sent to and cannot be"],
    ),
    "rows of neither chunk nor operation": (
        "DELETE FROM chunk WHERE size = 4; DELETE FROM operation WHERE recipients = 4",
        ["2 result parts of no chunk were removed", "1 lists of users of no chunk were removed"],
    ),
    "a slot that is free and taken": (
        "UPDATE device SET slot = 9 WHERE slot = 2",
        ["its free slots were made anew: 2 are taken, 61 are free"],
    ),
    "a registration without devices": (
        "DELETE FROM device WHERE registration_id <> (SELECT registration_id FROM device WHERE slot = 2)",
        ["it had no device, and was removed"],
    ),
    "what the provider said to a credential that is gone": (
        "INSERT INTO credential_answer (account_id, credential_id, answered, status, reason)"
        " SELECT account_id, account_id, 1, 200, '' FROM credential",
        ["1 answers to credentials that are not there were removed"],
    ),
    "what happened to devices of nobody": (
        "INSERT INTO device_history (account_id, app_name, user_id, slot, id, event, token, digest, provider, kind,"
        " environment) SELECT account_id, app_name, id, 1, id, 'REMOVED', '', id, 'APN', 'alert', '' FROM credential",
        ["1 entries of devices' history that were nobody's were removed"],
    ),
}


@pytest.fixture
async def embedded(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Ward]:
    async with ward("sqlite", tmp_path) as made:
        yield made


@pytest.mark.parametrize("fault", CURABLE)
async def test_what_follows_from_what_is_there_is_put_right(embedded: Ward, fault: str) -> None:
    """It is told and audited, and nothing is wrong any more; a second repair changes nothing."""
    database, (sql, expected) = embedded, CURABLE[fault]
    await database.spoil(sql)
    if "device" in sql:  # what sending finds devices by is a table of its own
        await database.spoil("DELETE FROM reachable")
    found = await database.look()
    assert found.problems != []
    made = await database.repair(found)
    for line in expected:
        assert [told for told in made.done if line in told] != [], (line, made)
    assert made.refused == []
    left = await database.look()
    assert left.problems == []
    again = await database.repair(found)
    assert (again.done, again.refused) == ([], [])
    if "answers to" not in expected[0]:
        events = await database.ask("SELECT at, actor, detail FROM audit WHERE action = 'store.repaired'")
        assert {event[:2] for event in events} == {(AT, "cli")}
        assert all(json.loads(detail)["repairs"] for *_, detail in events)


BEYOND = {
    "recipients of a chunk": (
        "DELETE FROM chunk_recipients WHERE first = 500; UPDATE operation SET finished = 7 WHERE recipients = 1200",
        "a chunk or its recipients are lost",
    ),
    "a chunk of an operation": (
        "DELETE FROM chunk WHERE first = 500 AND size = 200",
        "its chunks hold 500 of 700 recipients: what is missing is lost",
    ),
    "a result part": (
        "DELETE FROM chunk_result WHERE part = 1 AND operation_id = (SELECT id FROM operation WHERE recipients = 4);"
        " UPDATE chunk SET sent = 1",
        "a part of its results is lost",
    ),
    "what is packed": (
        "UPDATE chunk_result SET packed = {junk} WHERE part = 2",
        "what became of its recipients cannot",
    ),
    "counters of a chunk that is being sent": (
        "UPDATE chunk SET sent = 5 WHERE state = 1",
        "it is being sent, and its worker writes its counters",
    ),
    "a chunk that is done of what is over": (
        "UPDATE chunk SET state = 0 WHERE size = 4",
        "it is COMPLETED, and a chunk of it is not done",
    ),
    "results of more recipients than there are": (
        "UPDATE chunk SET size = 3 WHERE size = 4; UPDATE operation SET recipients = 3 WHERE recipients = 4;"
        " UPDATE chunk SET sent = 1 WHERE sent = 2",
        "its results tell of 4 recipients, and it has 3",
    ),
}


async def test_many_things_are_put_right_at_once(database: Ward) -> None:
    """Each is told; counts of what waits come last, when nothing else changes them."""
    faults = (
        "a count of what waits",
        "counters of a chunk that is done",
        "fewer recipients than chunks hold",
        "an operation that has an end and is not over",
        "a registration without devices",
        "what the provider said to a credential that is gone",
    )
    for fault in faults:
        await database.spoil(CURABLE[fault][0])
    await database.spoil("DELETE FROM operation WHERE recipients = 2")
    made = await database.repair(await database.look())
    for line in [line for fault in faults for line in CURABLE[fault][1]]:
        assert [told for told in made.done if line in told] != [], (line, made)
    assert "1 chunks of no operation were removed, with 2 recipients who were not sent to" in made.done[0]
    assert " were counted as " in made.done[-1]
    assert made.refused == []
    assert (await database.look()).problems == []


@pytest.mark.parametrize("fault", BEYOND)
async def test_what_would_be_a_guess_is_left_as_it_is(embedded: Ward, fault: str) -> None:
    """It says why, and what to do; the problem stays."""
    database, (sql, reason) = embedded, BEYOND[fault]
    await database.spoil(sql.replace("{junk}", "x'07'"))
    found = await database.look()
    made = await database.repair(found)
    assert [line for line in made.refused if reason in line] != [], made
    left = await database.look()
    assert left.problems != []
    assert all(cure_of(problem) for problem in left.problems)


async def test_what_is_left_as_it_is_is_told_with_what_is_not(database: Ward) -> None:
    """What is lost keeps nothing else from being put right."""
    for fault in ("a result part", "a chunk of an operation"):
        await database.spoil(BEYOND[fault][0])
    await database.spoil(CURABLE["an operation that has an end and is not over"][0])
    made = await database.repair(await database.look())
    assert [line for line in made.done if "it is PROCESSING, and is not over" in line] != []
    for reason in (BEYOND["a result part"][1], BEYOND["a chunk of an operation"][1]):
        assert [line for line in made.refused if reason in line] != [], made
    assert len((await database.look()).problems) >= 2


async def test_rows_that_users_own_are_not_removed_for_a_reference(database: Ward) -> None:
    """A registration of a user who is not there stays, and its devices."""
    await database.spoil("DELETE FROM user" if database.kind == "sqlite" else "DELETE FROM app_user")
    found = await database.look()
    assert (await database.repair(found)).done == []
    left = await database.look()
    assert left.problems == found.problems
    assert await database.ask("SELECT count(*) FROM device") == [(3,)]
    assert "restore a backup" in cure_of(left.problems[0])


async def test_a_webhook_that_is_ahead_goes_on_with_what_comes_now(database: Ward) -> None:
    """Else it would be told nothing until the numbers have come to where it is."""
    await database.spoil(
        "INSERT INTO webhook (account_id, id, url, types, description, sealed, state, disabled_reason, event_cursor,"
        " result_cursor, result_offset, failures, held_until, skipped, last_error, created, updated)"
        " SELECT id, id, '', '[]', '', id, 'active', '', 1, 1152921504606846976, 3, 0, 0, 0, '', 1, 1 FROM account"
    )
    made = await database.repair(await database.look())
    assert "goes on with what comes now; it may have missed events" in made.done[0]
    ((events, results, offset),) = await database.ask("SELECT event_cursor, result_cursor, result_offset FROM webhook")
    assert events <= 1
    assert results < 1 << 60
    assert offset == 0
    assert (await database.look()).problems == []


async def test_many_stray_rows_go_in_slices(database: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are of each."""
    monkeypatch.setattr(repair, "SLICE", 2)
    monkeypatch.setattr(repair, "MOST_KEYS", 2)
    await database.spoil("DELETE FROM operation")
    made = await database.repair(await database.look())
    assert made.done[0].startswith("7 chunks of no operation were removed, with 1202 recipients")
    assert (await database.look()).problems == []
    for table in ("chunk", "chunk_recipients", "chunk_result", "chunk_user"):
        assert await database.ask(f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608 - our own names


async def test_a_running_service_is_not_in_the_way(database: Ward) -> None:
    """A repair beside an open store: what it accepts meanwhile is counted right."""
    await database.spoil("UPDATE queue_depth SET waiting = waiting + 7")
    found = await database.look()
    async with await database.store() as bench:
        made = await database.repair(found)
        assert (await bench.store.count_account(bench.account, bench.clock.ms)).waiting == 1202
        await bench.accept(recipients_of(3))
        assert (await bench.store.count_account(bench.account, bench.clock.ms)).waiting == 1205
    assert len(made.done) == 2
    assert (await database.look()).problems == []


async def test_progress_is_told(embedded: Ward) -> None:
    """A large database takes minutes."""
    database = embedded
    await database.spoil("DELETE FROM operation WHERE recipients = 4")
    await database.repair(await database.look())
    assert "removing what is astray: chunks" in database.heard
    assert database.heard[-1] == "counting what waits"


class TestSqlite:
    """What only a file can have."""

    @pytest.mark.parametrize(
        ("sql", "told"),
        [
            ("DELETE FROM reachable", "3 devices that can be sent to are found again"),
            ("UPDATE reachable SET token = x'00'", "3 devices that can be sent to are found again"),
            ("UPDATE reachable SET slot = slot + 7", "3 entries of what can be sent to were no such devices"),
        ],
    )
    async def test_devices_are_found_again(self, embedded: Ward, sql: str, told: str) -> None:
        """What sending finds them by is made from the devices."""
        database = embedded
        await database.spoil(sql)
        made = await database.repair(await database.look())
        assert [line for line in made.done if line.startswith(told)] != [], made
        assert (await database.look()).problems == []

    async def test_a_damaged_file_is_not_written_to(self, embedded: Ward) -> None:
        """Whatever else is wrong with it."""
        database = embedded
        await database.spoil("UPDATE queue_depth SET waiting = waiting + 7")
        raw = bytearray(database.file.read_bytes())
        raw[3 * 4096 : 3 * 4096 + 64] = b"\xff" * 64
        database.file.write_bytes(raw)
        found = await database.look()
        made = await database.repair(found)
        assert made.done == []
        assert "restore a backup" in made.refused[0]
        assert database.file.read_bytes() == bytes(raw)


class TestPostgres:
    """What only a server can have."""

    @pytest.fixture
    async def database(self, anyio_backend: str, tmp_path: Path) -> AsyncIterator[Ward]:
        async with ward("postgres", tmp_path) as made:
            yield made

    async def test_what_the_server_has_wrong_is_put_right(self, database: Ward) -> None:
        """Coming days without partitions, an index that is not valid, a reference that was never looked at."""
        today = int(time.time() * 1000) // DAY_MS
        for day in [suffix_of(today + ahead) for ahead in (2, 3)]:  # not both can hold what was sent
            if await database.ask(f"SELECT count(*) FROM chunk_{day}") == [(0,)]:  # noqa: S608 - our own names
                await database.spoil("DROP TABLE " + ", ".join(f"{table}_{day}" for table in TABLES))
        await database.spoil(
            "ALTER TABLE credential_answer DROP CONSTRAINT credential_answer_account_id_credential_id_fkey;"
            "ALTER TABLE credential_answer ADD CONSTRAINT credential_answer_account_id_credential_id_fkey"
            " FOREIGN KEY (account_id, credential_id) REFERENCES credential (account_id, id)"
            " ON DELETE CASCADE NOT VALID"
        )
        await database.spoil("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'operation_finished'::regclass")
        found = await database.look()
        found.beyond_repair = ""  # NOT VALID is other than what migrations make, too
        made = await database.repair(found)
        for expected in (
            "partitions were made for ",
            "the index operation_finished",
            "the reference credential_answer",
        ):
            assert [line for line in made.done if line.startswith(expected)] != [], made
        assert (await database.look()).problems == []

    async def test_a_schema_that_is_not_ours_is_left_alone(self, database: Ward) -> None:
        """What is missing there may be what a repair would go by."""
        await database.spoil("DROP INDEX chunk_held; UPDATE queue_depth SET waiting = waiting + 7")
        found = await database.look()
        made = await database.repair(found)
        assert made.done == []
        assert "the schema is not what this version of heliogram works on" in made.refused[0]
        assert (await database.look()).problems == found.problems

    async def test_one_repair_at_a_time(self, database: Ward) -> None:
        """Two would both add what is missing in a count."""
        link = await asyncpg.connect(database.url)
        await link.execute(f"SELECT pg_advisory_lock({LOCK}, {NUMBER})")
        found = await database.look()
        with pytest.raises(StoreUnavailable, match="another repair is at work"):
            await put_right(database.url, found, AT)
        await link.close()


def test_every_problem_has_a_cure() -> None:
    """Whatever is not named gets the one that always helps."""
    assert all(cure for _, cure in CURES)
    assert cure_of("something that nobody has thought of").startswith("restore a backup")
    ident = ids.encode(ids.OPERATION, bytes(16))
    assert "a chunk is lost" in cure_of(f"{ident}: its chunks hold 3 recipients, it says 4")
