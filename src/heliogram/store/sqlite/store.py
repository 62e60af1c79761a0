"""`SqliteStore`: the parts put together, and how it is opened and closed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import apsw

from ...domain.ids import IdFactory
from ...ports import Clock
from .accounts import Accounts, ensure_account
from .ahead import LookAhead, ReadAhead
from .apps import Apps
from .audit import Audit
from .canceling import Canceling
from .connection import BUSY_TIMEOUT_MS, connect, connect_reader, create_file, explained, require_sqlite
from .credentials import Credentials
from .history import History
from .idempotency import Idempotency
from .keys import Keys
from .lanes import Lanes
from .migrate import migrate
from .operations import Operations
from .references import References
from .refused import RefusedTokens
from .registrations import Registrations
from .retention import Retention
from .sessions import EndedSessions
from .standing import Standings
from .threads import reader, writer
from .users import Users
from .webhook_sweep import WebhookSweep
from .webhook_work import WebhookTelling
from .webhooks import Webhooks


class SqliteStore(
    Accounts,
    Keys,
    Audit,
    Apps,
    Credentials,
    Standings,
    LookAhead,
    Users,
    Registrations,
    History,
    RefusedTokens,
    Operations,
    Canceling,
    Idempotency,
    References,
    Webhooks,
    WebhookTelling,
    WebhookSweep,
    Retention,
    EndedSessions,
    Lanes,
):
    """`ports.Store` in one SQLite file, which several processes may open at once."""

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        ids: IdFactory,
        clock: Clock,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        in_use: Callable[[], bool] = lambda: False,
    ) -> SqliteStore:
        """Opens the file, or makes it (mode 0600, in a directory that is there), and brings its schema up to date.

        Raises `StoreError`: `UnsupportedDatabase`, `NotADatabase`, `SchemaTooNew`, `UpgradeRefused` or
        `StoreUnavailable`, each saying what to do. `busy_timeout_ms` is how long to wait while another process writes,
        `in_use` whether a service has the file, which is asked before the schema of an earlier version is changed.
        """
        require_sqlite(apsw.sqlite_lib_version())
        file = Path(path)
        account, now = ids.new(), int(clock.time() * 1000)
        connections = await asyncio.to_thread(_connections, file, account, now, busy_timeout_ms, in_use)
        write, read, lists = connections
        ahead = ReadAhead(clock)
        with explained(file, write):
            ahead.watch(write)
        writes = writer(file, write, committed=ahead.committed)
        store = cls(
            file, (writes, reader("reader", file, read, gather=True), reader("lister", file, lists)), ids, clock
        )
        store._ahead = ahead
        return store

    @classmethod
    async def open_to_read(cls, path: str | os.PathLike[str], *, ids: IdFactory, clock: Clock) -> SqliteStore:
        """Opens a file that another process of this version keeps, on one connection that cannot write: whatever would
        raises `StoreReadOnly`. Raises `StoreError` for a file that cannot be read."""
        require_sqlite(apsw.sqlite_lib_version())
        file = Path(path)
        connection = await asyncio.to_thread(connect_reader, file, busy_timeout_ms=BUSY_TIMEOUT_MS)
        thread = reader("reader", file, connection)
        return cls(file, (thread, thread, thread), ids, clock)

    async def close(self) -> None:
        """Finishes what was begun and closes. May be called more than once."""
        await self._reader.close()
        await self._lister.close()
        await self._writer.close()

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._path)!r}, writer={self._writer!r}, queue={self._doorkeeper!r})"


def _connections(
    path: Path, account: bytes, now: int, busy_timeout_ms: int, in_use: Callable[[], bool]
) -> list[apsw.Connection]:
    """The writer's connection and two readers', the schema being there."""
    create_file(path)
    opened = [connect(path, busy_timeout_ms=busy_timeout_ms)]
    try:
        migrate(opened[0], path, in_use=in_use)
        with explained(path, opened[0]):
            ensure_account(opened[0], account, now)
        opened += [connect_reader(path, busy_timeout_ms=busy_timeout_ms) for _ in range(2)]
    except BaseException:
        for connection in opened:
            connection.close()
        raise
    return opened
