"""Webhooks as their owners see them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from ...domain.accounts import AuditEvent
from ...domain.errors import Code, LimitReached
from ...domain.webhooks import MAX_WEBHOOKS, OF_NOTIFICATIONS, Webhook, WebhookState, wanted_types
from ...ports import Backlog, DeadLetter, Listed, WebhookChange, Window
from . import statements
from .audit import write_audit
from .base import Base, cut_window, page_of

_sql = statements.load("webhooks")


def open_webhook(row: Sequence[Any]) -> Webhook:
    """A webhook as it is read, its columns in the order of `get_webhook`."""
    account, ident, url, types, description, state, reason, created, updated, success, error, error_at, skipped = row
    return Webhook(
        account_id=account,
        id=ident,
        url=url,
        types=tuple(json.loads(types)),
        description=description,
        state=WebhookState(state),
        disabled_reason=reason,
        created=created,
        updated=updated,
        last_success=success,
        last_error=error,
        last_error_at=error_at,
        skipped=skipped,
    )


def one(connection: apsw.Connection, sql: str, values: dict[str, Any]) -> Any:
    """The one row of a statement, None when there is none."""
    return connection.execute(sql, values).fetchone()


def _create(connection: apsw.Connection, webhook: Webhook, sealed: bytes) -> None:
    account = webhook.account_id
    if one(connection, _sql.count_webhooks, {"account": account})[0] >= MAX_WEBHOOKS:
        message = f"an account has at most {MAX_WEBHOOKS} webhooks; delete one that is not needed"
        raise LimitReached(message, Code.TOO_MANY_WEBHOOKS)
    event, result = one(connection, _sql.heads, {})
    values = {
        "account": account,
        "webhook": webhook.id,
        "url": webhook.url,
        "types": json.dumps(webhook.types),
        "description": webhook.description,
        "sealed": sealed,
        "state": webhook.state.value,
        "event": event,
        "result": result,
        "created": webhook.created,
        "updated": webhook.updated,
    }
    connection.execute(_sql.insert_webhook, values)


def _update(connection: apsw.Connection, where: dict[str, Any], change: WebhookChange, at: int) -> bool:
    row = one(connection, _sql.get_webhook, where)
    if row is None:
        return False
    known = open_webhook(row)
    types, state = change.types or known.types, change.state or known.state
    values = {
        **where,
        "url": change.url or known.url,
        "types": json.dumps(types),
        "description": known.description if change.description is None else change.description,
        "state": state.value,
        "disabled_reason": known.disabled_reason if state is WebhookState.DISABLED else "",
        "at": at,
    }
    connection.execute(_sql.update_webhook, values)
    _skip(connection, where, known, types, state)
    if state is WebhookState.ACTIVE and (change.state is not None or change.url is not None):
        connection.execute(_sql.hold_no_more, where)
        connection.execute(_sql.all_due, {**where, "at": at})
    return True


def _skip(
    connection: apsw.Connection,
    where: dict[str, Any],
    known: Webhook,
    types: tuple[str, ...],
    state: WebhookState,
) -> None:
    """A webhook is not told what happened before it wanted it, nor what happened while it was disabled."""
    revived = known.state is WebhookState.DISABLED and state is not WebhookState.DISABLED
    event, result = one(connection, _sql.heads, {})
    if revived:
        connection.execute(_sql.skip_events, {**where, "event": event})
    if revived or (wanted_types(types) & OF_NOTIFICATIONS and not known.wanted & OF_NOTIFICATIONS):
        connection.execute(_sql.skip_results, {**where, "result": result})


def _redeliver(connection: apsw.Connection, where: dict[str, Any], batches: Sequence[bytes] | None) -> int:
    if batches is None:
        connection.execute(_sql.redeliver_all, where)
        return connection.changes()
    count = 0
    for batch in batches:
        connection.execute(_sql.redeliver_one, {**where, "batch": batch})
        count += connection.changes()
    return count


class Webhooks(Base):
    """The owners' half of `ports.WebhookStore`."""

    async def create_webhook(
        self, account: bytes, webhook: Webhook, sealed: bytes, *, audit: AuditEvent | None = None
    ) -> None:
        """Keeps a webhook with its secrets. Raises `LimitReached` at 10."""
        if webhook.account_id != account:
            raise ValueError("the webhook is another account's")

        def job(connection: apsw.Connection) -> None:
            _create(connection, webhook, sealed)
            write_audit(connection, account, audit)

        await self._write(job)

    async def get_webhook(self, account: bytes, webhook_id: bytes) -> Webhook | None:
        """A webhook."""
        where = {"account": account, "webhook": webhook_id}
        row = await self._read(lambda c: one(c, _sql.get_webhook, where))
        return None if row is None else open_webhook(row)

    async def list_webhooks(self, account: bytes, window: Window) -> Listed[Webhook]:
        """Webhooks, newest first."""
        values = {"account": account, **cut_window(window)}
        rows: list[Any] = await self._list(lambda c: c.execute(_sql.list_webhooks, values).fetchall())
        return page_of([open_webhook(row) for row in rows], window, lambda webhook: webhook.id)

    async def update_webhook(
        self, account: bytes, webhook_id: bytes, change: WebhookChange, at: int, *, audit: AuditEvent | None = None
    ) -> bool:
        """Changes a webhook; False when there is none."""
        where = {"account": account, "webhook": webhook_id}

        def job(connection: apsw.Connection) -> bool:
            changed = _update(connection, where, change, at)
            write_audit(connection, account, audit if changed else None)
            return changed

        return await self._write(job)

    async def delete_webhook(self, account: bytes, webhook_id: bytes, *, audit: AuditEvent | None = None) -> bool:
        """Removes a webhook with its batches; False when there is none."""
        where = {"account": account, "webhook": webhook_id}

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.delete_batches, where)
            connection.execute(_sql.delete_webhook, where)
            gone = connection.changes() > 0
            write_audit(connection, account, audit if gone else None)
            return gone

        return await self._write(job)

    async def webhook_secrets(self, account: bytes, webhook_id: bytes) -> bytes | None:
        """The sealed secrets of a webhook."""
        where = {"account": account, "webhook": webhook_id}
        row = await self._read(lambda c: one(c, _sql.get_secrets, where))
        return None if row is None else bytes(row[0])

    async def set_webhook_secrets(
        self, account: bytes, webhook_id: bytes, before: bytes, sealed: bytes, *, audit: AuditEvent | None = None
    ) -> bool:
        """Puts other sealed secrets in the place of those `before`; False when they are not those any more."""
        values = {"account": account, "webhook": webhook_id, "was": before, "sealed": sealed}

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.set_secrets, values)
            changed = connection.changes() > 0
            write_audit(connection, account, audit if changed else None)
            return changed

        return await self._write(job)

    async def begin_webhook_test(self, account: bytes, webhook_id: bytes, now: int, until: int) -> bool:
        """False while another is under way."""
        values = {"account": account, "webhook": webhook_id, "now": now, "until": until}

        def job(connection: apsw.Connection) -> bool:
            connection.execute(_sql.begin_test, values)
            return bool(connection.changes())

        return await self._write(job)

    async def end_webhook_test(self, account: bytes, webhook_id: bytes, until: int) -> None:
        """The test that was to be over then is over."""
        values = {"account": account, "webhook": webhook_id, "until": until}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.end_test, values)

        await self._write(job)

    async def webhook_backlog(self, account: bytes, webhook_id: bytes) -> Backlog:
        """What a webhook has not taken yet."""
        where = {"account": account, "webhook": webhook_id}
        rows: tuple[Any, Any, Any] = await self._read(
            lambda c: (
                one(c, _sql.count_waiting, where),
                one(c, _sql.count_kept, where),
                one(c, _sql.count_dead, where),
            )
        )
        waiting, kept, dead = rows
        events, parts, types, held_until = waiting or (0, 0, "[]", 0)
        reads = wanted_types(tuple(json.loads(types))) & OF_NOTIFICATIONS
        next_attempt = held_until or kept[1]
        return Backlog(
            waiting=events,
            waiting_parts=parts if reads else 0,
            retrying=kept[0],
            dead_letters=dead[0],
            next_attempt=next_attempt,
        )

    async def list_dead_letters(self, account: bytes, webhook_id: bytes, window: Window) -> Listed[DeadLetter]:
        """Batches that were given up, newest first."""
        cut = cut_window(window)
        values = {"account": account, "webhook": webhook_id, "before": cut["before"], "limit": cut["limit"]}
        rows: list[Any] = await self._list(lambda c: c.execute(_sql.list_dead, values).fetchall())
        letters = [
            DeadLetter(id=i, events=n, attempts=attempts, error=error, created=created, updated=updated, body=body)
            for i, n, attempts, error, created, updated, body in rows
        ]
        return page_of(letters, window, lambda letter: letter.id)

    async def redeliver(
        self,
        account: bytes,
        webhook_id: bytes,
        batches: Sequence[bytes] | None,
        at: int,
        *,
        audit: Callable[[int], AuditEvent] | None = None,
    ) -> int:
        """Makes dead letters due again (None: all) for another three days; tells how many there were."""
        where = {"account": account, "webhook": webhook_id, "at": at}

        def job(connection: apsw.Connection) -> int:
            count = _redeliver(connection, where, batches)
            write_audit(connection, account, None if audit is None else audit(count))
            return count

        return await self._write(job)
