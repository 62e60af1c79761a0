"""Fills a PostgreSQL database with many rows of everything, as if by years of use, and knows values that find some."""

from __future__ import annotations

from typing import Any

import asyncpg
from support.clock import START

NOW = int(START * 1000)
ACCOUNT, CREDENTIAL, USER, REGISTRATION, DEVICE, OPERATION, WEBHOOK, BATCH, KEY, OTHER = range(1, 11)
ACCOUNTS = 50
"""So many accounts there are."""
_APP = "(ARRAY['shop', 'news', 'game'])[n % 3 + 1]"


def ident(kind: int, n: int) -> bytes:
    """The id of the nth row of a kind; the times of all are of one day, and go up."""
    return (NOW + n).to_bytes(6, "big") + kind.to_bytes(2, "big") + n.to_bytes(8, "big")


def token(n: int) -> bytes:
    """The nth device's token."""
    return ident(DEVICE, n) * 2


def _id(kind: int, n: str = "n") -> str:
    return (
        f"decode(lpad(to_hex({NOW} + ({n})::bigint), 12, '0') || '{kind:04x}'"
        f" || lpad(to_hex(({n})::bigint), 16, '0'), 'hex')"
    )


_PER_ACCOUNT = {
    "account (id, name, created)": f"{_id(ACCOUNT)}, 'a' || n, {NOW} + n",
    "activity_wanted (account_id, until, turn)": f"{_id(ACCOUNT)}, {NOW}, 0",
    "webhook (account_id, id, url, types, description, sealed, state, disabled_reason, event_cursor, result_cursor,"
    " result_offset, failures, held_until, skipped, last_error, created, updated)": f"""{_id(ACCOUNT)},
        {_id(WEBHOOK)}, 'https://example.com', '["notification.sent"]', '', 'sealed', 'active', '', 0, 0, 0, 0, 0, 0,
        '', {NOW}, {NOW}""",
}
_PER_APP = {
    "app (account_id, name, is_default, created, updated)": f"a, {_APP}, (n % 3 = 0)::int, {NOW}, {NOW}",
    "credential (account_id, id, app_name, type, form, public, sealed, is_default, created, updated)": f"""a,
        {_id(CREDENTIAL)}, {_APP}, 'APN', 'TOKEN', '{{}}', 'sealed', 1, {NOW}, {NOW}""",
    "api_key (account_id, id, name, hash, scopes, created)": f"a, {_id(KEY)}, 'k', 'hash', 'admin', {NOW}",
}
_ROWS = {
    "app_user (account_id, id, created, updated, deleted, external_id)": f"""a, {_id(USER)}, {NOW} + n, {NOW} + n,
        CASE WHEN n % 100 = 99 THEN {NOW} + n END, 'u' || n""",
    "registration (account_id, id, app_name, user_id, free_slots, created, updated)": f"""a, {_id(REGISTRATION)},
        'shop', {_id(USER)}, '\\x02', {NOW}, {NOW}""",
    "device (account_id, registration_id, slot, app_name, user_id, provider, environment, kind, token, state,"
    " registered_at, created, installation_id)": f"""a, {_id(REGISTRATION)}, 1, 'shop', {_id(USER)}, 'APN',
        'production', 'device', {_id(DEVICE)} || {_id(DEVICE)},
        CASE WHEN n % 100 = 7 THEN 'quarantined' ELSE 'active' END, {NOW}, {NOW}, 'i' || n""",
    "refused_token (account_id, app_name, token, kind, environment, reason, credential_id, at)": f"""a, 'shop',
        {_id(OTHER)} || {_id(OTHER)}, 'device', 'production', 'Unregistered', {_id(CREDENTIAL)}, {NOW} + n""",
    "idempotency (account_id, key, fingerprint, ident, created, held, status, headers, sealed)": f"""a, 'k' || n,
        {_id(OTHER)}, {_id(OTHER)}, {NOW} + n, {NOW}, CASE WHEN n % 1000 <> 3 THEN 200 END, '{{}}',
        repeat('x', 200)::bytea""",
    "operation (account_id, id, app_name, spec, lane, recipients, status, created, updated, finished, tags)": f"""a,
        {_id(OPERATION)}, 'shop', repeat('s', 200)::bytea, 0, 1,
        CASE WHEN n % 10 = 5 THEN 'PROCESSING' WHEN n % 1000 = 7 THEN 'SCHEDULED' ELSE 'COMPLETED' END,
        {NOW} + n, {NOW} + n, CASE WHEN n % 10 <> 5 AND n % 1000 <> 7 THEN {NOW} + n END, '{{}}'""",
    "chunk (account_id, operation_id, first, size, lane, shard, state, due, attempt, worker, claimed, parts, sent,"
    " failed, unaddressable, canceled, updated, held, flow, starts)": f"""a, {_id(OPERATION)}, 0, 1, 0, 0,
        CASE WHEN n % 1000 = 15 THEN 1 WHEN n % 10 = 5 OR n % 1000 = 7 THEN 0 ELSE 2 END,
        {NOW} + n, 1, CASE WHEN n % 1000 = 15 THEN 'w' ELSE '' END, {NOW}, 1, 1, 0, 0, 0, {NOW},
        CASE WHEN n % 1000 = 25 THEN {_id(CREDENTIAL, "0")} END, a || 'shop'::bytea, (n % 1000 = 7)::int""",
    "chunk_recipients (account_id, operation_id, first, packed)": f"a, {_id(OPERATION)}, 0, repeat('p', 100)::bytea",
    "chunk_user (account_id, operation_id, first, fingerprints)": f"a, {_id(OPERATION)}, 0, 'four'",
    "chunk_result (account_id, sequence, operation_id, first, part, attempt, packed)": f"""a, n, {_id(OPERATION)}, 0, 1,
        1, repeat('r', 100)::bytea""",
    "event (account_id, sequence, id, type, at, data)": f"a, n, {_id(OTHER)}, 'operation.completed', {NOW} + n, '{{}}'",
    "webhook_batch (account_id, webhook_id, id, body, events, attempts, due, error, created, updated)": f"""a,
        {_id(WEBHOOK, "number")}, {_id(BATCH)}, 'body', 1, 1, CASE WHEN n % 2 = 0 THEN {NOW} + n END, '', {NOW} + n,
        {NOW} + n""",
    "device_history (account_id, app_name, user_id, slot, id, event, token, digest, provider, kind,"
    " environment)": f"""a,
        'shop', {_id(USER)}, 1, {_id(OTHER)}, 'REGISTERED', 'to…en', {_id(DEVICE)}, 'APN', 'device', 'production'""",
    "audit (account_id, id, at, actor, action, subject, detail)": f"a, {_id(OTHER)}, {NOW}, 'cli', 'x', 'y', '{{}}'",
    "ended_session (account_id, id, expires)": f"a, 's' || n, {NOW} + n",
    "activity_told (account_id, turn, node, number, name, at, last, outcomes, body)": f"""a, n, {_id(OTHER, "1")}, n,
        'node', {NOW} + n, n, 1, 'body'""",
    "leaving (account_id, operation_id)": f"a, {_id(OTHER)}",
    "credential_answer (account_id, credential_id, answered, status, reason)": f"a, {_id(CREDENTIAL)}, 0, 200, ''",
    "credential_trouble (account_id, credential_id, node, reason, since, probe_at, seen)": f"""a, {_id(CREDENTIAL)},
        {_id(OTHER, "1")}, '', 0, 0, 0""",
}


