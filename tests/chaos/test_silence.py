"""A peer or a wire that says nothing more, breaks, or is cut."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.apns_server import ApnsServer, Peer
from support.chaos import Book, Relay, burst
from support.engine import HELLO, MakeClient, tokens
from support.manual_clock import ManualClock

from heliogram.apns import Outcome, SystemClock, Tuning, Unknown
from heliogram.wire import Received

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]
COUNT = 5_000


async def turn(clock: ManualClock, task: asyncio.Future[list[Outcome]], seconds: float) -> list[Outcome]:
    """Lets `seconds` pass in small steps, with a breath for the loop in each; then waits for the task."""
    for _ in range(int(seconds)):
        clock.advance(1)
        for _ in range(5):
            await asyncio.sleep(0)
    return await task


async def test_silence(server: ApnsServer, make_client: MakeClient, book: Book, clock: ManualClock) -> None:
    """CONN-27, SUR-6: two connections fall silent: PING finds out, what they hold is unknown, the rest goes on (T2)."""

    def mute(peer: Peer, request: Received) -> None:
        if peer in server.peers[:2] and len(peer.requests) > 400:
            book.take(request)
        else:
            book.accept(peer, request)

    server.on_request = mute
    server.stream_limit = 100
    client = make_client(max_connections=2, timeout=1000, tuning=Tuning(max_age=1e9))
    task = asyncio.ensure_future(burst(client, COUNT))
    await server.until(
        lambda: len(server.peers) == 2 and all(peer.session.open_streams == 100 for peer in server.peers)
    )
    for peer in server.peers:
        peer.deaf = peer.mute = True
    outcomes = await turn(clock, task, 75)
    kinds = book.check(outcomes, COUNT)
    assert kinds == {"Accepted": COUNT - 200, "Unknown": 200}
    assert all("PING" in one.cause for one in outcomes if isinstance(one, Unknown))
    await server.until(lambda: all(peer.closed for peer in server.peers[:2]))


async def test_answers_that_never_come(
    server: ApnsServer, make_client: MakeClient, book: Book, clock: ManualClock
) -> None:
    """CONN-27: one push in fifty is not answered on connections that are fine: it ends at its deadline, alone (T2)."""
    rng = random.Random(7)
    withheld = 0

    def forgetful(peer: Peer, request: Received) -> None:
        nonlocal withheld
        if rng.random() < 0.02:
            withheld += 1
            book.take(request)
        else:
            book.accept(peer, request)

    server.on_request = forgetful
    client = make_client(timeout=5)
    task = asyncio.ensure_future(burst(client, COUNT))
    await server.until(lambda: len(book.processed) == COUNT)
    outcomes = await turn(clock, task, 6)
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT - withheld, "Unknown": withheld}
    assert withheld > 50
    assert client.pool.inflight == client.pool.waiting == 0
    await server.until(lambda: sum(len(peer.resets) for peer in server.peers) == withheld)


async def test_a_half_open_socket(server: ApnsServer, make_client: MakeClient, book: Book, clock: ManualClock) -> None:
    """CONN-24, CONN-27: the path dies without a FIN: PING finds out, the rest goes over a new connection (T2)."""
    server.on_request = book.accept
    async with Relay(server) as relay:
        client = make_client(endpoint=relay.endpoint, max_connections=1, timeout=1000)
        assert (await client.send(tokens(1)[0], HELLO)).ok
        book.processed.clear()
        relay.silent = True
        task = asyncio.ensure_future(burst(client, COUNT))
        for _ in range(100):
            await asyncio.sleep(0)
        on_their_way = client.pool.inflight
        assert on_their_way > 0
        clock.advance(60)
        await asyncio.sleep(0)
        clock.advance(10)
        relay.silent = False
        outcomes = await turn(clock, task, 5)
        assert book.check(outcomes, COUNT) == {"Accepted": COUNT - on_their_way, "Unknown": on_their_way}
        assert relay.connections == 2


@pytest.mark.parametrize("end", ["up", "down", "reset", "cut", "garbage"])
async def test_a_wire_that_breaks(server: ApnsServer, make_client: MakeClient, book: Book, end: str) -> None:
    """A damaged TLS record, a TCP reset, a cut, or bytes that are no frames, often: only what was open is in doubt."""
    breaks = 0
    async with Relay(server) as relay:

        def breaking(peer: Peer, request: Received) -> None:
            nonlocal breaks
            book.accept(peer, request)
            if len(peer.requests) == 300 and breaks < 10:
                breaks += 1
                if end in ("up", "down"):
                    relay.damage_next = end
                elif end == "reset":
                    relay.reset()
                elif end == "cut":
                    peer.cut()
                else:
                    peer.transport.write(b"\xff" * 100)

        server.on_request = breaking
        server.stream_limit = 100
        client = make_client(endpoint=relay.endpoint, clock=SystemClock(), tuning=Tuning(back_off=0.001))
        outcomes = await burst(client, COUNT)
        kinds = book.check(outcomes, COUNT)
        assert set(kinds) <= {"Accepted", "Unknown"}
        assert breaks >= 3
        assert 0 < kinds["Unknown"] <= breaks * 4 * 100
        assert relay.connections > breaks
        await client.close()
