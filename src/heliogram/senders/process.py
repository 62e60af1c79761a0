"""What a sender process does: the delivery room's own code, on a store and a queue that reach the serving process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import structlog

from ..delivery.breaker import Breakers
from ..delivery.providers.apns import ApnsProvider
from ..delivery.sender import Sender
from ..domain.apps import ProviderName
from ..domain.ids import IdFactory
from ..observe import log as logs
from ..observe.clock import SystemClock
from ..observe.engine import Engine, Sample
from ..observe.otel import tracing_of
from ..observe.tally import Tally
from ..pacing import pause
from ..ports import Clock, Provider
from ..queue.db import DbQueue
from ..security import AesGcmSealer, KeyRing
from ..store.errors import StoreError
from ..store.sqlite import SqliteStore
from .frames import Wire
from .messages import (
    Alarm,
    Answer,
    Begin,
    Canceled,
    Drain,
    Fault,
    FromSender,
    Measured,
    Mended,
    Ready,
    Refused,
    Saw,
    Wake,
    decode_to_sender,
    encode,
)
from .remote import Caller, RemoteStore

log = structlog.get_logger(__name__)

MEASURED_SECONDS = 1.0
"""How often a sender tells how its engine is, unless that is as it was."""
LOST = 3
"""The exit code of a sender whose serving process is gone."""


class Process:
    """One sender's end of the socket. When the other end is gone, `leave` is called at once: nothing more is sent, for
    nobody would write down what became of it."""

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        loop = asyncio.get_running_loop()
        self.wire = Wire(self._received, self._lost)
        self.caller = Caller(self.wire)
        self.begin: asyncio.Future[Begin] = loop.create_future()
        self.drain: asyncio.Future[float] = loop.create_future()
        self._leave = leave
        self._over = False
        self._breakers = Breakers(
            alarm=lambda credential, reason: self._send(Alarm(credential, reason)),
            tell=lambda refusal: self._send(Refused(refusal)),
        )
        self._queue: DbQueue | None = None

    def __repr__(self) -> str:
        return f"Process({self.caller!r}, {self._queue!r})"

    async def run(self, here: SqliteStore, begin: Begin) -> None:
        """Sends until it is told to drain. Raises what a worker raises."""
        clock = SystemClock()
        store = RemoteStore(here, self.caller)
        self._queue = queue = DbQueue(store, clock, worker="")  # the serving process knows our name
        for refusal in begin.refusals:
            self._breakers.hear(refusal)
        engine = Engine()
        provider: Provider = ApnsProvider(begin.endpoints, listener=engine.listener)
        tracing = tracing_of()
        providers = {ProviderName.APN: provider if tracing is None else tracing.provider(provider)}
        sealer = AesGcmSealer(KeyRing.taken_over(begin.keys))
        tally = Tally(clock, lambda digest: self._send(Saw(digest)))
        sender = Sender(
            store,
            queue,
            providers,
            sealer,
            clock,
            breakers=self._breakers,
            slots=begin.slots,
            tap=tally,
            around=nullcontext if tracing is None else tracing.chunk,
        )
        sender.start()
        self._send(Ready())
        measuring = asyncio.create_task(self._tell_measures(engine, clock))
        ends: list[asyncio.Future[Any]] = [self.drain, *sender.tasks]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await sender.drain(self.drain.result() if self.drain.done() else 0)
        self._over = True
        measuring.cancel()
        tally.hand_over()
        self._send(Measured(engine.samples()))
        if tracing is not None:
            await tracing.close()
        self.wire.close()

    async def _tell_measures(self, engine: Engine, clock: Clock) -> None:
        told: list[Sample] = []
        while True:
            samples = engine.samples()
            if samples != told:
                told = samples
                self._send(Measured(samples))
            await pause(clock, MEASURED_SECONDS)

    # ---- from the serving process

    def _send(self, message: FromSender) -> None:
        self.wire.send(encode(message))

    def _received(self, body: bytes) -> None:
        match decode_to_sender(body):
            case Answer() | Fault() as answer:
                self.caller.answered(answer)
            case Wake() as message if self._queue is not None:
                self._queue.wake(message.lane)
            case Canceled() as message if self._queue is not None:
                self._queue.canceled(message.operation_id)
            case Refused() as message:
                self._breakers.hear(message.refusal)
            case Mended() as message:
                self._breakers.reset(message.account, message.credential_id)
                self._queue_woken()
            case Begin() as message if not self.begin.done():
                self.begin.set_result(message)
            case Drain() as message if not self.drain.done():
                self.drain.set_result(message.seconds)
            case _:
                pass  # a hint that came before there is anybody to take it

    def _queue_woken(self) -> None:
        if self._queue is not None and self.begin.done():
            for lane in self.begin.result().slots:
                self._queue.wake(lane)

    def _lost(self) -> None:
        if not self._over:
            self._leave(LOST)


async def work(handle: int, number: int) -> None:
    """A sender process on the socket with this handle, from start to end. Raises `StoreError` when it cannot open the
    database."""
    structlog.contextvars.bind_contextvars(sender=number)
    process = Process()
    connection = socket.socket(fileno=handle)
    await asyncio.get_running_loop().create_unix_connection(lambda: process.wire, sock=connection)
    begin = await process.begin
    if os.getppid() != begin.parent:
        os._exit(LOST)  # it died before it could take us with it
    logs.configure(level=begin.log_level, form=begin.log_format)
    clock = SystemClock()
    ids = IdFactory(lambda: int(clock.time() * 1000))
    try:
        here = await SqliteStore.open_to_read(begin.database, ids=ids, clock=clock)
    except StoreError as error:
        log.error("sender.no_database", error=str(error))
        raise
    try:
        await process.run(here, begin)
    finally:
        await here.close()
