"""The connections of a process: so many at most, each lent to one job at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg

from ..errors import StoreClosed
from .link import Link

Connect = Callable[[], Awaitable[Link]]


class Pool:
    """Lends connections. The one that came back last goes first: those that are not needed stay idle.

    A connection that was closed, or that was given up in the middle of something, is replaced when the next is needed.
    """

    def __init__(self, connect: Connect, size: int) -> None:
        if size < 1:
            raise ValueError(f"the pool's size is {size}: expected at least 1 connection")
        self._connect = connect
        self._size = size
        self._idle: list[Link] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._open = 0
        self._closed = False
        self._all_back: asyncio.Future[None] | None = None
        self.opened = 0
        self.lent = 0

    @property
    def size(self) -> int:
        """The most connections."""
        return self._size

    @property
    def busy(self) -> int:
        """Connections that somebody has."""
        return self._open - len(self._idle)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    def __repr__(self) -> str:
        return (
            f"Pool(size={self._size}, busy={self.busy}, idle={len(self._idle)}, waiting={len(self._waiting)},"
            f" opened={self.opened}, lent={self.lent})"
        )

    async def take(self) -> Link:
        """A connection, to be given back. Raises `StoreClosed`, and what connecting raises; where the server has no
        room for more, those that are there go round."""
        full = False
        while True:
            if self._closed:
                raise StoreClosed("the store is closed")
            while self._idle:
                link = self._idle.pop()
                if not link.closed:
                    self.lent += 1
                    return link
                self._open -= 1
            if self._open < self._size and not full:
                try:
                    return await self._open_another()
                except asyncpg.TooManyConnectionsError:
                    if not self._open:
                        raise
                    full = True
                    continue  # one may have come back meanwhile
            await self._wait()
            full = False

    async def _open_another(self) -> Link:
        self._open += 1  # before anything is waited for: the size is a promise
        try:
            link = await self._connect()
        except BaseException:
            self._open -= 1
            self._next()
            raise
        self.opened += 1
        self.lent += 1
        return link

    async def _wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._next()  # it was this one's turn: the next one has it
            raise

    def give(self, link: Link, *, sound: bool = True) -> None:
        """Gives a connection back; one that is not `sound`, since something was begun on it and not ended, is cut."""
        if sound and not self._closed and not link.closed:
            self._idle.append(link)
        else:
            link.cut()
            self._open -= 1
        self._next()

    def renew(self) -> None:
        """Closes what is idle: one connection was lost, and the others may be, too, without anybody having noticed."""
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for link in idle:
            link.cut()
        self._next()

    def _next(self) -> None:
        """Lets whoever waits longest try."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                break
        if self._all_back is not None and not self._all_back.done() and self._open == len(self._idle):
            self._all_back.set_result(None)

    async def close(self) -> None:
        """Waits for what is lent, then closes all. May be called more than once."""
        if self._open > len(self._idle):
            if self._all_back is None or self._all_back.done():
                self._all_back = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._all_back)
        self._closed = True
        idle, self._idle = self._idle, []
        self._open -= len(idle)
        for link in idle:
            await link.close()
        self._next()
