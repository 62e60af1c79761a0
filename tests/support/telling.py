"""Things that happen, webhooks that are to be told of them, and a pump that is stepped by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
from support.stores import Bench, recipients_of, token_of
from support.webhooks import tools_for

from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane, Operation
from heliogram.domain.webhooks import EventType, Webhook, ordered_types
from heliogram.ports import Backlog, LeasedChunk
from heliogram.security import AesGcmSealer, KeyRing, KeySource, MasterKey
from heliogram.store.sqlite.events import emit
from heliogram.webhooks import signing
from heliogram.webhooks.pump import Pump

SEALER = AesGcmSealer(KeyRing((MasterKey(b"k" * 32),), KeySource.FILE))
SECRET = signing.new_secret()
_LEASE_MS = 60_000


def record(sequence: int = 0, outcome: Outcome = Outcome.ACCEPTED, **more: Any) -> DeliveryRecord:
    """The final answer of one device."""
    fields = {"slot": 0, "final": True, "at": 0, "token": token_of(sequence), **more}
    return DeliveryRecord(sequence=sequence, outcome=outcome, **fields)


class Telling:
    """A pump over a store, and what it is to tell."""

    def __init__(self, bench: Bench, **tools: Any) -> None:
        self.bench = bench
        self.tools = tools_for(bench.store, SEALER, bench.clock, **tools)
        self.pump = Pump(self.tools)

    async def webhook(self, url: str, *types: str, held: signing.Secrets | None = None) -> bytes:
        """A webhook for these types, all without any; its id."""
        bench = self.bench
        ident, now = bench.ids.new(), bench.clock.ms
        webhook = Webhook(
            account_id=bench.account,
            id=ident,
            url=url,
            types=ordered_types(types or ("*",)),
            created=now,
            updated=now,
        )
        sealed = signing.seal(SEALER, held or signing.Secrets(SECRET), account=bench.account, webhook=ident)
        await bench.store.create_webhook(bench.account, webhook, sealed)
        return ident

    async def emit(self, count: int = 1, type_: EventType = EventType.DEVICE_REMOVED, **data: Any) -> None:
        """Events, one millisecond after another."""
        store: Any = self.bench.store
        clock, account = self.bench.clock, self.bench.account

        def job(connection: apsw.Connection) -> None:
            for number in range(count):
                emit(connection, account, type_, clock.ms + number, {"registrationId": f"r{number}", **data})

        await store._write(job)

    async def send(self, recipients: int = 1) -> tuple[Operation, list[LeasedChunk]]:
        """An operation to direct tokens, claimed."""
        bench = self.bench
        operation = await bench.accept(recipients_of(recipients))
        chunks: list[LeasedChunk] = []
        for lane in Lane:
            chunks += await bench.store.claim(
                lane, 0, limit=100, now=bench.clock.ms, until=bench.clock.ms + _LEASE_MS, worker="test"
            )
        return operation, sorted(chunks, key=lambda chunk: chunk.first)

    async def end(self, chunk: LeasedChunk, records: Sequence[DeliveryRecord]) -> None:
        """A result part, now."""
        now = self.bench.clock.ms
        for each in records:
            each.at = each.at or now
        assert await self.bench.store.append_records(chunk, records, Counts())

    async def sent(self, recipients: int = 1) -> Operation:
        """An operation whose notifications were all sent, in one part a chunk."""
        operation, chunks = await self.send(recipients)
        for chunk in chunks:
            await self.end(chunk, [record(chunk.first + n) for n in range(len(chunk.recipients))])
        return operation

    async def step(self, seconds: float = 0) -> None:
        """Time passes, and the pump does what there is to do."""
        self.bench.clock.advance(seconds)
        await self.pump.step()

    async def state(self, webhook: bytes) -> Webhook:
        """How a webhook stands."""
        found = await self.bench.store.get_webhook(self.bench.account, webhook)
        assert found is not None
        return found

    async def backlog(self, webhook: bytes) -> Backlog:
        """What it has not taken."""
        return await self.bench.store.webhook_backlog(self.bench.account, webhook)
