"""Opening a pool's connections, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .causes import NOT_CONNECTED, SUPERSEDED, Cause, cause_of
from .clock import Clock
from .connect import Connect, within
from .connection import Connection
from .environment import Endpoint
from .identity import Identity
from .tuning import Tuning


class Opener:
    """Makes a connection and dials; `arrived` or `failed` is called when that is over, unless it was dropped."""

    def __init__(
        self,
        endpoint: Endpoint,
        connect: Connect,
        clock: Clock,
        tuning: Tuning,
        *,
        make: Callable[[Identity], Connection],
        arrived: Callable[[Connection], None],
        failed: Callable[[Identity, Cause], None],
        over: Callable[[], None],
    ) -> None:
        self._endpoint = endpoint
        self._connect = connect
        self._clock = clock
        self._tuning = tuning
        self._make = make
        self._arrived = arrived
        self._failed = failed
        self._over = over
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Opener of connections to {self._endpoint.authority}, {'busy' if self.is_busy else 'idle'}>"

    @property
    def is_busy(self) -> bool:
        """Whether a connection is being opened."""
        return self._task is not None

    def open(self, identity: Identity) -> None:
        """Begin to open a connection as `identity`."""
        self._task = asyncio.get_running_loop().create_task(self._dial(identity), name="heliogram-apns-connect")

    async def _dial(self, identity: Identity) -> None:
        connection = self._make(identity)
        try:
            work = self._connect(lambda: connection, self._endpoint, identity.context)
            await within(self._clock, self._tuning.connect_timeout, work)
        except BaseException as error:  # whatever a `Connect` of the application's own may raise
            connection.abort(NOT_CONNECTED)
            if self._is_mine():
                self._failed(identity, cause_of(error))
            if not isinstance(error, Exception):
                raise
        else:
            if self._is_mine():
                self._arrived(connection)
            else:
                connection.abort(SUPERSEDED)
        finally:
            self._over()

    def _is_mine(self) -> bool:
        """Whether somebody still waits for the calling task; from now on nobody does."""
        if self._task is not asyncio.current_task():
            return False
        self._task = None
        return True

    def drop(self) -> asyncio.Task[None] | None:
        """Give up the attempt; should it arrive nevertheless, it finds that nobody waits for it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task
