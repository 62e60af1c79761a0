"""A node behind PgBouncer: sessions work as a server of one's own, transactions are refused with the cure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from support.bouncer import bouncer, through
from support.clock import FakeClock
from support.postgres import ReadyClock, server
from support.stores import Bench, recipients_of

from heliogram.doctor.shared import database
from heliogram.domain.ids import IdFactory
from heliogram.domain.operations import Lane
from heliogram.settings import Url
from heliogram.store.errors import StoreError, UnsupportedDatabase
from heliogram.store.moving.target import Target
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.check import look
from heliogram.store.postgres.connecting import connect, is_pooled, require_sessions

pytestmark = pytest.mark.anyio

LATE = "ignore_startup_parameters = jit,plan_cache_mode,lock_timeout,tcp_keepalives_idle"


@pytest.fixture(scope="module")
def sessions() -> Iterator[Path]:
    with bouncer("session") as here:
        yield here


@pytest.fixture(scope="module")
def transactions() -> Iterator[Path]:
    with bouncer("transaction") as here:
        yield here


async def opened(stack: AsyncExitStack, url: str) -> Bench:
    """A node's store, closed at the end."""
    clock = FakeClock()
    ids = IdFactory(lambda: clock.ms)
    store = await PostgresStore.open(url, ids=ids, clock=clock, pool_size=4, pauses=ReadyClock())
    stack.push_async_callback(store.close)
    return Bench(store, clock, ids, (await store.default_account()).id)


async def test_nodes_work_through_sessions(sessions: Path, tmp_path: Path) -> None:
    """One accepts and rings, the other hears it, claims and gives back; one of them is in office."""
    url = through(sessions, await server().database_for(tmp_path))
    async with AsyncExitStack() as stack:
        one, other = await opened(stack, url), await opened(stack, url)
        heard: asyncio.Future[tuple[Lane, int]] = asyncio.get_running_loop().create_future()

        def hear(lane: Lane, shard: int) -> None:
            if not heard.done():
                heard.set_result((lane, shard))

        assert isinstance(other.store, PostgresStore)
        assert isinstance(one.store, PostgresStore)
        stack.callback(other.store._bell.listen(hear))
        operation = await one.accept(recipients_of(3))
        while not heard.done():  # what is rung before it listens is not heard, and found by looking
            one.store._bell.ring(Lane.TX, 0)
            await asyncio.wait([heard], timeout=0.01)
        assert heard.result() == (Lane.TX, 0)
        now = other.clock.ms
        (chunk,) = await other.store.claim(Lane.TX, 0, limit=1, now=now, until=now + 1000, worker="w")
        assert chunk.operation_id == operation.id
        assert await other.store.release(chunk, now, now)
        first, second = one.store.office(), other.store.office()
        term = await first.claim()
        assert term is not None
        assert await second.claim() is None
        await term.end()
        again = await second.claim()
        assert again is not None
        await again.end()
        await first.close()
        await second.close()
    findings = await look(url)
    assert [line for line in findings.problems if "partitions" not in line] == []


@pytest.mark.parametrize("more", ["", LATE])
async def test_settings_are_made_that_a_pooler_does_not_take(more: str, tmp_path: Path) -> None:
    """Whether it refuses them at the start, as it does by itself, or passes over them, as it is often told to."""
    url = await server().database_for(tmp_path)
    with bouncer("session", more) as here:
        connection = await connect(through(here, url), {"jit": "off", "lock_timeout": "7s", "timezone": "UTC"})
        try:
            assert await is_pooled(connection)
            assert await connection.fetchval("SELECT current_setting('jit')") == "off"
            assert await connection.fetchval("SELECT current_setting('lock_timeout')") == "7s"
        finally:
            await connection.close()


async def test_a_server_of_ones_own_is_asked_once(tmp_path: Path) -> None:
    """It takes all settings at the start."""
    url = await server().database_for(tmp_path)
    assert not await require_sessions(url, "here")
    connection = await connect(url, {"lock_timeout": "7s"})
    try:
        assert not await is_pooled(connection)
        assert await connection.fetchval("SELECT current_setting('lock_timeout')") == "7s"
    finally:
        await connection.close()
    with pytest.raises(StoreError, match="the URL of the database is wrong"):
        await connect("postgresql://[", {})


async def test_transactions_are_refused_with_the_cure(transactions: Path, tmp_path: Path) -> None:
    """By a node, by the check and by a move: what they are to do there would be lost between two of them."""
    url = through(transactions, await server().database_for(tmp_path))
    clock = FakeClock()
    for attempt in (
        PostgresStore.open(url, ids=IdFactory(lambda: clock.ms), clock=clock),
        look(url),
        Target.connect(url),
    ):
        with pytest.raises(UnsupportedDatabase, match="set pool_mode=session for this database in the pooler"):
            await attempt


async def test_the_doctor_says_which_way_it_is(sessions: Path, transactions: Path, tmp_path: Path) -> None:
    """That there is a pooler, and what is wrong with it, before a node is started."""
    plain = await server().database_for(tmp_path)
    found = [each async for each in database(Url(through(sessions, plain)), 60.0)]
    assert [each for each in found if ", through a pooler" in each.text] != []
    (failed,) = [each async for each in database(Url(through(transactions, plain)), 60.0)]
    assert "set pool_mode=session" in failed.text


async def test_statements_that_got_mixed_up_are_a_sign_of_it(tmp_path: Path) -> None:
    """Pooling of single statements does not even let two steps of one query through."""
    url = await server().database_for(tmp_path)
    with bouncer("statement") as here, pytest.raises(UnsupportedDatabase):
        await require_sessions(through(here, url), "here")


async def test_a_server_that_refuses_a_setting_is_not_taken_for_a_pooler(tmp_path: Path) -> None:
    """What it says is passed on."""
    url = await server().database_for(tmp_path)
    with pytest.raises(asyncpg.PostgresError, match="no_such_setting"):
        await connect(url, {"no_such_setting": "1"})
