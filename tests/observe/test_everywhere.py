"""What all nodes do, as each of them shows it: told by a database they share, while somebody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from support.activity import chunk_of, record
from support.clock import FakeClock, FakeTimer
from support.postgres import server

from heliogram.domain.ids import IdFactory
from heliogram.domain.notifications import DeliveryRecord, Outcome
from heliogram.domain.operations import Counts
from heliogram.observe.activity import Activity, Lanes
from heliogram.observe.everywhere import MAX_VIEWS, READ_SECONDS, RENEW_SECONDS, WAIT_SECONDS, WANTED_MS, AllNodes
from heliogram.observe.recent import Recent
from heliogram.observe.tally import Tally
from heliogram.observe.telling import LOOK_SECONDS, PRESENT_SECONDS, Telling, body_of
from heliogram.ports.activity import OUTCOMES_A_SECOND, OUTCOMES_KEPT, WINDOW_SECONDS
from heliogram.store.errors import StoreUnavailable
from heliogram.store.postgres import PostgresStore

pytestmark = pytest.mark.anyio

ACCOUNT = b"a" * 16


class GoingClock(FakeClock):
    """Whoever waits has waited: time passes by as much, in the loop's next pass."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        """Calls back when what is under way has had its turn."""
        timer = FakeTimer(delay, callback)

        def ring() -> None:
            if not timer.canceled:
                self.advance(delay)
                callback()

        asyncio.get_running_loop().call_soon(ring)
        return timer


class Node:
    """One of several, with a connection of its own to the database they share."""

    def __init__(self, name: str, store: PostgresStore, clock: GoingClock, *, sends: bool) -> None:
        self.name, self.store, self.clock = name, store, clock
        self.ids = IdFactory(lambda: clock.ms)
        self.ident = name.encode().ljust(16)
        self.roles = "worker" if sends else "api"
        lanes = Lanes(store, clock)
        self.activity = Activity(clock, lanes, node=name, sends=sends)
        self.telling = Telling(store, self.activity, clock, self.ident)
        self.book = AllNodes(store, clock, lanes, node=name, telling=self.telling if sends else None)

    def sent(self, *records: DeliveryRecord, **counts: int) -> None:
        """Chunks of this node are on disk."""
        tally = Tally(FakeClock(self.clock.time()), self.activity.heard)
        tally.wrote(chunk_of(self.ids, ACCOUNT), records, Counts(**(counts or {"sent": len(records)})))
        tally.hand_over()

    async def there(self) -> None:
        """The others know of it."""
        await self.store.seen(self.ident, self.name, self.roles)

    async def looked(self, *telling: Node, after: int | None = None) -> list[tuple[int, str]]:
        """Sequences and nodes of the outcomes that it shows now, while others tell theirs."""
        self.clock.advance(READ_SECONDS)
        looking = asyncio.create_task(self.book.refresh(ACCOUNT))
        while telling and not looking.done():
            for each in telling:
                await each.telling.tell()
        await looking
        seen = self.book.outcomes(ACCOUNT, after=after, limit=OUTCOMES_KEPT)
        return [(each.sequence, each.node) for each in seen.outcomes]


class House:
    """The nodes."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url, self.stack, self.clock = url, stack, GoingClock()

    async def node(self, name: str, *, sends: bool = True) -> Node:
        """Another one."""
        ids = IdFactory(lambda: self.clock.ms)
        store = await PostgresStore.open(self.url, ids=ids, clock=self.clock, pool_size=2)
        self.stack.push_async_callback(store.close)
        return Node(name, store, self.clock, sends=sends)

    async def command(self, text: str) -> None:
        """Something done to the database from outside."""
        link = await asyncpg.connect(self.url)
        await link.execute(text)
        await link.close()


@pytest.fixture
async def house(anyio_backend: str, tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield House(await server().database_for(tmp_path), stack)


async def test_a_node_that_sends_nothing_shows_what_the_others_send(house: House) -> None:
    """Counts add up, and percentiles are of all answers together: of nodes that answer in 8 and 200 ms neither is the
    other's, and no mean of both."""
    api, one, two = await house.node("api", sends=False), await house.node("one"), await house.node("two")
    await api.looked()
    one.sent(*[record(n) for n in range(90)])
    failed = record(10, Outcome.REJECTED, status=410, reason="Unregistered", wire_ms=200)
    two.sent(*[record(n, wire_ms=200) for n in range(9)], failed, sent=9, failed=1)
    await one.telling.tell()
    await two.telling.tell()
    await api.looked()
    (second,) = api.book.seconds(ACCOUNT)
    assert (second.sent, second.failed, second.p50_ms) == (99, 1, 8)
    assert second.p99_ms is not None
    assert 200 <= second.p99_ms < 208
    assert api.book.reasons(ACCOUNT) == [("Unregistered", 1)]
    assert (api.book.node, api.book.nodes(ACCOUNT), api.book.sends) == ("api", ["one", "two"], True)


