"""Nodes wake each other when there is work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from support.clock import FakeClock
from support.stores import Bench, open_postgres, opened, recipients_of

from heliogram.domain.operations import Lane
from heliogram.store.postgres import PostgresStore

pytestmark = pytest.mark.anyio


@pytest.fixture
async def nodes(anyio_backend: str, tmp_path: Path) -> AsyncIterator[tuple[Bench, Bench]]:
    """Two nodes on one database, by the same clock."""
    clock = FakeClock()
    async with opened(tmp_path, open_postgres, clock) as one, opened(tmp_path, open_postgres, clock) as two:
        yield one, two


class Ears:
    """Hears what rings at a node."""

    def __init__(self, node: Bench) -> None:
        self._heard: asyncio.Queue[tuple[Lane, int]] = asyncio.Queue()
        self.end = cast("PostgresStore", node.store).wakes(lambda *place: self._heard.put_nowait(place))

    async def next(self) -> tuple[Lane, int]:
        return await self._heard.get()

    @property
    def silent(self) -> bool:
        return self._heard.empty()


async def listening(node: Bench) -> None:
    """Until the node's own ring comes back to it: LISTEN is through."""
    ears = Ears(node)
    bell = cast("PostgresStore", node.store)._bell
    while ears.silent:
        bell.ring(Lane.BULK, 99)
        await node.store.default_account()
    ears.end()


async def test_what_one_node_accepts_wakes_the_other(nodes: tuple[Bench, Bench]) -> None:
    """And what it gives back, both after COMMIT."""
    one, two = nodes
    await listening(two)
    ears = Ears(two)
    while not ears.silent:
        await ears.next()
    await one.accept(recipients_of(1))
    assert (await _after_noise(ears)) == (Lane.TX, 0)
    now = two.clock.ms
    (chunk,) = await two.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 60_000, worker="two")
    await two.store.release(chunk, now, now)
    assert (await _after_noise(ears)) == (Lane.TX, 0)


async def _after_noise(ears: Ears) -> tuple[Lane, int]:
    while (place := await ears.next()) == (Lane.BULK, 99):
        pass
    return place


async def test_a_lost_connection_is_listened_on_anew(nodes: tuple[Bench, Bench]) -> None:
    """And whoever listens looks, since something may have rung meanwhile."""
    one, two = nodes
    await listening(two)
    ears = Ears(two)
    await one.store._read(  # type: ignore[attr-defined]
        lambda c: c.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
        ).fetchall()
    )
    await two.clock.timer_set()
    two.clock.advance(1)
    assert await ears.next() == (Lane.BULK, 99)


async def test_rings_that_come_together_are_one_statement(nodes: tuple[Bench, Bench]) -> None:
    """A campaign that is cut into many sends does not ring as often."""
    bell = cast("PostgresStore", nodes[0].store)._bell
    for number in range(100):
        bell.ring(Lane.TX, number % 2)
    await nodes[0].store.close()
    assert (bell.rings, bell.sent) == (100, 1)
    assert repr(bell) == "Bell(listeners=0, rings=100, sent=1, heard=0, listening=False)"


async def test_who_ended_listening_hears_nothing(nodes: tuple[Bench, Bench]) -> None:
    """Its worker is gone."""
    one, two = nodes
    await listening(two)
    gone, ears = Ears(two), Ears(two)
    gone.end()
    await one.accept(recipients_of(1))
    await ears.next()
    assert gone.silent


async def test_what_somebody_else_says_on_the_channel_is_ignored(nodes: tuple[Bench, Bench]) -> None:
    """Whoever may connect may notify."""
    one, two = nodes
    await listening(two)
    ears = Ears(two)
    for payload in ("", "x y", "99 0", "0"):
        await one.store._read(lambda c, p=payload: c.execute("SELECT pg_notify('heliogram_work', :p)", {"p": p}).get)  # type: ignore[attr-defined]
    await one.accept(recipients_of(1))
    assert (await _after_noise(ears)) == (Lane.TX, 0)
