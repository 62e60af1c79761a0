"""Coroutines that are begun at once."""

from __future__ import annotations

import asyncio

import pytest

from heliogram.rest.eager import resumed, started

pytestmark = pytest.mark.anyio


async def test_what_need_not_wait_is_done_at_once() -> None:
    """Its result is there without another pass of the loop."""

    async def work() -> int:
        return 7

    begun = started(work())
    assert begun.is_done
    assert begun.result == 7


async def test_what_waits_goes_on_where_it_waited() -> None:
    """Through as many waits as it has, to its result."""
    futures: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in range(2)]

    async def work() -> int:
        return await futures[0] + await futures[1]

    begun = started(work())
    assert not begun.is_done
    task = asyncio.ensure_future(_await(begun))
    for future in futures:
        await asyncio.sleep(0)
        future.set_result(4)
    assert await task == 8


async def test_errors_come_through() -> None:
    """Raised before the first wait, and after it."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work(wait: bool) -> None:
        if wait:
            await future
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        started(work(wait=False))
    begun = started(work(wait=True))
    future.set_result(None)
    with pytest.raises(ValueError, match="no"):
        await resumed(begun)


async def test_whoever_waits_can_be_cancelled() -> None:
    """The coroutine hears of it, as if it had been awaited from the beginning."""
    heard = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    task = asyncio.ensure_future(_await(started(work())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["cancelled"]


async def _await(begun: object) -> object:
    return await resumed(begun)  # type: ignore[arg-type]
