"""`PostgresStore`: the parts put together, and how it is opened and closed."""

from __future__ import annotations

from ...domain.ids import IdFactory
from ...ports import Clock
from ..sqlite.accounts import Accounts, ensure_account
from ..sqlite.apps import Apps
from ..sqlite.audit import Audit
from ..sqlite.canceling import Canceling
from ..sqlite.credentials import Credentials
from ..sqlite.history import History
from ..sqlite.idempotency import Idempotency
from ..sqlite.keys import Keys
from ..sqlite.lanes import Lanes
from ..sqlite.operations import Operations
from ..sqlite.refused import RefusedTokens
from ..sqlite.registrations import Registrations
from ..sqlite.sessions import EndedSessions
from ..sqlite.standing import Standings
from ..sqlite.users import Users
from ..sqlite.webhook_sweep import WebhookSweep
from ..sqlite.webhook_work import WebhookTelling
from ..sqlite.webhooks import Webhooks
from .activity import SharedActivity
from .base import PostgresBase
from .bell import Bell
from .connecting import connect as connect_to
from .connecting import require_sessions
from .devices import Devices
from .errors import as_store_error, is_of_database, place_of
from .foresight import Foresight
from .jobs import Jobs
from .keeping import Keeping
from .link import Link
from .migrate import migrate, require_server
from .nodes import Nodes
from .numbering import go_on_numbering
from .office import KEEPALIVE
from .partitions import make_partitions
from .pool import Pool
from .references import NodeReferences
from .waking import Waking

POOL_SIZE = 16
"""Connections a node may have: enough to keep two cores of the server busy; `max_connections` bounds all nodes."""
ANSWER_SECONDS = 30.0
"""How long one statement may take until its connection is given up: a server that cannot be reached says nothing."""
_SETTINGS = {
    "application_name": "heliogram",
    "jit": "off",  # every statement is short
    "plan_cache_mode": "force_generic_plan",  # to plan a claim over all days takes longer than to make it
    # Plans are made while a table, or a day's partition, is as good as empty, and kept: what is quickest then reads all
    # of it later. Every statement has an index for what it asks.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",  # to read the first of many it reads all of them first
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "lock_timeout": "10s",
    **KEEPALIVE,
    "idle_in_transaction_session_timeout": "60s",  # a node that hangs must not keep rows locked for ever
}


class PostgresStore(
    Nodes,
    Waking,
    NodeReferences,
    Keeping,
    SharedActivity,
    Devices,
    Foresight,
    PostgresBase,
    Accounts,
    Keys,
    Audit,
    Apps,
    Credentials,
    Standings,
    Users,
    Registrations,
    History,
    RefusedTokens,
    Operations,
    Canceling,
    Idempotency,
    Webhooks,
    WebhookTelling,
    WebhookSweep,
    EndedSessions,
    Lanes,
):
    """`ports.Store` in a PostgreSQL database, which any number of nodes share."""

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        ids: IdFactory,
        clock: Clock,
        pool_size: int = POOL_SIZE,
        pauses: Clock | None = None,
    ) -> PostgresStore:
        """Connects to `postgresql://user:password@host/database` and brings its schema up to date.

        Raises `StoreError`: `UnsupportedDatabase`, `NotADatabase`, `SchemaTooNew`, `StoreReadOnly` or
        `StoreUnavailable`, each saying what to do. `pool_size` is how many connections this process keeps at most;
        `pauses` is the clock by which a transaction that others got in the way of waits before it is begun again
        (`clock` unless given).
        """
        place = place_of(url)

        async def connect() -> Link:
            return Link(await connect_to(url, _SETTINGS, answer_seconds=ANSWER_SECONDS))

        pool = Pool(connect, pool_size)
        jobs = Jobs(pool, place, pauses or clock)
        store = cls(place, jobs, ids, clock)
        store._connect = connect
        store._bell = Bell(jobs, connect, clock, place)
        try:
            account, now = ids.new(), int(clock.time() * 1000)
            await require_sessions(url, place)
            await _prepare(pool, place, now)
            await jobs.write(lambda connection: ensure_account(connection, account, now))
        except BaseException as error:
            await jobs.close()
            if isinstance(error, Exception) and is_of_database(error):
                raise as_store_error(error, place) from error
            raise
        return store

    async def close(self) -> None:
        """Finishes what was begun and closes. May be called more than once."""
        await self._bell.close()
        if self._ping_link is not None:
            await self._ping_link.close()
        await self._jobs.close()

    def __repr__(self) -> str:
        return f"PostgresStore({self._place!r}, {self._jobs!r}, {self._bell!r}, queue={self._doorkeeper!r})"


async def _prepare(pool: Pool, place: str, now: int) -> None:
    link = await pool.take()
    sound = False
    try:
        await require_server(link.connection, place)
        await migrate(link.connection, place)
        await make_partitions(link.connection, now)
        await go_on_numbering(link.connection)
        sound = True
    finally:
        pool.give(link, sound=sound)
