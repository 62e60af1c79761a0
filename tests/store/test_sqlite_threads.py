"""Group commit: one transaction for what queued up, each job on its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import apsw
import pytest

from heliogram.store.errors import StoreFull, StoreUnavailable
from heliogram.store.sqlite.threads import MAX_GROUP, DatabaseThread, reader, writer

pytestmark = pytest.mark.anyio


def insert(number: int) -> Callable[[apsw.Connection], int]:
    def job(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return job


def fail(connection: apsw.Connection) -> None:
    """Writes, then cannot go on."""
    connection.execute("INSERT INTO t VALUES (-1)")
    raise LookupError("no such thing")


class Setup:
    """A writer whose first job waits until it may go on, so that others queue up behind it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
        self.writer = writer(path, connection)
        self.gate = threading.Event()

    async def hold(self) -> asyncio.Future[bool]:
        """Returns once the writer is busy with a job that ends when the gate opens."""
        loop, busy = asyncio.get_running_loop(), asyncio.Event()

        def job(_: apsw.Connection) -> bool:
            loop.call_soon_threadsafe(busy.set)
            return self.gate.wait(90)

        held = asyncio.ensure_future(self.writer.run(job))
        await busy.wait()
        return held

    def rows(self) -> list[object]:
        connection = apsw.Connection(str(self.path))
        found: list[object] = [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]
        connection.close()
        return found


@asynccontextmanager
async def set_up(tmp_path: Path) -> AsyncIterator[Setup]:
    made = Setup(tmp_path / "t.db")
    try:
        yield made
    finally:
        made.gate.set()
        await made.writer.close()


async def queued(setup: Setup, jobs: list[Callable[[apsw.Connection], object]], *, bare: bool = False) -> list[object]:
    """Runs jobs that all queued up behind the one that runs; exceptions are returned."""
    held = await setup.hold()
    tasks = [asyncio.ensure_future(setup.writer.run(job, bare=bare)) for job in jobs]
    await asyncio.sleep(0)  # the tasks put their jobs
    setup.gate.set()
    await held
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_queued_up_is_one_transaction(tmp_path: Path) -> None:
    """Everything put while a commit ran is committed together."""
    async with set_up(tmp_path) as setup:
        await setup.writer.run(insert(0))
        before = setup.writer.groups
        results = await queued(setup, [insert(n) for n in range(1, 21)])
        assert results == list(range(1, 21))
        assert setup.writer.groups - before == 2  # the held job's, and everybody else's
        assert setup.rows() == list(range(21))


@pytest.mark.parametrize("bare", [False, True])
async def test_a_failing_job_fails_alone(tmp_path: Path, bare: bool) -> None:
    """Its writes are undone, its caller gets the error, the others are committed; also without savepoints."""
    async with set_up(tmp_path) as setup:
        results = await queued(setup, [insert(1), fail, insert(2), insert(1), insert(3)], bare=bare)
        assert isinstance(results[1], LookupError)
        assert "UNIQUE" in str(results[3])
        assert [results[n] for n in (0, 2, 4)] == [1, 2, 3]
        assert setup.rows() == [1, 2, 3]


async def test_a_bare_job_that_fails_before_it_writes_costs_no_second_run(tmp_path: Path) -> None:
    """As one does that is refused: what others of its group wrote stands."""
    runs = 0

    def count(connection: apsw.Connection) -> int:
        nonlocal runs
        runs += 1
        return insert(1)(connection)

    def refuse(_: apsw.Connection) -> None:
        raise LookupError("no room")

    async with set_up(tmp_path) as setup:
        results = await queued(setup, [count, refuse, insert(2)], bare=True)
        assert isinstance(results[1], LookupError)
        assert (setup.rows(), runs) == ([1, 2], 1)


async def test_a_bare_job_that_fails_alone_tells_its_own_error(tmp_path: Path) -> None:
    """Its group is run one by one since the disk is too full for another of it: it is undone and says what it would."""

    def full(_: apsw.Connection) -> None:
        raise apsw.FullError("no room")

    async with set_up(tmp_path) as setup:
        results = await queued(setup, [insert(1), full, fail, insert(2)], bare=True)
        assert [type(results[n]) for n in (1, 2)] == [StoreFull, LookupError]
        assert [results[n] for n in (0, 3)] == [1, 2]
        assert setup.rows() == [1, 2]


async def test_each_transaction_that_is_undone_is_told_of(tmp_path: Path) -> None:
    """As often as a job's writes are lost with others', and not when they stand."""
    undone = list[int]()

    def trouble(_: apsw.Connection) -> None:
        raise apsw.IOError("disk gone")

    async with set_up(tmp_path) as setup:
        for number, other in ((1, trouble), (2, fail), (3, insert(9))):
            held = await setup.hold()
            jobs = [
                setup.writer.run(insert(number), bare=True, undone=partial(undone.append, number)),
                setup.writer.run(other, bare=True),
            ]
            tasks = [asyncio.ensure_future(job) for job in jobs]
            await asyncio.sleep(0)
            setup.gate.set()
            await asyncio.gather(held, *tasks, return_exceptions=True)
            setup.gate.clear()
        assert (undone, setup.rows()) == ([1, 2], [2, 3, 9])


