"""Running the embedded store's jobs on PostgreSQL: rows, transactions, attempts, connections that are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest
from support.clock import FakeClock
from support.postgres import ReadyClock, server

from heliogram.store.errors import Conflict, StoreClosed, StoreUnavailable
from heliogram.store.postgres import isolation
from heliogram.store.postgres.facade import Rows, run_job
from heliogram.store.postgres.isolation import READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE, isolation_of
from heliogram.store.postgres.jobs import ATTEMPTS, Jobs
from heliogram.store.postgres.link import Link
from heliogram.store.postgres.pool import Pool
from heliogram.store.sqlite import SqliteStore, apps

pytestmark = pytest.mark.anyio

Made = Callable[..., Jobs]


@pytest.fixture
async def made(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Made]:
    """Makes `Jobs` on a database with one table of numbers."""
    url = await server().database_for(tmp_path)
    admin = await asyncpg.connect(url)
    await admin.execute("CREATE SCHEMA scratch; CREATE TABLE scratch.t (n bigint PRIMARY KEY, v bigint)")
    every: list[Jobs] = []

    def make(size: int = 4, clock: FakeClock | None = None, chance: float = 1.0) -> Jobs:
        async def connect() -> Link:
            return Link(await asyncpg.connect(url))

        one = Jobs(Pool(connect, size), "postgresql://here/db", clock or ReadyClock(), lambda: chance)
        every.append(one)
        return one

    yield make
    for each in every:
        await each.close()
    await admin.execute("DROP SCHEMA scratch CASCADE")
    await admin.close()


def put(number: int, value: int = 0) -> Callable[[apsw.Connection], int]:
    """A job that writes a row."""

    def job(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO scratch.t (n, v) VALUES (:n, :v)", {"n": number, "v": value})
        return connection.changes()

    return job


def count(connection: apsw.Connection) -> Any:
    """A job that reads."""
    return connection.execute("SELECT count(*) FROM scratch.t").get


async def test_rows_are_shown_as_by_apsw() -> None:
    """`get` is the only value, the only row, or a list; what was fetched is gone."""
    assert Rows([]).get is None
    assert Rows([(1,)]).get == 1
    assert Rows([(1, 2)]).get == (1, 2)
    assert Rows([(1,), (2,)]).get == [1, 2]
    rows = Rows([(1,), (2,), (3,)])
    assert rows.fetchone() == (1,)
    assert rows.fetchall() == [(2,), (3,)]
    assert rows.fetchone() is None
    assert list(Rows([(1,)])) == [(1,)]


async def test_a_job_that_fails_leaves_nothing(made: Made) -> None:
    """And its error is the caller's."""
    one = made()

    def job(connection: apsw.Connection) -> None:
        put(1)(connection)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await one.write(job)
    assert await one.read(count) == 0
    assert "idle=1" in repr(one)  # the connection is good for the next


async def test_changes_are_of_the_last_statement_that_writes(made: Made) -> None:
    """As SQLite counts: reading does not change it."""
    one = made()
    await one.write(put(1))
    await one.write(put(2))

    def job(connection: apsw.Connection) -> tuple[int, int]:
        rows = connection.execute("UPDATE scratch.t SET v = 1 RETURNING n").fetchall()
        connection.execute("SELECT 1")
        return len(rows), connection.changes()

    assert await one.write(job) == (2, 2)


async def test_a_reading_job_of_several_statements_sees_one_moment(made: Made) -> None:
    """Also the first time, when nobody knows yet that there are several."""
    one, other = made(), made()
    seen: list[tuple[int, int]] = []
    loop = asyncio.get_running_loop()

    def job(connection: apsw.Connection) -> tuple[int, int]:
        first = count(connection)
        loop.call_soon(started.set)
        for _ in range(20):  # time for the other to write
            connection.execute("SELECT 1")
        return first, count(connection)

    for number in range(2):
        started = asyncio.Event()
        reading = asyncio.ensure_future(one.read(job))
        await started.wait()
        await other.write(put(number))
        seen.append(await reading)
    assert all(first == second for first, second in seen)


