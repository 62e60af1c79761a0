"""What keeps a node from working."""

from __future__ import annotations

import asyncio

import pytest
from support.clock import FakeClock

from heliogram.readiness import KEPT_SECONDS, NodeReadiness

pytestmark = pytest.mark.anyio


class Asked:
    """Something a node stands on."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.times = 0

    async def __call__(self) -> None:
        self.times += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_what_cannot_be_reached_is_named() -> None:
    """Each by its name, without what the error says: that may be anything."""
    store, queue = Asked(), Asked()
    readiness = NodeReadiness(FakeClock(), [("the store", store), ("the queue", queue)])
    queue.error = OSError("postgresql://user:secret@host refused")
    assert await readiness.missing() == ["the queue cannot be reached"]


async def test_many_who_ask_cost_one_look_a_second() -> None:
    """Anybody may ask without a key: the store does not feel it."""
    clock, store = FakeClock(), Asked()
    readiness = NodeReadiness(clock, [("the store", store)])
    assert await asyncio.gather(*(readiness.missing() for _ in range(50))) == [[]] * 50
    clock.advance(KEPT_SECONDS - 0.001)
    assert await readiness.missing() == []
    assert store.times == 1
    store.error = OSError("gone")
    clock.advance(0.001)
    assert await readiness.missing() == ["the store cannot be reached"]
    assert store.times == 2


async def test_who_leaves_while_it_is_looked_spoils_nothing_for_others() -> None:
    """The look goes on for the others."""
    store = Asked()
    readiness = NodeReadiness(FakeClock(), [("the store", store)])
    first, second = asyncio.ensure_future(readiness.missing()), asyncio.ensure_future(readiness.missing())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == []


async def test_a_node_that_is_being_stopped_is_not_ready() -> None:
    """Whatever else is there: load balancers are to ask another one."""
    readiness = NodeReadiness(FakeClock(), [])
    readiness.stopping = True
    assert await readiness.missing() == ["it is being stopped"]
