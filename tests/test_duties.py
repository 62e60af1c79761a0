"""What one node of several does, as the office comes and goes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.clock import FakeClock
from support.stores import Bench, opened
from support.webhooks import tools_for

from heliogram.domain.errors import Unavailable
from heliogram.duties import TRY_SECONDS, Duties, OnlyNode, Term
from heliogram.security import AesGcmSealer, load_master_key
from heliogram.security.masterkey import ENVIRONMENT
from heliogram.upkeep import FIRST_SECONDS, Chore, Step

pytestmark = pytest.mark.anyio


def sealer(tmp: Path = Path()) -> AesGcmSealer:
    """Seals with a key of the test's own."""
    return AesGcmSealer(load_master_key(tmp, environ={ENVIRONMENT: base64.b64encode(bytes(32)).decode()}))


class Terms:
    """An office that the test gives and takes."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.free = True
        self.error: Exception | None = None
        self.asked = self.ended = 0

    async def claim(self) -> Term | None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return self if self.free else None

    async def end(self) -> None:
        self.ended += 1


class Node:
    """Duties with one chore, which counts."""

    def __init__(self, bench: Bench, office: Terms | OnlyNode) -> None:
        self.clock: FakeClock = bench.clock
        self.done = 0
        self.duties = Duties(
            tools_for(bench.store, sealer(), bench.clock), lambda: [self._chore()], bench.clock, office
        )
        self.task = asyncio.create_task(self.duties.run())

    def _chore(self) -> Chore:
        async def slice_() -> Step:
            self.done += 1
            return Step(1, more=False)

        return Chore(name="counting", every=60.0, slice=slice_)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(90):
            while True:
                if holds():
                    return
                await asyncio.sleep(0)

    async def stop(self) -> None:
        self.duties.stop()
        await self.task
        await self.duties.finish(1.0)


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(tmp_path) as bench:
        yield bench


async def test_a_node_that_is_alone_has_them_for_good(bench: Bench) -> None:
    """From the start to the end."""
    node = Node(bench, OnlyNode())
    await node.until(lambda: "in_office=True" in repr(node.duties))
    bench.clock.advance(FIRST_SECONDS)
    await node.until(lambda: node.done == 1)
    await node.stop()
    assert "in_office=False" in repr(node.duties)


async def test_a_node_without_the_office_asks_again(bench: Bench) -> None:
    """Every second, and does nothing meanwhile."""
    office = Terms()
    office.free = False
    node = Node(bench, office)
    for times in (1, 2, 3):
        await node.until(lambda: office.asked == times)  # noqa: B023
        await bench.clock.timer_set()
        bench.clock.advance(TRY_SECONDS)
    office.free = True
    await node.until(lambda: office.asked == 4)
    await bench.clock.timer_set()
    bench.clock.advance(TRY_SECONDS)
    await node.until(lambda: node.duties.terms == 1)
    assert node.done == 0
    await node.stop()
    assert office.ended == 1


@pytest.mark.parametrize("error", [Unavailable("no database"), RuntimeError("a bug")])
async def test_trouble_with_the_office_is_no_end(bench: Bench, error: Exception) -> None:
    """The database may be away for a while."""
    office = Terms()
    office.error = error
    node = Node(bench, office)
    await node.until(lambda: office.asked == 1)
    await bench.clock.timer_set()
    office.error = None
    bench.clock.advance(TRY_SECONDS)
    await node.until(lambda: node.duties.terms == 1)
    await node.stop()


async def test_a_lost_office_ends_what_goes_with_it_and_is_asked_for_again(bench: Bench) -> None:
    """Another node may have it by now: nothing is done in two places."""
    office = Terms()
    node = Node(bench, office)
    await node.until(lambda: node.duties.terms == 1)
    office.free = False
    office.lost.set()
    await node.until(lambda: office.ended == 1 and office.asked == 2)
    bench.clock.advance(FIRST_SECONDS)
    await asyncio.sleep(0)
    assert node.done == 0
    office.lost = asyncio.Event()
    office.free = True
    await bench.clock.timer_set()
    bench.clock.advance(TRY_SECONDS)
    await node.until(lambda: node.duties.terms == 2)
    bench.clock.advance(FIRST_SECONDS)
    await node.until(lambda: node.done == 1)
    await node.stop()


async def test_a_stop_without_the_office_ends_at_once(bench: Bench) -> None:
    """There is nothing to give back."""
    office = Terms()
    office.free = False
    node = Node(bench, office)
    await node.until(lambda: office.asked == 1)
    await node.stop()
    assert office.ended == 0