async def test_who_is_in_each_others_way_goes_again(made: Made) -> None:
    """Eight add one to the same row: none is lost, and none fails."""
    one, other = made(), made()
    await one.write(put(1))

    def add(connection: apsw.Connection) -> None:
        value: Any = connection.execute("SELECT v FROM scratch.t WHERE n = 1").get
        connection.execute("UPDATE scratch.t SET v = :v WHERE n = 1", {"v": value + 1})

    def by_rows(each: Jobs) -> Any:
        async def body(link: Link) -> None:
            await run_job(add, link)

        return each.transact(body, REPEATABLE_READ)

    await asyncio.gather(*(by_rows(each) for each in [one, other] * 2), *(each.write(add) for each in [one, other] * 2))
    assert await one.read(lambda c: c.execute("SELECT v FROM scratch.t").get) == 8
    assert one.again + other.again > 0


async def test_attempts_are_bounded_and_pauses_grow(made: Made) -> None:
    """What others always get in the way of fails after ten attempts, with waits that double up to a quarter second."""
    clock = FakeClock()
    one = made(clock=clock, chance=0.0)
    tries = 0

    async def body(link: Link) -> None:
        nonlocal tries
        tries += 1
        raise asyncpg.SerializationError("could not serialize")

    going = asyncio.ensure_future(one.transact(body))
    waits = []
    for _ in range(ATTEMPTS - 2):
        await clock.timer_set()
        waits.append(round(clock.timers[0], 5))
        clock.advance(clock.timers[0])
    with pytest.raises(StoreUnavailable, match="too many others"):
        await going
    assert tries == ATTEMPTS
    assert waits == [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25]


async def test_chance_halves_a_pause_at_most(made: Made) -> None:
    """So that two who met do not meet again."""
    clock = FakeClock()
    one = made(clock=clock, chance=1.0)

    async def body(link: Link) -> None:
        raise asyncpg.DeadlockDetectedError("deadlock detected")

    going = asyncio.ensure_future(one.transact(body))
    await clock.timer_set()
    assert [round(each, 5) for each in clock.timers] == [0.001]
    for _ in range(ATTEMPTS - 2):
        await clock.timer_set()
        clock.advance(1)
    with pytest.raises(StoreUnavailable):
        await going


async def _named(link: Link) -> None:
    await link.command("SET application_name = 'to be ended'")


async def test_a_lost_connection_is_replaced_once(made: Made) -> None:
    """A server that was restarted costs nobody an error: all its connections went at once."""
    one, other = made(size=2), made(size=1)
    await asyncio.gather(*(one.read(count) for _ in range(2)))
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be ended'"
    await asyncio.gather(*(one.look(_named) for _ in range(2)))
    await other.read(lambda c: c.execute(ends).fetchall())
    await asyncio.gather(*(one.write(put(number)) for number in range(4)))
    assert await one.read(count) == 4


async def test_a_connection_lost_in_commit_is_not_tried_again(made: Made) -> None:
    """Nobody knows whether it was written; who wants it twice asks twice."""
    one = made(size=1)
    tries = 0

    async def body(link: Link) -> None:
        nonlocal tries
        tries += 1
        await link.execute("INSERT INTO scratch.t (n) VALUES (:n)", {"n": tries})
        link.cut()

    with pytest.raises(StoreUnavailable, match="in the middle of COMMIT"):
        await one.transact(body)
    assert tries == 1


async def test_a_write_goes_on_when_nobody_waits(made: Made) -> None:
    """As the embedded store's: a caller who is cancelled does not decide how much of it is written."""
    one = made()
    going, goes_on = asyncio.Event(), asyncio.Event()

    async def body(link: Link) -> None:
        going.set()
        await goes_on.wait()
        await link.execute("INSERT INTO scratch.t (n) VALUES (1)", {})

    caller = asyncio.ensure_future(one.transact(body))
    await going.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    closing = asyncio.ensure_future(one.close())
    goes_on.set()
    await closing
    assert await made().read(count) == 1


