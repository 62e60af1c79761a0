"""`send_many`: every push gets one outcome, from any source, in bounded memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator

import pytest
from support.apns_server import ApnsServer, Peer, accept_all, hold
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock

from heliogram.apns import Notification, NotSent, Outcome, Push
from heliogram.wire import Received

pytestmark = pytest.mark.anyio
Item = tuple[str, Notification]


def items(count: int) -> Iterator[Item]:
    return ((token, HELLO) for token in tokens(count))


async def later(count: int) -> AsyncIterator[Item]:
    for item in items(count):
        yield item


async def test_from_a_generator(server: ApnsServer, make_client: MakeClient) -> None:
    """One outcome for each push of a plain generator."""
    outcomes = [one async for one in make_client().send_many(items(3000))]
    assert all_accepted(outcomes, 3000)


async def test_from_an_async_generator(server: ApnsServer, make_client: MakeClient) -> None:
    """One outcome for each push of an async generator."""
    outcomes = [one async for one in make_client().send_many(later(3000))]
    assert all_accepted(outcomes, 3000)


@pytest.mark.parametrize("concurrency", [1, 7, 1000])
@pytest.mark.parametrize("rounds", [0, 1, 2])
async def test_multiples_of_the_concurrency(
    server: ApnsServer, make_client: MakeClient, concurrency: int, rounds: int
) -> None:
    """The loop ends as well when the last push fills the last place."""
    count = concurrency * rounds
    outcomes = [one async for one in make_client().send_many(items(count), concurrency=concurrency)]
    assert all_accepted(outcomes, count)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_bounded(server: ApnsServer, make_client: MakeClient, kind: str) -> None:
    """Never more than `concurrency` pushes taken from the source whose outcome was not handed over, twice over."""
    taken = handed = most = 0

    def counted() -> Iterator[Item]:
        nonlocal taken, most
        for item in items(500):
            taken += 1
            most = max(most, taken - handed)
            yield item

    async def counted_later() -> AsyncIterator[Item]:
        for item in counted():
            yield item

    client = make_client()
    async for _ in client.send_many(counted() if kind == "plain" else counted_later(), concurrency=10):
        handed += 1
    assert handed == 500
    assert most <= 21
    assert client.pool.waiting == client.pool.inflight == 0


async def test_memory_is_flat(server: ApnsServer, make_client: MakeClient) -> None:
    """Ten times the pushes leave no more objects behind (T5)."""
    client = make_client()

    async def after(count: int) -> int:
        async for _ in client.send_many(items(count), concurrency=200):
            pass
        server.requests.clear()
        for peer in server.peers:
            peer.requests.clear()
            peer.events.clear()
        gc.collect()
        return len(gc.get_objects())

    await after(6000)
    small = await after(500)
    assert await after(5000) < small + 500
    assert len(client.pool.deadlines) < 10_000


async def test_tag_and_id_come_back(server: ApnsServer, make_client: MakeClient) -> None:
    """The caller's tag and apns-id are in the outcome."""
    wanted = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
    tag = object()
    [outcome] = [one async for one in make_client().send_many([Push(TOKEN, HELLO, apns_id=wanted, tag=tag)])]
    assert outcome.tag is tag
    assert outcome.apns_id == wanted


async def test_an_invalid_item_stops_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """A push that cannot be sent ends as `NotSent` with its cause; the others are sent."""
    mixed = [
        (TOKEN, HELLO),
        ("not hex", HELLO),
        (TOKEN, Notification(alert="x" * 5000)),
        (TOKEN, "not a notification"),
        42,
        Push(TOKEN, HELLO, apns_id="nonsense", tag=5),
        (TOKEN, HELLO),
    ]
    outcomes = [one async for one in make_client().send_many(mixed)]  # type: ignore[arg-type]
    assert sum(one.ok for one in outcomes) == 2
    causes = [one.cause for one in outcomes if isinstance(one, NotSent)]
    assert len(causes) == 5
    for cause, word in zip(causes, ("device token", "payload", "notification: a str", "item", "apns_id"), strict=True):
        assert word in cause


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_an_error_of_the_source(server: ApnsServer, make_client: MakeClient, kind: str) -> None:
    """An exception of the source is raised after the outcomes of what it gave before."""

    def broken() -> Iterator[Item]:
        yield from items(50)
        raise RuntimeError("the database is gone")

    async def broken_later() -> AsyncIterator[Item]:
        for item in broken():
            yield item

    stream = make_client().send_many(broken() if kind == "plain" else broken_later())
    assert all([(await anext(stream)).ok for _ in range(50)])
    with pytest.raises(RuntimeError, match="database"):
        await anext(stream)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_leaving_early(server: ApnsServer, make_client: MakeClient, kind: str) -> None:
    """Closing the iteration drops what is not on the wire; the client goes on."""
    server.stream_limit = 2
    client = make_client(max_connections=1)
    stream = client.send_many(items(5000) if kind == "plain" else later(5000), concurrency=100)
    assert (await anext(stream)).ok
    await stream.aclose()
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.requests) < 300


