"""Whatever crashes when: every notification has exactly one end, told at least once, and always under the same id."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.stores import Bench, opened, recipients_of
from support.telling import Telling, record
from support.webhooks import Receiver, receiving, status

from heliogram.domain import ids
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts, Lane
from heliogram.webhooks.pump import Pump

ENDS = st.sampled_from([Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SENT, Outcome.UNADDRESSABLE, Outcome.CANCELED])


@st.composite
def results(draw: st.DrawFn) -> tuple[int, list[list[DeliveryRecord]]]:
    """Recipients, and the parts their answers come in: some devices twice, some recipients with two devices."""
    count = draw(st.integers(1, 8))
    records: list[DeliveryRecord] = []
    for sequence in range(count):
        devices = draw(st.integers(1, 2))
        for slot in range(1, devices + 1):
            if draw(st.booleans()):
                records.append(record(sequence, Outcome.NOT_SENT, slot=slot, of=devices, final=False, at=1, retry_at=2))
            records.append(record(sequence, draw(ENDS), slot=slot, of=devices, attempt=2, at=1))
    order = draw(st.permutations(records))
    # A device's second attempt comes after its first.
    order = sorted(order, key=lambda each: each.attempt)
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
    edges = [0, *cuts, len(order)]
    return count, [order[a:b] for a, b in itertools.pairwise(edges) if a < b]


class Crash(Exception):
    """The process dies here."""


class Crashing:
    """A store that dies before or after a write, when it is told to."""

    def __init__(self, store: Any, plan: list[int]) -> None:
        self._store, self._plan = store, plan

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        if name not in ("batch_taken", "batch_refused", "kept_batch_taken", "kept_batch_refused"):
            return real

        async def dying(*args: Any, **named: Any) -> Any:
            kind = self._plan.pop(0) if self._plan else 0
            if kind == 1:
                raise Crash
            result = await real(*args, **named)
            if kind == 2:
                raise Crash
            return result

        return dying


async def tell(telling: Telling, plan: list[int]) -> None:
    """A process that works until it dies."""
    store = telling.tools.store
    await Pump(msgspec.structs.replace(telling.tools, store=Crashing(store, plan))).step()


async def scenario(
    directory: Path, count: int, parts: list[list[DeliveryRecord]], plan: list[int], answers: list[int]
) -> tuple[Receiver, bytes]:
    async with receiving() as receiver, opened(directory) as bench:
        receiver.answer = lambda got: status(answers.pop(0) if answers else 200)
        telling = Telling(bench)
        await telling.webhook(receiver.url, "notification.*")
        operation = await bench.accept(recipients_of(count))
        (chunk,) = await bench.store.claim(
            Lane.TX, 0, limit=1, now=bench.clock.ms, until=bench.clock.ms + 10**9, worker="w"
        )
        for part in parts:
            now = bench.clock.ms
            shifted = [_at(each, now) for each in part]
            assert await bench.store.append_records(chunk, shifted, Counts())
            await tell(telling, plan)
            bench.clock.advance(1)
        for _ in range(12):
            bench.clock.advance(3600)
            await tell(telling, plan)
        return receiver, operation.id


def _at(each: DeliveryRecord, now: int) -> DeliveryRecord:
    return msgspec.structs.replace(each, at=now)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    results(),
    st.lists(st.integers(0, 2), max_size=6),
    st.lists(st.sampled_from([200, 200, 500, 503]), max_size=8),
)
def test_every_notification_has_one_end_told_at_least_once(
    made: tuple[int, list[list[DeliveryRecord]]], plan: list[int], answers: list[int]
) -> None:
    """However parts are cut, whatever the receiver answers, and wherever the sender dies: before it has noted an answer
    or just after."""
    count, parts = made
    with tempfile.TemporaryDirectory() as directory:
        receiver, operation = asyncio.run(scenario(Path(directory), count, parts, list(plan), list(answers)))
    by_subject: dict[str, set[tuple[str, str]]] = {}
    for event in receiver.events:
        by_subject.setdefault(event["subject"], set()).add((event["id"], event["type"]))
    wanted = {ids.encode(ids.NOTIFICATION, ids.notification_id(operation, n)) for n in range(count)}
    assert by_subject.keys() == wanted
    assert all(len(found) == 1 for found in by_subject.values())
    assert len({ident for found in by_subject.values() for ident, _ in found}) == count


@pytest.mark.anyio
async def test_a_batch_whose_answer_was_not_noted_comes_again_under_its_id(bench: Bench, receiver: Receiver) -> None:
    """The receiver had taken it; the sender died before it wrote that down."""
    telling = Telling(bench)
    await telling.webhook(receiver.url)
    await telling.emit()
    await tell(telling, [1])
    await tell(telling, [])
    first, second = receiver.got
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
