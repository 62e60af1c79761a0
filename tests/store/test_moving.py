"""An embedded store is moved into a PostgreSQL database: everything, while it changes, whatever interrupts it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from support.moving import (
    FILE,
    IDENT,
    KEY,
    Meddler,
    breath,
    everything_in_source,
    everything_in_target,
    moved,
    moving,
    unmarked,
)
from support.postgres import server
from support.stores import Bench, opened

from heliogram.domain.ids import IdFactory
from heliogram.domain.operations import Lane
from heliogram.ports import NotificationFilter, Store, Window
from heliogram.store.moving import copying, move, snapshot
from heliogram.store.moving.move import Move
from heliogram.store.postgres import PostgresStore

pytestmark = pytest.mark.anyio


async def test_everything_moves(tmp_path: Path) -> None:
    """Every row of every table, with work in every state; leases are given back."""
    async with opened(tmp_path) as bench:
        meddler = Meddler(bench, 1)
        await meddler.found()
        await meddler.run(160)
        now = bench.clock.ms
    url = await server().empty()
    rows = await moved(tmp_path / FILE, url, now)
    before = everything_in_source(tmp_path / FILE)
    assert await everything_in_target(url) == before
    assert rows == {name: len(found) for name, found in before.items()}
    empty = {name for name, count in rows.items() if not count}
    assert empty <= {"api_key", "leaving"}, "the test has nothing of a table"


async def answers(store: Store, account: bytes, users: list[bytes], now: int) -> list[Any]:
    """What a store says of itself."""
    window = Window(limit=1000)
    return [
        await store.list_operations(account, window),
        await store.list_notifications(account, window, NotificationFilter()),
        [await store.list_registrations(account, window, user_id=user) for user in users],
        await store.devices_of_users(account, "shop", users),
        await store.count_account(account, now),
        await store.list_webhooks(account, window),
        [await store.next_due(lane, 0) for lane in Lane],
        await store.webhook_work(),
        await store.list_accounts(),
    ]


async def test_the_database_says_what_the_embedded_store_said(tmp_path: Path) -> None:
    """Operations, notifications, devices, depths and what is due are the same to whoever asks; ids, numbers of results
    and what webhooks were told go on behind."""
    async with opened(tmp_path) as bench:
        meddler = Meddler(bench, 2)
        await meddler.found()
        await meddler.run(100)
        await bench.store.release_all(bench.clock.ms)
        account, clock = bench.account, bench.clock
        told = await answers(bench.store, account, meddler.users, clock.ms)
    url = await server().empty()
    await moved(tmp_path / FILE, url, clock.ms)
    ids = IdFactory(lambda: clock.ms)
    store = await PostgresStore.open(url, ids=ids, clock=clock)
    try:
        assert (await store.default_account()).id == account
        assert await answers(store, account, meddler.users, clock.ms) == told
        await store.require_key([KEY])
        bench_ = Bench(store, clock, ids, account)
        again = Meddler(bench_, 3)
        again.users = meddler.users
        await again.run(40)
    finally:
        await store.close()
    found = await everything_in_target(url)
    moved_ = everything_in_source(tmp_path / FILE)
    last = max(sequences(moved_["chunk_result"]))
    assert min(sequences(found["chunk_result"] - moved_["chunk_result"])) > last


def sequences(rows: set[tuple[Any, ...]]) -> list[int]:
    """Of result parts, the last of their columns by name."""
    return [row[-1] for row in rows]


@pytest.mark.parametrize("seed", range(2))
async def test_what_changes_while_it_is_copied_comes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """In ranges of a few rows, so that everything changes behind, before and between them; also keys of rows, tokens
    that come to other users, and rows that go and come again."""
    monkeypatch.setattr(copying, "RANGE_ROWS", 40)
    monkeypatch.setattr(snapshot, "BATCH", 30)
    monkeypatch.setattr(move, "FEW", 5)
    async with opened(tmp_path) as bench:
        meddler = Meddler(bench, seed)
        await meddler.found()
        await meddler.run(40)
        url = await server().empty()
        async with moving(tmp_path / FILE, url) as moving_:
            await moving_.begin(IDENT, "sqlite:here", bench.clock.ms)
            copied = asyncio.ensure_future(moving_.copy())
            before = meddler.done
            while not copied.done():
                await meddler.step()
                await breath()
            await copied
            assert meddler.done - before > 20
            await meddler.run(20)
            await moving_.finish(KEY, bench.clock.ms, unmarked, whole=True)
    assert await everything_in_target(url) == everything_in_source(tmp_path / FILE)


async def all_of(moving_: Move, now: int) -> None:
    """A move from its beginning to its end."""
    if await moving_.begin(IDENT, "sqlite:here", now):
        await moving_.copy()
        await moving_.finish(KEY, now, unmarked)
    else:
        await moving_.clean()


async def test_it_goes_on_wherever_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off again and again, at any await, with changes meanwhile: in the end everything is there once."""
    monkeypatch.setattr(copying, "RANGE_ROWS", 40)
    monkeypatch.setattr(snapshot, "BATCH", 20)
    monkeypatch.setattr(move, "FEW", 5)
    chance = random.Random(7)
    url = await server().empty()
    async with opened(tmp_path) as bench:
        meddler = Meddler(bench, 5)
        await meddler.found()
        await meddler.run(80)
        tries, most, over = 0, 3.0, False
        while not over:
            tries += 1
            async with moving(tmp_path / FILE, url) as moving_:
                run = asyncio.ensure_future(all_of(moving_, bench.clock.ms))
                for _ in range(chance.randrange(int(most))):
                    await breath()
                over = run.done()
                run.cancel()
                (ended,) = await asyncio.gather(run, return_exceptions=True)
                assert ended is None or isinstance(ended, asyncio.CancelledError), ended
            if not over:
                await meddler.run(2)
            most *= 1.4
    assert tries > 5
    assert await everything_in_target(url) == everything_in_source(tmp_path / FILE)
