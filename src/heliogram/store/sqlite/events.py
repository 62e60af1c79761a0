"""What happened, written down for webhooks: called inside the job that makes it happen, so that both are committed
or neither is.

Without a webhook that wants the event this is one look into an index, and nothing is written.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import apsw
import msgspec

from ...domain import ids
from ...domain.webhooks import EventType, wanted_types
from . import statements

_sql = statements.load("events")
_encode = msgspec.json.Encoder().encode

Data = Mapping[str, Any]


def emit(
    connection: apsw.Connection,
    account: bytes,
    type: EventType,  # noqa: A002 - the name CloudEvents gives it
    at: int,
    data: Data | Callable[[], Data],
) -> bool:
    """Writes an event down if a webhook of the account wants it; tells whether.

    `at` is in ms. `data` is plain JSON with ids as the API writes them, or a function that makes it: called only when
    the event is written. What it is about is named by `operation_id`, `registrationId` or `credentialId`.
    """
    if not wants(connection, account, type):
        return False
    content = data() if callable(data) else data
    ident = ids.make(at, secrets.randbits(12), secrets.randbits(42))
    connection.execute(_sql.insert_event, (account, ident, type.value, at, _encode(content).decode()))
    return True


def wants(connection: apsw.Connection, account: bytes, type: EventType) -> bool:  # noqa: A002
    """Whether a webhook of the account, active or paused, is subscribed to this type."""
    return any(type in wanted_types(tuple(json.loads(types))) for (types,) in _types(connection, account))


def _types(connection: apsw.Connection, account: bytes) -> Any:
    return connection.execute(_sql.subscribed, {"account": account})


def emit_operation(
    connection: apsw.Connection,
    account: bytes,
    type: EventType,  # noqa: A002
    operation: bytes,
    at: int,
) -> bool:
    """Writes an operation's event down, with how it stands in this transaction, if a webhook wants it."""
    return emit(connection, account, type, at, lambda: _operation(connection, account, operation))


def _operation(connection: apsw.Connection, account: bytes, operation: bytes) -> Data:
    where = {"account": account, "operation": operation}
    row: Any = connection.execute(_sql.operation_now, where).fetchone()
    data: dict[str, Any] = {"operation_id": ids.encode(ids.OPERATION, operation)}
    if row is None:
        return data
    app_name, status, recipients, send_at, tags, sent, failed, unaddressable, canceled = row
    waiting = recipients - sent - failed - unaddressable - canceled
    scheduled = status == "SCHEDULED"
    data.update(
        appName=app_name,
        status=status,
        stats={
            "total": recipients,
            "recipients": recipients,
            "unaddressable": unaddressable,
            "scheduled": waiting if scheduled else 0,
            "queued": 0 if scheduled else waiting,
            "sent": sent,
            "failed": failed,
            "canceled": canceled,
        },
    )
    if send_at is not None:
        data["sendAt"] = send_at
    if tags is not None:
        data["tags"] = json.loads(tags)
    return data
