"""What nodes tell each other of the last minutes by the database they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from support.clock import FakeClock
from support.postgres import ReadyClock, server

from heliogram.domain.ids import IdFactory
from heliogram.ports.activity import MAX_TOLD, OUTCOMES_KEPT
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.activity import DAY_MS, MAX_WANTED, WINDOW_MS

pytestmark = pytest.mark.anyio

ACCOUNT, OTHER, NODE = b"a" * 16, b"b" * 16, b"n" * 16
MINUTE = 60_000


class Table:
    """A store, and a connection beside it that makes rows older."""

    def __init__(self, store: PostgresStore, link: asyncpg.Connection) -> None:
        self.store, self.link = store, link

    async def tell(self, number: int, outcomes: int = 0, *, node: bytes = NODE, account: bytes = ACCOUNT) -> bool:
        return await self.store.tell_activity(account, node, number, "name", outcomes, b"body")

    async def turns(self, account: bytes = ACCOUNT) -> list[tuple[int, int]]:
        """Turns, and outcomes up to them."""
        return [(each.turn, each.last) for each in await self.store.told_activity(account, 0)]

    async def age(self, ms: int) -> None:
        """All that was told is so much older."""
        await self.link.execute("UPDATE activity_told SET at = at - $1", ms)


@pytest.fixture
async def table(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Table]:
    clock = FakeClock()
    url = await server().database_for(tmp_path)
    store = await PostgresStore.open(url, ids=IdFactory(lambda: clock.ms), clock=clock, pauses=ReadyClock())
    link = await asyncpg.connect(url)
    yield Table(store, link)
    await link.close()
    await store.close()


async def test_who_looks_first_hears_which_nodes_send(table: Table) -> None:
    """Whoever looks meanwhile does not: what they know is there already."""
    for ident, roles in ((NODE, "api,worker"), (OTHER, "dispatcher")):
        await table.store.seen(ident, "name", roles)
    first = await table.store.want_activity(ACCOUNT, MINUTE)
    assert (first.fresh, first.turn, first.senders) == (True, 0, frozenset({NODE}))
    await table.tell(1)
    again = await table.store.want_activity(ACCOUNT, MINUTE)
    assert (again.fresh, again.turn, again.senders) == (False, 1, frozenset())


async def test_an_account_is_wanted_for_a_while(table: Table) -> None:
    """Then nobody tells of it until somebody looks again; what one look asks for no other shortens."""
    await table.store.want_activity(ACCOUNT, 0)
    assert await table.store.wanted_activity() == []
    assert (await table.store.want_activity(ACCOUNT, MINUTE)).fresh
    await table.store.want_activity(ACCOUNT, 0)
    assert await table.store.wanted_activity() == [ACCOUNT]


async def test_so_many_accounts_are_told_of_at_once(table: Table) -> None:
    """Those first that are wanted longest."""
    for number in range(MAX_WANTED + 1):
        await table.store.want_activity(number.to_bytes(16, "big"), MINUTE + 1000 * number)
    wanted = await table.store.wanted_activity()
    assert [int.from_bytes(each, "big") for each in wanted] == list(range(MAX_WANTED, 0, -1))


async def test_what_is_told_of_an_account_that_nobody_ever_looked_at_is_not_heard(table: Table) -> None:
    """The node goes on knowing it."""
    assert not await table.tell(1)
    await table.store.want_activity(ACCOUNT, MINUTE)
    assert await table.tell(1)
    assert await table.turns(OTHER) == []


async def test_what_is_told_again_is_there_once(table: Table) -> None:
    """A node that lost the answer to COMMIT tells it again; another node's numbers are its own."""
    await table.store.want_activity(ACCOUNT, MINUTE)
    for number, node in ((1, NODE), (1, NODE), (1, OTHER), (2, NODE), (1, OTHER)):
        assert await table.tell(number, 5, node=node)
    assert await table.turns() == [(1, 5), (2, 10), (3, 15)]


async def test_turns_can_be_read_in_their_order(table: Table) -> None:
    """Whoever tells at one moment gets turns without a gap that is filled later: what was read up to is all there."""
    await table.store.want_activity(ACCOUNT, MINUTE)
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 60:
            rows = await table.store.told_activity(ACCOUNT, seen[-1] if seen else 0)
            seen.extend(each.turn for each in rows)

    tellers = [table.tell(number, 1, node=bytes([node]) * 16) for node in range(6) for number in range(10)]
    await asyncio.gather(read(), *tellers)
    assert seen == list(range(1, 61))


async def test_so_many_rows_are_read_at_once(table: Table) -> None:
    """The rest is behind the last of them."""
    await table.store.want_activity(ACCOUNT, MINUTE)
    for number in range(MAX_TOLD + 1):
        await table.tell(number)
    assert len(await table.store.told_activity(ACCOUNT, 0)) == MAX_TOLD
    (last,) = await table.store.told_activity(ACCOUNT, MAX_TOLD)
    assert (last.turn, last.node, last.name, last.body) == (MAX_TOLD + 1, NODE, "name", b"body")


async def test_what_is_older_than_the_window_goes(table: Table) -> None:
    """But for rows with some of the newest outcomes, which stay for a day."""
    await table.store.want_activity(ACCOUNT, MINUTE)
    for number, outcomes in enumerate((1, OUTCOMES_KEPT - 1, 0, 1)):
        await table.tell(number, outcomes)
    await table.age(WINDOW_MS - MINUTE)
    assert await table.store.forget_activity() == 0
    await table.age(MINUTE)
    assert await table.store.forget_activity() == 2
    assert [turn for turn, _ in await table.turns()] == [2, 4]
    await table.age(DAY_MS)
    assert await table.store.forget_activity() == 2
    await table.tell(9, 1)
    assert await table.turns() == [(5, OUTCOMES_KEPT + 2)]


async def test_it_is_gone_after_a_crash_and_nothing_else_is(table: Table) -> None:
    """What is told here is written to no log of the server."""
    kinds = await table.link.fetch("SELECT relname::text, relpersistence = 'u' FROM pg_class WHERE relkind = 'r'")
    unlogged = {name for name, is_unlogged in kinds if is_unlogged}
    assert unlogged == {"activity_told", "activity_wanted"}