async def test_every_node_counts_outcomes_alike(house: House) -> None:
    """So the next question may go to another one: it knows what comes after, and how many were not kept."""
    api, other = await house.node("api", sends=False), await house.node("other", sends=False)
    one = await house.node("one")
    await api.looked()
    for number in range(3):
        one.sent(record(number))
        await one.telling.tell()
    one.sent(*[record(n) for n in range(OUTCOMES_A_SECOND + 7)])
    await one.telling.tell()
    shown = await api.looked()
    assert await other.looked() == shown
    assert shown[:3] == [(1, "one"), (2, "one"), (3, "one")]
    assert await other.looked(after=2) == shown[2:]
    seen = other.book.outcomes(ACCOUNT, after=0, limit=OUTCOMES_KEPT)
    assert (seen.last, seen.missed) == (OUTCOMES_A_SECOND + 10, 7)


async def test_nothing_is_told_while_nobody_looks(house: House) -> None:
    """What a node saw waits in its memory, and whoever looks first gets it; what is older than is shown does not."""
    api, one = await house.node("api", sends=False), await house.node("one")
    await one.there()
    one.sent(record(0))
    house.clock.advance(WINDOW_SECONDS)
    one.sent(record(1), record(2))
    await one.telling.tell()
    assert one.telling.told == 0
    house.clock.advance(1)
    assert await api.looked(one) == [(1, "one"), (2, "one"), (3, "one")]
    assert [each.sent for each in api.book.seconds(ACCOUNT)] == [2]


async def test_who_looks_first_waits_for_all_that_send_and_no_longer_than_two_seconds(house: House) -> None:
    """A node that hangs is not waited for again."""
    api, one = await house.node("api", sends=False), await house.node("one")
    await one.there()
    began = house.clock.monotonic()
    await api.looked()
    assert WAIT_SECONDS <= house.clock.monotonic() - began < WAIT_SECONDS + 1
    began = house.clock.monotonic()
    await api.looked()
    assert house.clock.monotonic() - began == pytest.approx(READ_SECONDS)


async def test_a_node_that_looks_at_itself_is_asked_at_once(house: House) -> None:
    """One that does all shows what it sends without waiting for its own next look."""
    one = await house.node("one")
    await one.there()
    one.sent(record(0))
    running = asyncio.create_task(one.telling.run())
    assert await one.looked() == [(1, "one")]
    one.telling.stop()
    await running


async def test_what_a_dead_node_told_stays(house: House) -> None:
    """As long as it is shown, for who was there and for who comes later; the others go on."""
    api, one, two = await house.node("api", sends=False), await house.node("one"), await house.node("two")
    await api.looked()
    for node in (one, two):
        node.sent(record(0))
        await node.telling.tell()
    one.sent(record(1))  # which it does not come to tell
    two.sent(record(1))
    await two.telling.tell()
    later = await house.node("later", sends=False)
    expected = [(1, "one"), (2, "two"), (3, "two")]
    assert await api.looked() == await later.looked() == expected
    assert later.book.nodes(ACCOUNT) == ["one", "two"]
    house.clock.advance(WINDOW_SECONDS + 2)
    assert await api.looked() == expected
    assert (api.book.seconds(ACCOUNT), api.book.nodes(ACCOUNT)) == ([], [])


