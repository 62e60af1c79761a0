"""Long work on the loop, in slices."""

from __future__ import annotations

import asyncio

import pytest

from heliogram.pacing import turn

pytestmark = pytest.mark.anyio


async def passes() -> int:
    """How often the loop came round while three did ten slices each."""
    counted, over = 0, False

    async def count() -> None:
        nonlocal counted
        while not over:
            counted += 1
            await asyncio.sleep(0)

    async def work() -> None:
        for _ in range(10):
            await turn()

    counting = asyncio.create_task(count())
    await asyncio.gather(*(work() for _ in range(3)))
    over = True
    await counting
    return counted


async def test_one_slice_is_done_in_each_pass_of_the_loop() -> None:
    """However many do long work, what else is ready waits for one slice of one of them at a time."""
    assert await passes() >= 30


async def test_whoever_asked_first_goes_on_first() -> None:
    """Nobody is passed over: turns go round in the order in which they were asked for."""
    seen: list[str] = []

    async def work(name: str) -> None:
        for _ in range(3):
            await turn()
            seen.append(name)

    await asyncio.gather(work("a"), work("b"), work("c"))
    assert seen == ["a", "b", "c"] * 3


async def test_every_other_turn_is_a_requests_while_one_waits() -> None:
    """A request is not kept until all that was sent before it is worked off; nor is what is worked on kept by it."""
    seen: list[str] = []

    async def work(name: str, times: int, is_request: bool) -> None:
        for _ in range(times):
            await turn(is_request=is_request)
            seen.append(name)

    await asyncio.gather(*(work("work", 2, False) for _ in range(5)), work("request", 3, True))
    assert sorted(seen[:6]) == ["request"] * 3 + ["work"] * 3
    assert seen[6:] == ["work"] * 7


async def test_a_cancelled_one_costs_the_others_no_turn() -> None:
    """Whoever gives up waiting leaves no gap: the next one has the turn."""
    waiting = [asyncio.ensure_future(turn()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    await waiting[2]
    await turn()
    assert [each.cancelled() for each in waiting] == [True, True, False]
