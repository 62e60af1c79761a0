"""A sender's end and the serving process's end, on one socket, over a real store."""

from __future__ import annotations

import asyncio
import socket

from support.stores import Bench

from heliogram.delivery.breaker import Breakers
from heliogram.domain.apps import Credential
from heliogram.domain.operations import Lane
from heliogram.senders.desk import Desk
from heliogram.senders.frames import Wire
from heliogram.senders.hub import HubQueue, Switchboard
from heliogram.senders.messages import Answer, Fault, ToSender, decode_to_sender
from heliogram.senders.remote import Caller, RemoteStore
from heliogram.store.sqlite import SqliteStore


class Pair:
    """Both ends. `told` is what the sender heard beside answers."""

    def __init__(self, bench: Bench) -> None:
        assert isinstance(bench.store, SqliteStore)
        self.bench, self.store, self.clock = bench, bench.store, bench.clock
        self.told: list[ToSender] = []
        self.alarms: list[tuple[Credential, str]] = []
        self.breakers = Breakers()
        self.switchboard = Switchboard(
            self.breakers, lambda credential, reason: self.alarms.append((credential, reason))
        )
        self.queue = HubQueue(self.store, self.clock, "us", switchboard=self.switchboard, lanes=[Lane.BULK])
        self.desk = Desk(self.store, self.switchboard, self.clock, "host:1:2")
        self.switchboard.desks.add(self.desk)
        self.lost = asyncio.Event()
        self.wire = Wire(self._received, self.lost.set)
        self.remote = RemoteStore(self.store, Caller(self.wire))

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        here, there = socket.socketpair()
        await loop.create_unix_connection(lambda: self.wire, sock=here)
        await loop.create_unix_connection(lambda: self.desk.wire, sock=there)

    async def hear(self, count: int = 1) -> list[ToSender]:
        """So many things told, or more."""
        async with asyncio.timeout(90):
            while len(self.told) < count:
                await asyncio.to_thread(lambda: None)
        return self.told

    def _received(self, body: bytes) -> None:
        message = decode_to_sender(body)
        if isinstance(message, Answer | Fault):
            self.remote._there.answered(message)
        else:
            self.told.append(message)