async def test_what_may_have_been_heard_is_told_again_and_counted_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost after COMMIT: the node does not know. What happens meanwhile is told after it."""
    api, one = await house.node("api", sends=False), await house.node("one")
    await api.looked()
    one.sent(record(0))
    real: Any = one.store.tell_activity

    async def deaf(*told: Any) -> bool:
        await real(*told)
        raise StoreUnavailable("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(one.store, "tell_activity", deaf)
        with pytest.raises(StoreUnavailable):
            await one.telling.tell()
    one.sent(record(1))
    for _ in range(2):
        await one.telling.tell()
    assert await api.looked() == [(1, "one"), (2, "one")]
    assert sum(each.sent for each in api.book.seconds(ACCOUNT)) == 2


@pytest.mark.parametrize("error", [StoreUnavailable("the database is away"), ValueError("a fault")])
async def test_a_database_away_costs_nothing_but_time(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A node goes on telling when it is back, and ends for no fault in what is only shown."""
    api, one = await house.node("api", sends=False), await house.node("one")
    await api.looked()
    one.sent(record(0))
    asked, heard, real = 0, asyncio.Event(), one.store.wanted_activity

    async def away() -> list[bytes]:
        nonlocal asked
        asked += 1
        if asked > 3:
            heard.set()
            return await real()
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(one.store, "wanted_activity", away)
        running = asyncio.create_task(one.telling.run())
        await heard.wait()
    one.sent(record(1))
    one.telling.stop()
    await running
    assert await api.looked() == [(1, "one"), (2, "one")]


async def test_after_a_crash_of_the_server_it_begins_anew(house: House) -> None:
    """What was told is gone with it, and counted from the beginning, which whoever follows notices."""
    api, one = await house.node("api", sends=False), await house.node("one")
    await api.looked()
    for number in range(3):
        one.sent(record(number))
        await one.telling.tell()
    assert len(await api.looked()) == 3
    await house.command("TRUNCATE activity_told, activity_wanted")
    one.sent(record(3))
    await one.telling.tell()
    house.clock.advance(RENEW_SECONDS)
    assert await api.looked() == []
    await one.telling.tell()
    assert await api.looked() == [(1, "one")]


async def test_what_a_later_version_tells_is_passed_over(house: House) -> None:
    """While nodes are replaced one after another; that there were outcomes counts."""
    api = await house.node("api", sends=False)
    await api.looked()
    body = msgspec.msgpack.encode({"brand": "new"})
    assert await api.store.tell_activity(ACCOUNT, b"later", 1, "later", 5, body)
    assert await api.looked() == []
    seen = api.book.outcomes(ACCOUNT, after=0, limit=9)
    assert (seen.last, seen.missed, api.book.nodes(ACCOUNT)) == (5, 5, ["later"])


async def test_a_node_with_nothing_to_tell_says_now_and_then_that_it_is_there(house: House) -> None:
    """Once when somebody begins to look, and once a minute."""
    api, one = await house.node("api", sends=False), await house.node("one")
    await api.looked()
    told = []
    for _ in range(int(PRESENT_SECONDS / 10) + 1):
        await one.telling.tell()
        told.append(one.telling.told)
        house.clock.advance(10)
        await api.looked()
    assert told == [1] * int(PRESENT_SECONDS / 10) + [2]
    assert api.book.nodes(ACCOUNT) == ["one"]


async def test_so_many_accounts_are_remembered(house: House) -> None:
    """Of more, the one that nobody looked at for longest is read anew."""
    api = await house.node("api", sends=False)
    body = body_of(Recent())
    await api.looked()
    await api.store.tell_activity(ACCOUNT, b"one", 1, "one", 1, body)
    await api.looked()
    for number in range(MAX_VIEWS):
        await api.book.refresh(number.to_bytes(16, "big"))
    assert api.book.nodes(ACCOUNT) == []
    assert repr(api.book) == f"AllNodes('api', views={MAX_VIEWS})"
    await api.looked()
    assert api.book.nodes(ACCOUNT) == ["one"]


async def test_the_bounds_fit_each_other() -> None:
    """Whoever goes on looking says so before nobody would tell any more, and whoever looks first waits for longer than
    it takes to notice."""
    assert RENEW_SECONDS * 2 < WANTED_MS / 1000
    assert LOOK_SECONDS * 2 <= WAIT_SECONDS
    assert PRESENT_SECONDS * 2 < WINDOW_SECONDS
