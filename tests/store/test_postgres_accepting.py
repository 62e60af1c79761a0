"""Sends that are accepted while connections are lost and callers leave, and what waits being counted beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, cast

import asyncpg
import msgspec
import pytest
from support.clock import FakeClock
from support.postgres import server
from support.stores import Bench, open_postgres, opened, recipients_of

from heliogram.domain.backlog import QueueBounds
from heliogram.domain.operations import cut
from heliogram.store.errors import Conflict
from heliogram.store.postgres import PostgresStore
from heliogram.store.postgres.catalogue import Values
from heliogram.store.postgres.link import Link
from heliogram.store.postgres.repair import put_right
from heliogram.store.sqlite.check import Findings

pytestmark = pytest.mark.anyio
KEPT = 1


@pytest.fixture
async def bench(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A store, and an app with a credential."""
    async with opened(tmp_path, open_postgres, FakeClock()) as made:
        await made.app()
        yield made


class Torn(Link):
    """The first send that is written by way of it is written, and the connection is lost before anybody is told."""

    def __init__(self, link: Link, torn: list[int]) -> None:
        super().__init__(link.connection)
        self._torn = torn

    async def execute(self, statement: str, values: Values) -> Sequence[Any]:
        rows = await super().execute(statement, values)
        if "ids" in values and rows[0][0] == [KEPT] and not rows[0][5] and not self._torn:
            self._torn.append(1)
            self.cut()
            raise ConnectionResetError
        return rows


@pytest.mark.parametrize(("before", "size"), [(0, 30), (850, 48), (900, 40), (900, 60), (900, 100)])
async def test_what_was_kept_before_its_connection_was_lost_is_accepted(bench: Bench, before: int, size: int) -> None:
    """The second try meets what the first has kept: as the same send, whether there is room for it twice, room that is
    given out one after another, or none."""
    store = cast("PostgresStore", bench.store)
    pool, torn = store._jobs._pool, list[int]()
    connect = pool._connect
    if before:
        await bench.accept(recipients_of(before))

    async def connect_badly() -> Link:
        return Torn(await connect(), torn)

    pool._connect = connect_badly
    pool.renew()
    recipients = recipients_of(size)
    operation = bench.operation(recipients)
    bounds = QueueBounds(total=1_000, account=1_000)
    await store.accept(bench.account, operation, cut(operation.id, recipients), bounds=bounds)
    assert torn
    assert await store.get_operation(bench.account, operation.id) is not None
    assert (await store.count_account(bench.account, bench.clock.ms)).waiting == before + size


async def test_a_value_that_cannot_be_sent_spoils_no_send_beside_it(bench: Bench) -> None:
    """The driver refuses it before the server is asked, for all that go together: each is asked for alone then."""
    made = [bench.operation(recipients_of(1)) for _ in range(4)]
    made[2] = msgspec.structs.replace(made[2], updated=2**63)
    found = await asyncio.gather(
        *(bench.store.accept(bench.account, each, cut(each.id, recipients_of(1))) for each in made),
        return_exceptions=True,
    )
    assert [type(each) for each in found] == [type(None), type(None), Conflict, type(None)]
    kept = [await bench.store.get_operation(bench.account, each.id) is not None for each in made]
    assert kept == [True, True, False, True]


async def test_of_who_leaves_nothing_stays_but_the_send(bench: Bench) -> None:
    """What a caller who is gone has begun is kept, and nobody remembers the caller."""
    store = cast("PostgresStore", bench.store)
    recipients = recipients_of(1)
    operation = bench.operation(recipients)
    going = asyncio.ensure_future(store.accept(bench.account, operation, cut(operation.id, recipients)))
    for _ in range(3):
        await asyncio.sleep(0)
    ((_, gathering),) = store._together.items()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    if gathering._running is not None:
        await gathering._running
    assert store._together == {}
    assert await store.get_operation(bench.account, operation.id) is not None


async def test_counting_what_waits_keeps_no_send_in_a_circle(bench: Bench, tmp_path: Path) -> None:
    """Whoever sends has the count of all accounts first, and then wants that of its own, which nobody has who waits
    for the first."""
    url = await server().database_for(tmp_path)
    await bench.accept(recipients_of(3))
    sender, looker = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        await sender.execute("UPDATE queue_depth SET waiting = waiting + 5 WHERE account_id <> ''")
        more = (
            "INSERT INTO queue_depth AS d (account_id, slot, waiting, ended) VALUES ($1, 0, $2, 0)"
            " ON CONFLICT (account_id, slot) DO UPDATE SET waiting = d.waiting + $2"
        )
        await sender.execute("SET deadlock_timeout = '10ms'")  # it would be told first
        await sender.execute("BEGIN")
        await sender.execute(more, b"", 1)
        repair = asyncio.ensure_future(put_right(url, Findings(), bench.clock.ms))
        blocked = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
        blocked += " WHERE NOT l.granted AND a.application_name = 'heliogram check' AND a.datname = current_database()"
        while not await looker.fetchval(blocked):
            assert not repair.done()
        await sender.execute(more, bench.account, 1)
        await sender.execute(more, b"", -1)
        await sender.execute(more, bench.account, -1)
        await sender.execute("COMMIT")
        made = await repair
    finally:
        await sender.close()
        await looker.close()
    assert any("were counted as 8, and are 3" in line for line in made.done)
    assert (await bench.store.count_account(bench.account, bench.clock.ms)).waiting == 3
