"""A send to one device that is disturbed wherever it waits: it ends as a chunk of many would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from delivery.conftest import Delivery
from delivery.test_single import came_of, held, operation_of
from msgspec.structs import replace
from support.apns_server import ApnsServer, Peer
from support.stores import recipients_of

from heliogram.delivery.chunk import ChunkDelivery
from heliogram.delivery.single import SingleDelivery, delivery_of
from heliogram.domain.apps import OpenedCredential
from heliogram.domain.errors import Unavailable
from heliogram.domain.operations import Counts
from heliogram.ports import LeasedChunk
from heliogram.queue.db import DbQueue
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


class Disturbed:
    """One delivery, and what happens to it: `before` it opens its credential or writes what came of it."""

    def __init__(self, delivery: Delivery, disturbance: str) -> None:
        self.delivery, self.disturbance = delivery, disturbance
        self.made: ChunkDelivery | SingleDelivery | None = None
        self.left = 1
        self._open = delivery.tools.open_credential

    def is_time(self, disturbance: str) -> bool:
        """Whether this is to happen, which it does once."""
        if self.disturbance != disturbance or not self.left:
            return False
        self.left -= 1
        return True

    async def open(self, account: bytes, credential: bytes) -> OpenedCredential | None:
        bench, tools = self.delivery.bench, self.delivery.tools
        opened = await self._open(account, credential)
        assert opened is not None
        assert self.made is not None
        if self.is_time("stopped"):
            await bench.store.cancel_operation(account, self.made._chunk.operation_id, bench.clock.ms)
            self.made.stop()
        elif self.is_time("stopped on the wire"):  # its delivery is told of it then
            await bench.store.cancel_operation(account, self.made._chunk.operation_id, bench.clock.ms)
        elif self.is_time("cancelled"):
            await cancel()
        elif self.is_time("store away"):
            raise Unavailable("away")
        elif self.is_time("refused meanwhile"):
            gate = tools.breakers.gate(account, credential, "app")
            gate.refused(opened.credential, "InvalidProviderToken", bench.clock.ms)
            gate.close(bench.clock.ms)
        elif self.disturbance == "sealed":
            raise ValueError("another master key")
        elif self.disturbance == "gone":
            return None
        elif self.disturbance == "revoked":
            return replace(opened, credential=replace(opened.credential, revoked=bench.clock.ms))
        elif self.disturbance in ("at its end", "past its end"):
            ends = bench.clock.ms - (self.disturbance == "past its end")
            return replace(
                opened, credential=replace(opened.credential, public={**opened.credential.public, "notAfter": ends})
            )
        return opened


async def cancel() -> None:
    """Cancels whoever calls this, here and now."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


class Queue(DbQueue):
    """The queue, whose writing is disturbed."""

    disturbed: Disturbed

    async def done(self, chunk: LeasedChunk, records: Any = (), counts: Counts | None = None) -> bool:
        if self.disturbed.is_time("end not written"):
            raise Unavailable("no room")
        done = await super().done(chunk, records, counts)
        if self.disturbed.is_time("end written and not told"):
            raise Unavailable("no answer")
        if self.disturbed.is_time("cancelled at its end"):  # what was asked to be written is
            await cancel()
        return done


DISTURBANCES = {
    "none": (1, "SENT"),
    "stopped": (0, "CANCELED"),
    "cancelled": (0, "QUEUED"),
    "store away": (0, "QUEUED"),
    "refused meanwhile": (0, "QUEUED"),
    "sealed": (0, "QUEUED"),
    "gone": (0, "QUEUED"),
    "revoked": (0, "QUEUED"),
    "at its end": (1, "SENT"),
    "past its end": (0, "QUEUED"),
    "too late": (0, "FAILED"),
    "late by nothing": (0, "FAILED"),
    "just in time": (1, "SENT"),
    "stopped on the wire": (1, "SENT"),
    "cancelled on the wire": (1, "QUEUED"),
    "end not written": (1, "SENT"),
    "end written and not told": (1, "SENT"),
    "cancelled at its end": (1, "SENT"),
}
"""What happens, how many pushes leave then, and what the notification is after it."""
EXPIRY = {"too late": -1, "late by nothing": 0, "just in time": 1_000}


async def _run(work: Callable[[], Awaitable[None]]) -> type[BaseException] | None:
    try:
        await asyncio.ensure_future(work())
    except (Exception, asyncio.CancelledError) as error:
        return type(error)
    return None


@pytest.mark.parametrize("disturbance", DISTURBANCES)
@pytest.mark.parametrize("how", ["handed over", "leased"])
async def test_it_ends_as_a_chunk_of_many_would(
    delivery: Delivery, apns: ApnsServer, disturbance: str, how: str
) -> None:
    """As much leaves, the same is kept of it and raised, and no gate stays open."""
    found, bench, tools = [], delivery.bench, delivery.tools
    await delivery.app()
    for kind in (ChunkDelivery, SingleDelivery):
        disturbed = Disturbed(delivery, disturbance)
        queue = Queue(bench.store, bench.clock, "test")
        queue.disturbed = disturbed
        chunk = await held(delivery, recipients_of(1))
        if how == "leased":
            chunk = replace(chunk, known=None)
        if disturbance in EXPIRY:
            chunk = replace(chunk, spec=replace(chunk.spec, expires_at=bench.clock.ms + EXPIRY[disturbance]))
        with_it = replace(tools, open_credential=disturbed.open, queue=queue)
        made = ChunkDelivery(chunk, with_it) if kind is ChunkDelivery else delivery_of(chunk, with_it)
        assert type(made) is kind
        disturbed.made = made
        task = asyncio.ensure_future(_run(made.run))
        apns.requests.clear()
        apns.on_request = _answering(made, disturbance, task)
        raised = await task
        credential = (await bench.store.credential_states(bench.account)).popitem()[0]
        kept = await came_of(delivery, chunk)
        assert (len(apns.requests), kept["notification"]) == DISTURBANCES[disturbance]
        found.append((raised, kept, repr(with_it.breakers), (await operation_of(delivery, chunk)).canceled))
        tools.breakers.reset(bench.account, credential)
    assert found[0] == found[1]


def _answering(made: ChunkDelivery | SingleDelivery, disturbance: str, task: asyncio.Future[Any]) -> Any:
    def answer(peer: Peer, request: Received) -> None:
        if disturbance == "stopped on the wire":
            made.stop()
        if disturbance == "cancelled on the wire":
            task.cancel()
            return
        peer.accept(request)

    return answer
