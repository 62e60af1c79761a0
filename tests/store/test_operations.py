"""Accepted sends as callers see them."""

from __future__ import annotations

import pytest
from support.stores import Bench, recipients_of

from heliogram.domain.ids import notification_id
from heliogram.domain.notifications import DeliveryRecord, NotificationStatus, Outcome
from heliogram.domain.operations import Counts, Lane, OperationStatus
from heliogram.ports import LeasedChunk, NotificationFilter, Window

pytestmark = pytest.mark.anyio


async def claim(bench: Bench, lane: Lane, limit: int = 10) -> list[LeasedChunk]:
    now = bench.clock.ms
    return await bench.store.claim(lane, 0, limit=limit, now=now, until=now + 60_000, worker="w")


async def test_an_accepted_send_goes_all_the_way(bench: Bench) -> None:
    """Accept, claim, record, finish: the operation is COMPLETED and its notifications SENT."""
    operation = await bench.accept(recipients_of(3))
    (chunk,) = await claim(bench, Lane.TX)
    assert chunk.operation_id == operation.id
    assert chunk.recipients == recipients_of(3)
    records = [
        DeliveryRecord(sequence=n, slot=0, outcome=Outcome.ACCEPTED, final=True, at=bench.clock.ms) for n in range(3)
    ]
    assert await bench.store.append_records(chunk, records, Counts(sent=3))
    assert await bench.store.finish(chunk, bench.clock.ms)
    done = await bench.store.get_operation(bench.account, operation.id)
    assert done is not None
    assert (done.status, done.counts, done.finished) == (OperationStatus.COMPLETED, Counts(3), bench.clock.ms)
    found = await bench.store.get_notification(bench.account, notification_id(operation.id, 2, 7))
    assert found is not None
    assert (found.status, found.deliveries) == (NotificationStatus.SENT, (records[2],))
    page = await bench.store.list_notifications(bench.account, Window(), NotificationFilter())
    assert [n.id for n in page.items] == [notification_id(operation.id, n) for n in range(3)]
