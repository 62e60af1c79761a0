"""Everything that sends, put together: workers on a queue, and what keeps their credentials right.

A service has one in its own process; each further process that sends has another, on a store and a queue of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext

import structlog

from ..domain.operations import CHUNK_SIZE, Lane
from ..ports import Clock, NoTap, Providers, Sealer, SendingStore, Tap, WorkQueue
from .breaker import Breakers
from .credentials import CredentialOpener, CredentialWatch
from .heartbeats import HEARTBEAT_S
from .mending import Mender
from .standing import Heard, Reporter, Troubles
from .tools import Around, Tools
from .worker import Worker

log = structlog.get_logger(__name__)

TX_SLOTS = 1_024
BULK_SLOTS = 6
SLOTS = {Lane.TX: TX_SLOTS, Lane.BULK: BULK_SLOTS}
"""Slots of each lane in one process. Small sends have slots of their own: no campaign can keep them waiting. An account
has at most 854 and 5 of them, one queue (an app's, or that of a credential which callers name) 682 and 4: what hangs
leaves the rest to others. In each round trip to APNs a queue sends as many single pushes as it may have slots."""
EACH = {Lane.TX: 8, Lane.BULK: CHUNK_SIZE}
"""Recipients that a slot is for: 1,024 chunks of up to 8, or 78 of 100, so that what is in hand stays below 8,300
recipients, as much as 17 chunks of a campaign."""


class Sender:
    """The workers of some lanes. `slots` is how many each has, `heartbeat` the seconds from one renewal of leases to
    the next; `tap` is told of outcomes. What the provider says of credentials is kept in `heard`; a process
    that speaks for itself of those that fail has `troubles`."""

    def __init__(
        self,
        store: SendingStore,
        queue: WorkQueue,
        providers: Providers,
        sealer: Sealer,
        clock: Clock,
        *,
        breakers: Breakers,
        slots: Mapping[Lane, int],
        heartbeat: float = HEARTBEAT_S,
        tap: Tap | None = None,
        around: Around = nullcontext,
        heard: Heard | None = None,
        troubles: Troubles | None = None,
    ) -> None:
        self._queue, self._providers, self._clock = queue, providers, clock
        heard = heard or Heard()
        opener = CredentialOpener(store, sealer, clock)
        mender = Mender(store, queue, breakers)
        self._reporter = Reporter(store, heard, troubles)
        self._watch = CredentialWatch(store, providers, opener, clock, mender=mender, reporter=self._reporter)
        tools = Tools(
            store=store,
            queue=queue,
            providers=providers,
            clock=clock,
            open_credential=opener,
            breakers=breakers,
            heard=heard,
            tap=NoTap() if tap is None else tap,
            around=around,
        )
        self._workers = [
            Worker(tools, [lane], slots=count, each=EACH[lane], heartbeat=heartbeat) for lane, count in slots.items()
        ]
        self._watching: asyncio.Task[None] | None = None
        self.tasks: list[asyncio.Task[None]] = []
        """The workers at work: one that ends before `drain` has failed."""

    def __repr__(self) -> str:
        return f"Sender({self._workers})"

    def start(self) -> None:
        """Begins to work."""
        self.tasks = [asyncio.create_task(worker.run()) for worker in self._workers]
        self._watching = asyncio.create_task(self._watch.run())

    async def drain(self, seconds: float) -> None:
        """Takes nothing more, lets what is under way end for at most so long, and closes the connections. What is late
        stays leased. Raises what a worker raised."""
        for worker in self._workers:
            worker.drain()
        await self._queue.close()
        late: set[asyncio.Task[None]] = set()
        if self.tasks:
            _, late = await asyncio.wait(self.tasks, timeout=seconds)
        for task in late:  # their chunks are leased; whoever comes next takes them up again
            log.warning("service.drain_too_slow", worker=repr(task))
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for provider in self._providers.values():
            await provider.close()
        self._watch.stop()
        if self._watching is not None:
            await self._watching
        await self._reporter.close(int(self._clock.time() * 1000))
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.result()
