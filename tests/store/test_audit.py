"""The record of who changed what."""

from __future__ import annotations

import msgspec
import pytest
from support.stores import Bench

from heliogram.domain.accounts import AuditEvent
from heliogram.ports import Window

pytestmark = pytest.mark.anyio


def event_of(bench: Bench, action: str = "apiKey.created") -> AuditEvent:
    return AuditEvent(
        id=bench.ids.new(), at=bench.clock.ms, actor="cli", action=action, subject="key_x", detail={"name": "é", "n": 1}
    )


async def test_an_event_comes_back_as_it_was_kept(bench: Bench) -> None:
    """Detail and all, once however often it is recorded, and in its own account alone."""
    event = event_of(bench)
    for _ in range(2):
        await bench.store.record_audit(bench.account, event)
    assert (await bench.store.list_audit(bench.account, Window())).items == (event,)
    assert (await bench.store.list_audit(bench.ids.new(), Window())).items == ()


async def test_events_are_listed_newest_first_and_narrowed(bench: Bench) -> None:
    """By action and by time; the end is exclusive."""
    events = []
    for action in ("a", "b", "a"):
        events.append(event_of(bench, action))
        await bench.store.record_audit(bench.account, events[-1])
        bench.clock.advance(1)
    first, second, third = events
    window = Window()
    assert (await bench.store.list_audit(bench.account, window)).items == (third, second, first)
    assert (await bench.store.list_audit(bench.account, window, action="a")).items == (third, first)
    cut = Window(start=second.at, end=third.at)
    assert (await bench.store.list_audit(bench.account, cut)).items == (second,)
    page = await bench.store.list_audit(bench.account, Window(limit=2))
    assert page.items == (third, second)
    assert (await bench.store.list_audit(bench.account, Window(after=page.next))).items == (first,)


async def test_events_are_found_by_who_did_what_to_what(bench: Bench) -> None:
    """By actor and by subject, alone and together; a name that cannot be finds nothing."""
    made = []
    for actor, subject in (("cli", "a"), ("cli", "b"), ("key_1", "a")):
        event = msgspec.structs.replace(event_of(bench), actor=actor, subject=subject)
        await bench.store.record_audit(bench.account, event)
        made.append(event)
        bench.clock.advance(1)
    first, second, third = made

    async def found(**wanted: str) -> tuple[AuditEvent, ...]:
        return tuple((await bench.store.list_audit(bench.account, Window(), **wanted)).items)

    assert await found(actor="cli") == (second, first)
    assert await found(subject="a") == (third, first)
    assert await found(actor="cli", subject="a") == (first,)
    assert await found(actor="c\0") == await found(subject="\0") == ()


async def test_old_events_are_forgotten_in_slices(bench: Bench) -> None:
    """Only those before the moment, the oldest first, as many as were asked for."""
    for _ in range(4):
        await bench.store.record_audit(bench.account, event_of(bench))
        bench.clock.advance(1)
    before = bench.clock.ms - 1000  # the last one's own moment: it stays
    assert await bench.store.prune_audit(bench.ids.new(), before, limit=9) == 0
    assert [await bench.store.prune_audit(bench.account, before, limit=2) for _ in range(3)] == [2, 1, 0]
    assert len((await bench.store.list_audit(bench.account, Window())).items) == 1