async def test_goaway_in_mid_burst(server: ApnsServer, make_client: MakeClient) -> None:
    """A server that retires each connection after 50 pushes costs nothing: one `Accepted` each (T3)."""

    def retire(peer: Peer, request: Received) -> None:
        if len(peer.requests) <= 50:
            peer.accept(request)
        if len(peer.requests) == 50:
            peer.goaway(last=request.stream_id)

    server.on_request = retire
    outcomes = [one async for one in make_client().send_many(items(1000))]
    assert all_accepted(outcomes, 1000)
    assert len(server.peers) >= 20


async def test_close_in_mid_burst(server: ApnsServer, make_client: MakeClient) -> None:
    """Closing the client gives what is left its outcome, and the loop ends."""
    server.stream_limit = 5
    client = make_client(max_connections=1)
    outcomes = []
    async for outcome in client.send_many(items(300), concurrency=50):
        outcomes.append(outcome)
        if len(outcomes) == 20:
            await client.close()
    assert len(outcomes) == 300
    assert all(one.ok or isinstance(one, NotSent) for one in outcomes)
    assert len({one.apns_id for one in outcomes}) == 300


async def test_a_cancelled_source_is_not_taken_for_an_ended_one(server: ApnsServer, make_client: MakeClient) -> None:
    """An async source that awaits something cancelled: the cancellation is raised after the last outcome."""

    async def source() -> AsyncIterator[Item]:
        for item in items(5):
            yield item
        raise asyncio.CancelledError

    outcomes = make_client().send_many(source())
    assert all([(await anext(outcomes)).ok for _ in range(5)])
    with pytest.raises(asyncio.CancelledError):
        await anext(outcomes)


async def test_concurrency_must_be_positive(make_client: MakeClient) -> None:
    """Zero concurrency is refused at once, by name."""
    with pytest.raises(ValueError, match="concurrency"):
        make_client().send_many([], concurrency=0)


async def test_a_stalled_server_holds_the_source(server: ApnsServer, make_client: MakeClient) -> None:
    """While nothing is answered, no more than `concurrency` pushes are taken."""
    server.on_request = hold
    taken = 0

    def counted() -> Iterator[Item]:
        nonlocal taken
        for item in items(1000):
            taken += 1
            yield item

    client = make_client()
    stream = client.send_many(counted(), concurrency=30)
    task = asyncio.ensure_future(anext(stream))
    await server.received(1)
    assert taken == 30
    server.on_request = accept_all
    server.peers[0].accept(server.requests[0])
    assert (await task).ok
    assert len([one async for one in stream]) == 999


async def test_a_slow_source_does_not_take_the_time_of_its_pushes(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """A push has its whole time-out from when the source has given it, however long that took."""

    def slow() -> Iterator[Item]:
        clock.advance(40)
        yield from items(3)

    assert all_accepted([one async for one in make_client(timeout=30).send_many(slow())], 3)


@pytest.mark.parametrize("kind", ["plain", "async"])
async def test_stopping_waits_for_what_has_left(server: ApnsServer, make_client: MakeClient, kind: str) -> None:
    """Once `stop` is done nothing more leaves, and every push on the wire still gets its outcome."""
    server.on_request = hold
    client, stop = make_client(), asyncio.get_running_loop().create_future()

    async def collect() -> list[Outcome]:
        source = items(5000) if kind == "plain" else later(5000)
        return [one async for one in client.send_many(source, stop=stop)]

    task = asyncio.create_task(collect())
    await server.received(1)
    stop.set_result(None)
    await asyncio.sleep(0)
    server.on_request = accept_all
    for request in list(server.requests):
        server.peers[0].accept(request)
    outcomes = await task
    assert all_accepted(outcomes, len(server.requests))
    assert len(outcomes) < 5000
    assert client.pool.waiting == client.pool.inflight == 0


async def test_a_stop_that_was_there_before_sends_nothing(server: ApnsServer, make_client: MakeClient) -> None:
    """Nothing is taken from the source either."""
    source, stop = items(3), asyncio.get_running_loop().create_future()
    stop.set_result(None)
    assert [one async for one in make_client().send_many(source, stop=stop)] == []
    assert len(list(source)) == 3
