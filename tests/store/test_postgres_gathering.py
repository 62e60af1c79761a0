"""What several end at one moment goes to PostgreSQL as one, and each is told its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest
from support.clock import FakeClock
from support.stores import Bench, open_postgres, opened, recipients_of

from heliogram.domain.operations import Counts, Lane, OperationStatus
from heliogram.ports import LeasedChunk
from heliogram.store.errors import Conflict, StoreUnavailable
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.gathering import Gathering

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A store, and an app with a credential."""
    async with opened(tmp_path, open_postgres, FakeClock()) as made:
        await made.app()
        yield made


async def test_small_sends_that_end_at_one_moment_end_in_one_transaction(bench: Bench) -> None:
    """All are over, but for one whose lease is another's by now: that is told so."""
    for _ in range(20):
        await bench.accept(recipients_of(1))
    now = bench.clock.ms
    chunks = await bench.store.claim(Lane.TX, 0, limit=64, now=now, until=now + 1000, worker="w")
    assert len(chunks) == 20
    again = await bench.store.claim(Lane.TX, 0, limit=1, now=now + 1000, until=now + 9000, worker="other")
    stale = next(each for each in chunks if each.id == again[0].id)
    gathering = cast("PostgresStore", bench.store)._finishing

    async def end(chunk: LeasedChunk) -> bool:
        return await bench.store.finish(chunk, now, (), Counts())

    done = await asyncio.gather(*map(end, chunks))
    assert [chunk for chunk, each in zip(chunks, done, strict=True) if not each] == [stale]
    assert repr(gathering) == "Gathering(waiting=0, asked=20, calls=1)"
    for chunk in chunks:
        operation = await bench.store.get_operation(bench.account, chunk.operation_id)
        assert operation is not None
        assert (operation.status is OperationStatus.COMPLETED) is (chunk is not stale)


class Asked:
    """Answers with the doubles, and fails where it is told to."""

    def __init__(self, error: Exception, spoilt: int) -> None:
        self.calls: list[list[int]] = []
        self._error, self._spoilt = error, spoilt

    async def __call__(self, wishes: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(wishes))
        await asyncio.sleep(0)
        if self._spoilt in wishes:
            raise self._error
        return [2 * wish for wish in wishes]


async def test_no_more_than_so_many_go_together() -> None:
    """In the order they came."""
    ask = Asked(Conflict("no"), -1)
    gathering = Gathering(ask, 3)
    assert await asyncio.gather(*map(gathering, range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert ask.calls == [[0, 1, 2], [3, 4, 5], [6]]


async def test_one_that_fails_spoils_no_other() -> None:
    """Each is asked for alone then; a database that is away is told to all at once."""
    ask = Asked(Conflict("no"), 1)
    found = await asyncio.gather(*map(Gathering(ask, 3), range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [int, Conflict, int]
    assert ask.calls == [[0, 1, 2], [0], [1], [2]]
    ask = Asked(StoreUnavailable("away"), 1)
    found = await asyncio.gather(*map(Gathering(ask, 3), range(3)), return_exceptions=True)
    assert [type(each) for each in found] == [StoreUnavailable] * 3
    assert ask.calls == [[0, 1, 2]]


async def test_who_waits_no_more_keeps_nobody_waiting() -> None:
    """Its wish is done all the same."""
    ask = Asked(Conflict("no"), -1)
    gathering = Gathering(ask, 3)
    waiting = [asyncio.ensure_future(gathering(number)) for number in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    assert await waiting[2] == 4
    assert ask.calls == [[0, 1, 2]]
