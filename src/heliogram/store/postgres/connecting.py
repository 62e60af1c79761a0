"""Connecting, directly or by way of a pooler such as PgBouncer.

A pooler that lends a server's connection for a session is as good as none: it only has to be told our settings
afterwards, since it takes few at the start. One that lends it for a transaction is refused: what is ours alone then is
lost between two of them: LISTEN, the advisory lock of an office, prepared statements and settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from ..errors import UnsupportedDatabase
from .errors import wrong_url

CONNECT_SECONDS = 10.0
LOOKS = 4
"""How often each of two connections is asked which process of the server answers it."""
_AT_THE_START = ("application_name", "client_encoding", "timezone")
"""What every pooler takes."""
_MIXED_UP = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""What a server says of statements that another connection prepared."""


async def connect(url: str, settings: Mapping[str, str], *, answer_seconds: float | None = None) -> asyncpg.Connection:
    """A connection with these settings. Raises `StoreError` for a URL that is none, else what asyncpg raises."""
    connection = await _opened(url, settings, answer_seconds)
    try:
        if await is_pooled(connection):
            await connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in settings.items()))
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _opened(url: str, settings: Mapping[str, str], answer_seconds: float | None) -> asyncpg.Connection:
    options: dict[str, Any] = {"timeout": CONNECT_SECONDS, "command_timeout": answer_seconds}
    options["max_cached_statement_lifetime"] = 0
    try:
        try:
            return await asyncpg.connect(url, server_settings=dict(settings), **options)
        except asyncpg.ProtocolViolationError as error:
            if "startup parameter" not in str(error):
                raise
            few = {name: settings[name] for name in _AT_THE_START if name in settings}
            return await asyncpg.connect(url, server_settings=few, **options)
    except ValueError:
        raise wrong_url() from None


async def is_pooled(connection: asyncpg.Connection) -> bool:
    """Whether another process answers than the one that was said to when the connection was made."""
    return bool(connection.get_server_pid() != await connection.fetchval("SELECT pg_backend_pid()"))


async def require_sessions(url: str, place: str) -> bool:
    """Whether a pooler stands before the server. Raises `UnsupportedDatabase` for one that gives a transaction any
    connection, `StoreError` for a URL that is none, and what asyncpg raises."""
    named = {"application_name": "heliogram"}
    one = await _opened(url, named, CONNECT_SECONDS)
    try:
        if not await is_pooled(one):
            return False
        other = await _opened(url, named, CONNECT_SECONDS)
        try:
            shared = await _share(one, other)
        finally:
            other.terminate()
    except _MIXED_UP:
        shared = True
    finally:
        one.terminate()
    if shared:
        raise UnsupportedDatabase(
            f"{place} is reached through a pooler that lends connections for a transaction, and heliogram needs them"
            " for as long as it is connected (LISTEN, advisory locks, prepared statements): set pool_mode=session for"
            " this database in the pooler, or let --store name the server itself"
        )
    return True


async def _share(one: asyncpg.Connection, other: asyncpg.Connection) -> bool:
    """Whether two connections have a process of the server in common, or one of them has several."""
    seen: tuple[set[int], set[int]] = set(), set()
    for _ in range(LOOKS):
        for connection, pids in zip((one, other), seen, strict=True):
            pids.add(int(await connection.fetchval("SELECT pg_backend_pid()")))
    return any(len(pids) > 1 for pids in seen) or not seen[0].isdisjoint(seen[1])
