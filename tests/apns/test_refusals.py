"""APNs refuses every stream: the engine asks again at a slower and slower pace, and loses nothing (CONN-17)."""

from __future__ import annotations

import asyncio

import pytest
from support.apns_server import ApnsServer, Peer, accept_all
from support.engine import HELLO, TOKEN, MakeClient, all_accepted, tokens
from support.manual_clock import ManualClock

from heliogram.apns import Accepted, NotSent
from heliogram.apns.refusals import AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE, Refusals
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


def refuse_all(peer: Peer, request: Received) -> None:
    """Not one is taken."""
    peer.refuse(request)


async def quiet(clock: ManualClock, server: ApnsServer) -> None:
    """Until nothing more happens by itself."""
    seen, calm = (-1, -1), 0
    while calm < 10:
        await asyncio.to_thread(lambda: None)
        now = (len(server.requests), clock.pending)
        seen, calm = now, calm + 1 if now == seen else 0


def test_the_pace() -> None:
    """A few times at once, then after 10 ms, doubling to a second; a stream that is taken ends it."""
    clock, asked, pauses = ManualClock(), list[float](), list[bool]()
    refusals = Refusals(clock, lambda: asked.append(clock.elapsed))
    for _ in range(AT_ONCE):
        refusals.met()
        pauses.append(refusals.is_pausing)
    assert not any(pauses)
    waits = []
    for _ in range(9):
        refusals.met()
        pauses.append(refusals.is_pausing)
        before = clock.elapsed
        clock.advance(LONGEST_PAUSE)
        pauses.append(not refusals.is_pausing)
        waits.append(round(asked[-1] - before, 6))
    assert all(pauses[AT_ONCE:])
    assert waits == [FIRST_PAUSE * 2**n for n in range(7)] + [LONGEST_PAUSE] * 2
    refusals.over()
    refusals.met()
    assert not refusals.is_pausing


async def test_conn_17_endless_refusals_cost_few_attempts(
    server: ApnsServer, make_client: MakeClient, clock: ManualClock
) -> None:
    """CONN-17: in the 30 s of its deadline a push is asked for some forty times, not as often as the loop turns."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = refuse_all
    sent = asyncio.ensure_future(client.send(TOKEN, HELLO))
    while not sent.done():
        await quiet(clock, server)
        clock.advance(0.25)
    outcome = await sent
    assert isinstance(outcome, NotSent)
    assert 20 <= len(server.requests) <= 45
    assert len(server.peers) == 1


async def test_it_goes_on_within_a_second(server: ApnsServer, make_client: MakeClient, clock: ManualClock) -> None:
    """Taken again, the rest goes at full speed."""
    client = make_client(max_connections=1)
    await client.send(TOKEN, HELLO)
    server.on_request = refuse_all
    sent = [asyncio.ensure_future(client.send(token, HELLO)) for token in tokens(20)]
    for _ in range(20):
        await quiet(clock, server)
        clock.advance(0.25)
    before = len(server.requests)
    server.on_request = accept_all
    clock.advance(LONGEST_PAUSE)
    assert all_accepted(await asyncio.gather(*sent), 20)
    assert len(server.requests) <= before + 21


async def test_now_and_then_a_refusal_costs_no_time(server: ApnsServer, make_client: MakeClient) -> None:
    """With streams taken in between there is no pause: the clock stands still."""

    def every_third(peer: Peer, request: Received) -> None:
        if len(server.requests) % 3:
            peer.refuse(request)
        else:
            peer.accept(request)

    server.on_request = every_third
    client = make_client(max_connections=1)
    for token in tokens(10):
        assert isinstance(await client.send(token, HELLO), Accepted)
