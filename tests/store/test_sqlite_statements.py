"""SQL files: how they are read, and that no statement reads more than it must."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from support.stores import opened

from heliogram.store.sqlite.migrate import migrations
from heliogram.store.sqlite.statements import Statements, load

FILES = (
    "apps",
    "canceling",
    "claims",
    "credentials",
    "depth",
    "events",
    "history",
    "idempotency",
    "keys",
    "operations",
    "registrations",
    "retention",
    "sessions",
    "standing",
    "users",
    "webhooks",
    "work",
)
FEW = {
    "account",
    "api_key",
    "other",
    "app",
    "credential",
    "credential_answer",
    "credential_trouble",
    "webhook",
    "a",
    "c",
    "w",
    "leaving",
    "queue_depth",
    "CONSTANT",
    "sqlite_sequence",
}
"""Tables with few rows an account (and the names they go by): reading all of them is fine."""


@pytest.fixture
async def connection(tmp_path: Path, anyio_backend: str) -> AsyncIterator[apsw.Connection]:
    """A plain connection to an empty database with the schema."""
    async with opened(tmp_path):
        made = apsw.Connection(str(tmp_path / "heliogram.db"))
        yield made
        made.close()


def statements(name: str) -> dict[str, str]:
    return {key: text for key, text in vars(load(name)).items() if key != "_source"}


def bindings(sql: str) -> dict[str, Any] | None:
    names = set(re.findall(r":([a-z_]+)", sql))
    return {name: apsw.carray((b"x",)) if name in ("users", "tokens", "names") else None for name in names} or None


def test_statements_are_read_by_name() -> None:
    """Each has a name and a description; the semicolon is not part of it."""
    read = Statements("-- name: one\n-- Says one.\nSELECT 1;\n\n-- name: two\n-- Says two.\nSELECT\n 2\n", "x.sql")
    assert (read.one, read.two) == ("SELECT 1", "SELECT\n 2")
    assert repr(read) == "Statements(x.sql, statements=2)"


@pytest.mark.parametrize(
    "text",
    ["", "SELECT 1;", "-- name: one\nSELECT 1;", "-- name: a\n-- A.\nSELECT 1;\n-- name: a\n-- A.\nSELECT 1;"],
)
def test_a_file_of_another_form_is_refused(text: str) -> None:
    """No statement without a name and a description, no name twice."""
    with pytest.raises(ValueError, match=r"x\.sql"):
        Statements(text, "x.sql")


def test_a_statement_that_is_not_there_is_named() -> None:
    """A slip of the pen says in which file."""
    with pytest.raises(AttributeError, match=r"sql/keys\.sql has no statement named nope"):
        _ = load("keys").nope


@pytest.mark.parametrize("name", [*FILES, "audit", "check", "idempotency"])
def test_every_statement_is_used_and_there(name: str) -> None:
    """No statement is left over, none is missing."""
    room = Path(load.__code__.co_filename).parent
    source = "".join(text for text in (path.read_text() for path in room.glob("*.py")) if f'load("{name}")' in text)
    assert {key for key in statements(name) if f"_sql.{key}" not in source} == set()


@pytest.mark.anyio
@pytest.mark.parametrize("name", FILES)
async def test_no_statement_reads_a_whole_table_or_account(connection: apsw.Connection, name: str) -> None:
    """Every search of a large table is by more than the account: SQLite would else read all an account has."""
    for key, sql in statements(name).items():
        if sql.startswith("INSERT"):
            continue
        plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
        for step in plan:
            table = step.split()[1] if step.startswith(("SCAN", "SEARCH")) else None
            if table is None or table in FEW or table.startswith("(subquery"):
                continue
            whole = step.endswith("(account_id=?)") or (step.startswith("SCAN") and "VIRTUAL" not in step)
            allowed = {
                "release_all": "chunk",
                "chunks_of_user_newest_first": "u",
                "last_looked_at": "u",
                "let_all_go": "chunk",
                "due_chunks": "c",
                "starting_chunks": "c",
                "due_flows": "turn",
                "starting_flows": "turn",
                "recount": "chunk",
                "lanes": "chunk",
                "stand": "webhook_batch",
                "next_due": "turn",
                "forget_most": "ended_session",
            }
            assert not whole or allowed.get(key) == table, f"{name}.{key}: {step}"


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "index"), [("due_chunks", "chunk_due"), ("starting_chunks", "chunk_starting")])
async def test_a_claim_follows_the_index(connection: apsw.Connection, name: str, index: str) -> None:
    """One shard and queue, in the order of `due`, without sorting the backlog."""
    sql = statements("claims")[name]
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    assert f"SEARCH chunk USING INDEX {index} (lane=? AND shard=? AND flow=? AND due<?)" in plan


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "index"), [("due_flows", "chunk_due"), ("starting_flows", "chunk_starting")])
async def test_queues_are_found_one_after_another(connection: apsw.Connection, name: str, index: str) -> None:
    """One look-up a queue, however much waits in it: nothing else of the index is walked."""
    sql = statements("claims")[name]
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    found = [step for step in plan if " chunk " in step]
    assert len(found) == 3
    assert all(f"USING INDEX {index} (lane=? AND shard=? AND flow" in step for step in found), plan


@pytest.mark.anyio
async def test_environments_of_tokens_are_read_from_the_index_alone(connection: apsw.Connection) -> None:
    """One page a token, not two: with millions of devices each is another page, and none is in a cache."""
    sql = load("registrations").token_environments
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    assert [step for step in plan if "USING" in step] == [
        "SEARCH d USING COVERING INDEX device_by_token (account_id=? AND token=? AND app_name=? AND provider=?)"
    ]


@pytest.mark.anyio
async def test_tokens_of_the_sandbox_are_found_among_themselves(connection: apsw.Connection) -> None:
    """No token of production is read, of which there may be millions."""
    sql = load("registrations").sandbox_tokens
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    assert [step for step in plan if "USING" in step] == [
        "SEARCH d USING COVERING INDEX device_sandbox (account_id=? AND token=? AND app_name=? AND provider=?)"
    ]


@pytest.mark.anyio
async def test_users_are_found_by_their_ids_alone(connection: apsw.Connection) -> None:
    """What else is known of them is not read."""
    sql = load("users").missing_users
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    assert [step for step in plan if "USING" in step] == [
        "SEARCH u USING COVERING INDEX user_present (account_id=? AND id=? AND deleted=?)"
    ]


@pytest.mark.anyio
async def test_quarantined_tokens_are_found_among_themselves(connection: apsw.Connection) -> None:
    """No device is read that is not quarantined."""
    sql = load("refused").refused
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    (step,) = [step for step in plan if "SEARCH d " in step]
    assert step.startswith("SEARCH d USING COVERING INDEX device_quarantined (account_id=? AND token=? AND app_name=?")


@pytest.mark.anyio
async def test_devices_of_users_are_found_in_one_place(connection: apsw.Connection) -> None:
    """One search a user, in the order in which they are given, and nothing to sort."""
    sql = load("registrations").devices_of_users
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    assert plan == [
        "SCAN w VIRTUAL TABLE INDEX 1:",
        "SEARCH r USING PRIMARY KEY (account_id=? AND app_name=? AND user_id=?)",
    ]


@pytest.mark.anyio
async def test_a_list_of_one_status_walks_its_index(connection: apsw.Connection) -> None:
    """Of a status that hardly any operation has, the others are not read."""
    sql = load("operations").list_operations_of_status
    plan = [str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
    assert plan == ["SEARCH operation USING INDEX operation_by_status (account_id=? AND status=? AND id>? AND id<?)"]


@pytest.mark.anyio
async def test_every_table_begins_with_the_account(connection: apsw.Connection) -> None:
    """Tenancy from the first migration: the account is the first column and begins every key.

    Events and result parts are counted through all accounts, and found by an index that begins with the account.
    """
    found = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    tables: list[Any] = connection.execute(found).fetchall()
    assert len(tables) == 25
    for name, sql in tables:
        if name == "account":
            continue
        assert sql.split("(", 1)[1].split()[0] == "account_id", name
        assert name in ("event", "chunk_result") or "PRIMARY KEY (account_id" in sql, name
        assert "STRICT" in sql, name


def test_migrations_are_numbered_without_a_gap() -> None:
    """From 1 on."""
    assert list(migrations()) == list(range(1, len(migrations()) + 1))
