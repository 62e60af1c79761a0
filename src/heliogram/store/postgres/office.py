"""What one node of all has at a time, by PostgreSQL's advisory locks: the server itself ends the time in office of a
node that is gone, and nothing of ours has to agree on anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from ...ports import Clock
from .errors import as_store_error, is_of_database
from .migrate import LOCK

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
"""How often whoever has it looks whether the server still says so."""
ANSWER_SECONDS = 4.0
"""What the server gets for its answer. Together they are less than what the server takes to give a node up that it
hears no more of (`KEEPALIVE`, 11 s): the old one stops before the new one begins."""
KEEPALIVE = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "11000",  # keepalives are not sent while an answer is unacknowledged, which may last 15 min
}
"""Settings of the connection: see `ANSWER_SECONDS`."""

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class PostgresTerm:
    """A time in office: as long as its connection."""

    def __init__(self, connection: asyncpg.Connection, clock: Clock) -> None:
        self._connection, self._clock = connection, clock
        self._timer = clock.call_later(LOOK_SECONDS, self._due)
        self._looking: asyncio.Task[None] | None = None
        self._ended = False
        self.lost = asyncio.Event()
        connection.add_termination_listener(self._gone)

    def __repr__(self) -> str:
        return f"PostgresTerm(lost={self.lost.is_set()}, ended={self._ended})"

    async def end(self) -> None:
        """Gives it back: the connection is closed, and with it the lock is free."""
        self._ended = True
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await close_quietly(self._connection)

    def _gone(self, _: object) -> None:
        if not self._ended:
            self.lost.set()

    def _due(self) -> None:
        if not self._ended:
            self._looking = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        try:
            await self._connection.fetchval("SELECT 1", timeout=ANSWER_SECONDS)
        except Exception as error:
            if not self._ended:
                log.warning("office.lost", error=str(error) or type(error).__name__)
                self.lost.set()
                self._connection.terminate()
        else:
            self._timer = self._clock.call_later(LOOK_SECONDS, self._due)


class PostgresOffice:
    """`duties.Office`: the advisory lock `number` of the database, on a connection of its own."""

    def __init__(self, connect: Connect, clock: Clock, place: str, *, number: int = 1) -> None:
        self._connect, self._clock, self._place, self._number = connect, clock, place, number
        self._connection: asyncpg.Connection | None = None
        self.asked = 0

    def __repr__(self) -> str:
        return f"PostgresOffice({self._number}, asked={self.asked})"

    async def claim(self) -> PostgresTerm | None:
        """Takes the lock, unless another node has it. Raises `StoreError` when the server cannot be asked."""
        self.asked += 1
        connection = self._connection
        self._connection = None
        try:
            if connection is None or connection.is_closed():
                connection = await self._connect()
            taken = await connection.fetchval(
                "SELECT pg_try_advisory_lock($1, $2)", LOCK, self._number, timeout=ANSWER_SECONDS
            )
        except BaseException as error:
            if connection is not None:
                connection.terminate()
            if isinstance(error, Exception) and is_of_database(error):
                raise as_store_error(error, self._place) from error
            raise
        if taken:
            return PostgresTerm(connection, self._clock)
        self._connection = connection
        return None

    async def close(self) -> None:
        """Asks no more."""
        if self._connection is not None:
            await close_quietly(self._connection)
            self._connection = None


async def close_quietly(connection: asyncpg.Connection) -> None:
    """Closes a connection, in whatever state it is."""
    try:
        await connection.close(timeout=ANSWER_SECONDS)
    except Exception as error:
        log.debug("connection.not_closed", error=str(error) or type(error).__name__)
        connection.terminate()
