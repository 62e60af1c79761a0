"""Events are written down in the job that makes them happen, and only for who wants them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from heliogram.domain.webhooks import EventType
from heliogram.store.sqlite.events import emit, emit_operation, wants
from heliogram.store.sqlite.migrate import migrate

ACCOUNT = b"a" * 16
OTHER = b"b" * 16
AT = 1_800_000_000_000
OPERATION = b"\x01" * 16


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    path = tmp_path / "x.db"
    path.touch()
    connection = apsw.Connection(str(path))
    migrate(connection, path)
    for account in (ACCOUNT, OTHER):
        connection.execute("INSERT INTO account (id, name, created) VALUES (?, ?, 0)", (account, account.decode()))
    yield connection
    connection.close()


def subscribe(connection: apsw.Connection, *types: str, state: str = "active", ident: bytes = b"w" * 16) -> None:
    connection.execute(
        "INSERT INTO webhook"
        " VALUES (?, ?, 'https://x', ?, '', x'', ?, '', 0, 0, 0, 0, 0, 0, NULL, '', NULL, 0, 0, NULL)",
        (ACCOUNT, ident, json.dumps(types), state),
    )


def events(connection: apsw.Connection) -> list[Any]:
    return connection.execute("SELECT account_id, type, at, data FROM event ORDER BY sequence").fetchall()


def test_an_event_is_written_for_a_webhook_that_wants_it(connection: apsw.Connection) -> None:
    """With its type, its time and its data."""
    subscribe(connection, "device.*")
    assert emit(connection, ACCOUNT, EventType.DEVICE_REMOVED, AT, {"token": "ab"})
    assert events(connection) == [(ACCOUNT, "com.heliogram.device.removed", AT, '{"token":"ab"}')]


def test_without_a_webhook_nothing_is_written(connection: apsw.Connection) -> None:
    """Nor is the data made; another account's webhook does not count."""
    subscribe(connection, "*")

    def never() -> dict[str, Any]:
        raise AssertionError("made for nobody")

    assert not emit(connection, OTHER, EventType.DEVICE_REMOVED, AT, never)
    assert events(connection) == []


@pytest.mark.parametrize(
    ("types", "state", "wanted"),
    [
        (["*"], "active", True),
        (["*"], "paused", True),
        (["*"], "disabled", False),
        (["operation.*"], "active", False),
        (["credential.*"], "active", True),
        (["com.heliogram.credential.failing"], "active", True),
        (["com.heliogram.credential.expiring"], "active", False),
    ],
)
def test_types_and_state_decide(connection: apsw.Connection, types: list[str], state: str, wanted: bool) -> None:
    """A disabled webhook wants nothing, a paused one keeps its place."""
    subscribe(connection, *types, state=state)
    assert wants(connection, ACCOUNT, EventType.CREDENTIAL_FAILING) is wanted


def test_an_operation_is_told_as_it_stands(connection: apsw.Connection) -> None:
    """Twilio's `operation_id`, and beside it the counters."""
    subscribe(connection, "com.twilio.comms-api.operation.completed")
    connection.execute(
        "INSERT INTO operation (account_id, id, app_name, spec, lane, recipients, status, created, updated, tags)"
        " VALUES (?, ?, 'shop', x'', 0, 5, 'PROCESSING', 0, 0, '{\"a\":\"b\"}')",
        (ACCOUNT, OPERATION),
    )
    connection.execute(
        "INSERT INTO chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, parts,"
        " sent, failed, unaddressable, canceled, updated) VALUES (?, ?, 0, 5, 0, 0, 0, 0, 0, '', 0, 2, 1, 1, 0, 0)",
        (ACCOUNT, OPERATION),
    )
    assert emit_operation(connection, ACCOUNT, EventType.OPERATION_COMPLETED, OPERATION, AT)
    data = json.loads(events(connection)[0][3])
    assert data["operation_id"].startswith("comms_operation_")
    assert (data["appName"], data["status"], data["tags"]) == ("shop", "PROCESSING", {"a": "b"})
    assert data["stats"] == {
        "total": 5,
        "recipients": 5,
        "unaddressable": 1,
        "scheduled": 0,
        "queued": 1,
        "sent": 2,
        "failed": 1,
        "canceled": 0,
    }


def test_an_event_ends_with_its_transaction(connection: apsw.Connection) -> None:
    """What did not happen is not told."""
    subscribe(connection, "*")
    connection.execute("BEGIN")
    emit(connection, ACCOUNT, EventType.DEVICE_REMOVED, AT, {})
    connection.execute("ROLLBACK")
    assert events(connection) == []
