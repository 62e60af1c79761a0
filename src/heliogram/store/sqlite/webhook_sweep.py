"""Keeping what waits for webhooks within its bounds."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import apsw

from ...domain.webhooks import DEAD_MS, KEPT_MS, MAX_EVENTS, WebhookState, wanted_types
from ...measures import WebhookStand
from . import statements
from .base import Base
from .webhook_work import bound_dead, drop

_sql = statements.load("webhooks")

MOST = 2_000
"""Events of an account that one sweep removes: no write waits long for it."""


class _Reader(NamedTuple):
    """A webhook that is still to be told events."""

    webhook: bytes
    types: tuple[str, ...]
    place: int


def _sweep(connection: apsw.Connection, now: int) -> int:
    rows: list[Any] = connection.execute(_sql.all_places).fetchall()
    readers: dict[bytes, list[_Reader]] = {}
    for account, webhook, state, types, place in rows:
        if state != WebhookState.DISABLED:
            readers.setdefault(account, []).append(_Reader(webhook, tuple(json.loads(types)), place))
        _sweep_batches(connection, {"account": account, "webhook": webhook}, now)
    accounts: list[Any] = connection.execute(_sql.accounts_with_events).fetchall()
    return sum(_sweep_events(connection, account, readers.get(account, []), now) for (account,) in accounts)


def _sweep_batches(connection: apsw.Connection, where: dict[str, Any], now: int) -> None:
    connection.execute(_sql.dead_by_age, {**where, "now": now, "before": now - KEPT_MS})
    bound_dead(connection, where)
    old: list[Any] = connection.execute(_sql.old_dead, {**where, "before": now - DEAD_MS}).fetchall()
    drop(connection, where, old)


def _sweep_events(connection: apsw.Connection, account: bytes, readers: list[_Reader], now: int) -> int:
    """Removes what all readers were told of, and what is past the bounds; the latter is counted for each that wanted
    it."""
    last = _get(connection, _sql.last_event, {"account": account, "after": 0}) or 0
    told = min((reader.place for reader in readers), default=last)
    fresh = _get(connection, _sql.first_fresh, {"account": account, "since": now - KEPT_MS})
    beyond = _get(connection, _sql.last_beyond, {"account": account, "most": MAX_EVENTS}) or 0
    bound = max(last if fresh is None else fresh - 1, beyond)
    to = _get(connection, _sql.slice_end, {"account": account, "to": max(told, bound), "most": MOST}) or 0
    bound = min(bound, to)
    for reader in readers:
        if reader.place < bound:
            _count_skipped(connection, account, reader, bound)
    connection.execute(_sql.delete_events, {"account": account, "to": to})
    return connection.changes()


def _count_skipped(connection: apsw.Connection, account: bytes, reader: _Reader, to: int) -> None:
    values = {"account": account, "after": reader.place, "to": to}
    counts: list[Any] = connection.execute(_sql.types_between, values).fetchall()
    wanted = {each.value for each in wanted_types(reader.types)}
    skipped = sum(count for type_, count in counts if type_ in wanted)
    if skipped:
        connection.execute(_sql.count_skipped, {"account": account, "webhook": reader.webhook, "skipped": skipped})


def _get(connection: apsw.Connection, sql: str, values: dict[str, Any]) -> int | None:
    found: Any = connection.execute(sql, values).get
    return None if found is None else int(found)


class WebhookSweep(Base):
    """The bounds of `ports.WebhookStore`."""

    async def webhook_stand(self) -> WebhookStand:
        """Batches that were not taken, of all webhooks."""
        row: Any = await self._list(lambda c: c.execute(_sql.stand, {}).fetchone())
        retrying, dead, oldest, disabled = row
        return WebhookStand(retrying=retrying, dead=dead, oldest=oldest, disabled=disabled)

    async def sweep_webhooks(self, now: int) -> int:
        """Keeps the backlogs within their bounds, a slice at a time; tells how many events went: call it again while
        there were any."""
        return await self._write(lambda c: _sweep(c, now))