async def test_a_cancelled_read_spoils_no_connection(made: Made) -> None:
    """The connection it was on is not lent again in the middle of something."""
    one = made(size=1)
    reading = asyncio.ensure_future(one.read(lambda c: c.execute("SELECT pg_sleep(60)").get))
    while "busy=1" not in repr(one):
        await asyncio.wait([reading], timeout=0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await one.read(count) == 0
    assert "reading=0" in repr(one)


async def test_what_was_begun_is_finished_and_nothing_else_is_begun(made: Made) -> None:
    """Closing waits, also twice, and refuses what comes later."""
    one = made(size=1)
    begun = [asyncio.ensure_future(one.write(put(number))) for number in range(5)]
    await asyncio.wait(begun, timeout=0)
    await asyncio.gather(one.close(), one.close())
    assert [await each for each in begun] == [1] * 5
    for attempt in (one.write(put(9)), one.read(count), one.transact(lambda link: link.execute("SELECT 1", {}))):
        with pytest.raises(StoreClosed):
            await attempt


async def test_no_more_connections_than_the_pools_size(made: Made) -> None:
    """The rest waits in turn."""
    one = made(size=3)
    await asyncio.gather(*(one.read(lambda c: c.execute("SELECT pg_backend_pid()").get) for _ in range(30)))
    assert "opened=3" in repr(one)
    with pytest.raises(ValueError, match="at least 1"):
        made(size=0)


async def test_who_stops_waiting_for_a_connection_passes_it_on(made: Made) -> None:
    """A cancelled caller keeps nobody behind it waiting."""
    one = made(size=1)
    hold, held = asyncio.Event(), asyncio.Event()

    async def body(link: Link) -> None:
        held.set()
        await hold.wait()

    first = asyncio.ensure_future(one.look(body))
    await held.wait()
    second, third = (asyncio.ensure_future(one.read(count)) for _ in range(2))
    await asyncio.wait([second], timeout=0)
    hold.set()
    await first
    second.cancel()
    assert await third == 0


async def test_a_key_that_is_there_for_good_is_a_conflict(made: Made) -> None:
    """It is tried again, since another may just have made it; when it stays, the caller is told."""
    one = made()
    await one.write(put(1))
    with pytest.raises(Conflict, match="duplicate key"):
        await one.write(put(1))


def test_jobs_without_serializable_are_named_as_they_are_called() -> None:
    """A method that was renamed would fall back to SERIALIZABLE unnoticed."""
    classes = {each.__name__: each for each in SqliteStore.__mro__}
    for name in isolation.BY_ROWS:
        owner, _, method = name.rpartition(".")
        assert method in (vars(classes[owner]) if owner else vars(apps)), name


def test_what_is_not_named_is_serializable() -> None:
    """Nothing has to be proven about it."""
    assert isolation_of(count.__code__) is SERIALIZABLE
    assert isolation_of(None) is SERIALIZABLE
    assert READ_COMMITTED != SERIALIZABLE


async def test_those_who_go_again_do_not_defeat_each_other(made: Made) -> None:
    """Sixty who change one row at once, at two nodes: each of them does, and nobody runs out of attempts."""
    nodes = made(), made()
    await nodes[0].write(put(1))

    async def more(link: Link) -> None:
        value = await link.connection.fetchval("SELECT v FROM scratch.t WHERE n = 1")
        await link.connection.execute("UPDATE scratch.t SET v = $1 WHERE n = 1", value + 1)

    await asyncio.gather(*(nodes[n % 2].transact(more, REPEATABLE_READ) for n in range(60)))
    assert await nodes[0].read(lambda c: c.execute("SELECT v FROM scratch.t").get) == 60
    assert sum(node.again for node in nodes) > 0


async def test_where_the_server_has_no_room_for_more_connections_those_there_go_round(tmp_path: Path) -> None:
    """Twenty at once with room for two: all of them are done. With room for none the caller is told."""
    url = await server().database_for(tmp_path)
    admin = await asyncpg.connect(url)
    await admin.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 2")

    async def connect() -> Link:
        return Link(await asyncpg.connect(url.replace("heliogram@", "few@")))

    async def look(link: Link) -> int:
        return int(await link.connection.fetchval("SELECT 1"))

    one, other = (Jobs(Pool(connect, 8), "postgresql://here/db", ReadyClock()) for _ in range(2))
    try:
        assert sum(await asyncio.gather(*(one.look(look) for _ in range(20)))) == 20
        with pytest.raises(StoreUnavailable, match="raise max_connections there"):
            await other.look(look)
    finally:
        await one.close()
        await other.close()
        await admin.execute("DROP ROLE few")
        await admin.close()
