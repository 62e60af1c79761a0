"""A listener that keeps what it hears."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from heliogram.apns import (
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    GoawayReceived,
    Listener,
    PushEnded,
    StreamLimitChanged,
    TokenChanged,
)
from heliogram.apns.listener import Event

T = TypeVar("T")


class Ear(Listener):
    """All events, in the order of their coming."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._waiting: list[tuple[type[object], int, asyncio.Future[None]]] = []

    def of(self, kind: type[T]) -> list[T]:
        """The events of a kind."""
        return [one for one in self.events if isinstance(one, kind)]

    async def heard(self, kind: type[T], count: int) -> list[T]:
        """Wait for this many events of a kind."""
        if len(self.of(kind)) < count:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((kind, count, future))
            await asyncio.wait_for(future, 90)
        return self.of(kind)

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        for entry in self._waiting[:]:
            kind, count, future = entry
            if len(self.of(kind)) >= count:
                self._waiting.remove(entry)
                future.set_result(None)

    def push_ended(self, event: PushEnded) -> None:
        self._hear(event)

    def connection_opened(self, event: ConnectionOpened) -> None:
        self._hear(event)

    def connection_failed(self, event: ConnectionFailed) -> None:
        self._hear(event)

    def connection_closed(self, event: ConnectionClosed) -> None:
        self._hear(event)

    def stream_limit_changed(self, event: StreamLimitChanged) -> None:
        self._hear(event)

    def goaway_received(self, event: GoawayReceived) -> None:
        self._hear(event)

    def token_changed(self, event: TokenChanged) -> None:
        self._hear(event)