async def test_a_group_is_bounded(tmp_path: Path) -> None:
    """No transaction has more jobs than MAX_GROUP."""
    async with set_up(tmp_path) as setup:
        await queued(setup, [insert(n) for n in range(2 * MAX_GROUP + 1)])
        assert setup.writer.done == 2 * MAX_GROUP + 2
        assert setup.writer.groups == 4  # the held job's, two full ones, the rest


async def test_an_idle_writer_commits_at_once(tmp_path: Path) -> None:
    """A single job is a transaction of its own, with no timer to wait for."""
    async with set_up(tmp_path) as setup:
        for number in range(3):
            await setup.writer.run(insert(number))
        assert setup.writer.groups == 3


async def test_trouble_with_the_database_fails_the_whole_group(tmp_path: Path) -> None:
    """Nothing of it is written, everybody is told, and the writer goes on."""

    def trouble(_: apsw.Connection) -> None:
        raise apsw.IOError("disk gone")

    async with set_up(tmp_path) as setup:
        results = await queued(setup, [insert(1), trouble, insert(2)])
        assert [type(result) for result in results] == [StoreUnavailable] * 3
        assert setup.rows() == []
        assert await setup.writer.run(insert(7)) == 7


async def test_a_cancelled_caller_does_not_disturb_the_rest(tmp_path: Path) -> None:
    """The others of the group get their answers."""
    async with set_up(tmp_path) as setup:
        held = await setup.hold()
        gone, kept = (asyncio.ensure_future(setup.writer.run(insert(n))) for n in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        setup.gate.set()
        assert await kept == 2
        assert await held


async def test_closing_finishes_what_was_put(tmp_path: Path) -> None:
    """Jobs that wait are done before the connection closes."""
    async with set_up(tmp_path) as setup:
        held = await setup.hold()
        task = asyncio.ensure_future(setup.writer.run(insert(1)))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(setup.writer.close())
        setup.gate.set()
        await asyncio.gather(held, closing)
        assert await task == 1
        assert setup.rows() == [1]


async def test_a_reader_sees_what_was_committed_before_it_asked(tmp_path: Path) -> None:
    """Whoever has written can read it."""
    async with set_up(tmp_path) as setup:
        thread: DatabaseThread = reader("reader", setup.path, apsw.Connection(str(setup.path)))
        for number in range(50):
            await setup.writer.run(insert(number))
            assert await thread.run(lambda c: c.execute("SELECT max(n) FROM t").get) == number
        with pytest.raises(LookupError):
            await thread.run(fail)
        await thread.close()


async def test_a_gathering_reader_takes_what_one_pass_brings_together(tmp_path: Path) -> None:
    """One transaction for all of it; what was put before it closes is done."""
    async with set_up(tmp_path) as setup:
        await setup.writer.run(insert(1))
        thread = reader("reader", setup.path, apsw.Connection(str(setup.path)), gather=True)
        count = "SELECT count(*) FROM t"
        assert await asyncio.gather(*(thread.run(lambda c: c.execute(count).get) for _ in range(20))) == [1] * 20
        assert thread.done == 20
        assert thread.groups < 20
        last = asyncio.ensure_future(thread.run(lambda c: c.execute(count).get))
        await asyncio.sleep(0)
        await thread.close()
        assert await last == 1


async def test_a_thread_shows_itself_with_counts(tmp_path: Path) -> None:
    """One line tells how busy it is."""
    async with set_up(tmp_path) as setup:
        await setup.writer.run(insert(1))
        assert repr(setup.writer) == "DatabaseThread(writer, waiting=0, done=1, groups=1)"


async def test_a_long_job_keeps_the_others_waiting_for_itself_alone(tmp_path: Path) -> None:
    """Of what waits, the short jobs come first, all in one transaction; long ones follow, each in one of its own, and
    what comes meanwhile goes before the next of them."""
    order: list[str] = []

    async with set_up(tmp_path) as setup:

        def job(name: str) -> Callable[[apsw.Connection], None]:
            return lambda _: order.append(name)

        loop, late = asyncio.get_running_loop(), list[asyncio.Future[None]]()
        came = threading.Event()

        def come() -> None:
            late.append(asyncio.ensure_future(setup.writer.run(job("late"))))
            loop.call_soon(came.set)

        def first(_: apsw.Connection) -> None:
            order.append("long 1")
            loop.call_soon_threadsafe(come)
            came.wait(90)

        held = await setup.hold()
        before = setup.writer.groups
        longs = [asyncio.ensure_future(setup.writer.run(each, long=True)) for each in (first, job("long 2"))]
        shorts = [asyncio.ensure_future(setup.writer.run(job(f"short {n}"))) for n in range(3)]
        await asyncio.sleep(0)
        setup.gate.set()
        await asyncio.gather(held, *longs, *shorts, *late)
        await asyncio.gather(*late)
        assert order == ["short 0", "short 1", "short 2", "long 1", "late", "long 2"]
        assert setup.writer.groups - before == 5  # the held job's, the short ones', and three of one job each


async def test_long_jobs_are_finished_before_the_writer_closes(tmp_path: Path) -> None:
    """What was put before `close` is done, long or not."""
    async with set_up(tmp_path) as setup:
        held = await setup.hold()
        tasks = [asyncio.ensure_future(setup.writer.run(insert(n), long=n % 2 == 0)) for n in range(6)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(setup.writer.close())
        await asyncio.sleep(0)
        setup.gate.set()
        assert await asyncio.gather(*tasks) == list(range(6))
        await asyncio.gather(held, closing)
        assert setup.rows() == list(range(6))