async def _insert(connection: asyncpg.Connection, rows: dict[str, str], since: int, until: int, whose: str) -> None:
    for table, columns in rows.items():
        await connection.execute(
            f"INSERT INTO {table} SELECT {columns}"  # noqa: S608 - our own texts
            f" FROM generate_series({since}, {until - 1}) n, LATERAL (SELECT {whose} AS number) t,"
            f" LATERAL (SELECT {_id(ACCOUNT, 'number')} AS a) b ON CONFLICT DO NOTHING"
        )


async def fill(connection: asyncpg.Connection, since: int, until: int, *, even: bool = True) -> None:
    """Adds the rows from one number to below another to every large table; with 0 also the accounts and what is theirs.

    `even` spreads them over the accounts; else 49 of 50 are the first one's. The connection forgets its plans; the
    server's count of rows is right afterwards."""
    whose = f"n % {ACCOUNTS}" if even else f"CASE WHEN n % 50 = 49 THEN 1 + n / 50 % {ACCOUNTS - 1} ELSE 0 END"
    async with connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # neither triggers nor references
        if not since:
            await _insert(connection, _PER_ACCOUNT, 0, ACCOUNTS, "n")
            await _insert(connection, _PER_APP, 0, ACCOUNTS * 3, "n / 3")
            await connection.execute(
                "INSERT INTO queue_depth SELECT id, slot, 0, 0 FROM (SELECT id FROM account UNION SELECT '') a,"
                " generate_series(0, 15) slot ON CONFLICT DO NOTHING"
            )
        await _insert(connection, _ROWS, since, until, whose)
    await connection.execute("SELECT pg_stat_force_next_flush()")


def values_at(n: int, *, even: bool = True) -> dict[str, Any]:
    """What statements may be asked with that find the nth rows; a chunk is leased for n = 15, 1015, …"""
    number = n % ACCOUNTS if even else 0
    account, operation = ident(ACCOUNT, number), ident(OPERATION, n)
    at = NOW + n
    return {
        "account": account,
        "app": "shop",
        "operation": operation,
        "operations": [operation],
        "accounts": [account],
        "firsts": [0],
        "attempts": [1],
        "first": 0,
        "attempt": 1,
        "flow": account + b"shop",
        "lane": 0,
        "shard": 0,
        "worker": "w",
        "road": "w",
        "limit": 4,
        "looks": 4,
        "most": 4,
        "now": at,
        "at": at,
        "since": 0,
        "until": at + 60_000,
        "due": at,
        "held": None,
        "parts": 9,
        "part": 2,
        "sequence": 0,
        "sent": 1,
        "failed": 0,
        "unaddressable": 0,
        "packed": b"packed",
        "part_at": at,
        "user": ident(USER, n),
        "users": [ident(USER, n), ident(USER, n + ACCOUNTS)],
        "names": [f"u{n}", f"u{n + ACCOUNTS}"],
        "external": f"u{n}",
        "registration": ident(REGISTRATION, n),
        "slot": 1,
        "token": token(n),
        "text": b"text",
        "tokens": [token(n), token(n + ACCOUNTS)],
        "installation": f"i{n}",
        "activity": None,
        "provider": "APN",
        "environment": "production",
        "kind": "device",
        "learned": 0,
        "app_version": None,
        "locale": None,
        "time_zone": None,
        "reason": "Unregistered",
        "credential": ident(CREDENTIAL, 0),
        "digest": ident(DEVICE, n),
        "other": b"other",
        "key": f"k{n}",
        "ident": ident(OTHER, n),
        "webhook": ident(WEBHOOK, number),
        "batch": ident(BATCH, n),
        "error": "",
        "low": bytes(16),
        "high": operation,
        "before": b"\xff" * 16,
        "status": "COMPLETED",
        "fingerprint": b"four",
        "wanted": f'[["{account.hex()}", "{operation.hex()}"]]',
        "id": ident(KEY, 0),
    }
