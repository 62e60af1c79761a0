"""Resets in storms, a stream limit that falls and rises, answers in any order and any pieces."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from support.apns_server import ApnsServer, Peer, header
from support.chaos import Book, ChoppingDialer, Shuffled, burst
from support.engine import HELLO, MakeClient, tokens

from heliogram.apns import Outcome
from heliogram.apns.clock import SystemClock
from heliogram.wire import ErrorCode, Received
from heliogram.wire import frames as f

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]
COUNT = 10_000


async def test_a_storm_of_refused_streams(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """CONN-17: a third of the streams refused, each followed by STREAM_CLOSED for the same stream: all accepted."""
    rng = random.Random(1)
    refused = Counter[str]()

    def storm(peer: Peer, request: Received) -> None:
        if rng.random() < 0.33:
            refused[header(request, b"apns-id").decode()] += 1
            peer.refuse(request)
            peer.transport.write(f.reset_frame(request.stream_id, ErrorCode.STREAM_CLOSED))
        else:
            book.accept(peer, request)

    server.on_request = storm
    outcomes = await burst(make_client(clock=SystemClock()), COUNT)  # refusals in a row make a pause
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT}
    assert refused.total() > COUNT // 4
    assert max(refused.values()) > 3, "a push may be refused as often as it takes"


async def test_a_storm_of_resets(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """Any other reset leaves open whether the push was processed: unknown, and never sent again."""
    rng = random.Random(2)
    codes = [code for code in ErrorCode if code is not ErrorCode.REFUSED_STREAM]

    def storm(peer: Peer, request: Received) -> None:
        chance = rng.random()
        if chance < 0.2:
            if chance < 0.1:
                book.take(request)
            peer.reset(request, rng.choice(codes))
        elif chance < 0.3:
            peer.refuse(request)
        else:
            book.accept(peer, request)

    server.on_request = storm
    outcomes = await burst(make_client(clock=SystemClock()), COUNT)
    kinds = book.check(outcomes, COUNT)
    assert set(kinds) == {"Accepted", "Unknown"}
    assert kinds["Unknown"] > COUNT // 10
    assert len(server.requests) > COUNT, "refused streams came again"
    assert len(server.peers) <= 4


async def test_the_limit_falls_to_one_and_rises(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """CONN-17, SUR-3: after a rejection 1 stream, what was in flight refused; after the next 200 a thousand again."""
    rng = random.Random(3)
    narrow: set[Peer] = set()
    falls = rejected = 0

    def collapse(peer: Peer, request: Received) -> None:
        nonlocal falls, rejected
        if peer in narrow:
            if peer.session.open_streams > 1:
                peer.refuse(request)
                return
            narrow.discard(peer)
            book.accept(peer, request)
            peer.limit(1000)
        elif rng.random() < 0.005:
            falls += 1
            narrow.add(peer)
            book.take(request)
            rejected += 1
            peer.reject(request, 400, "BadDeviceToken")
            peer.limit(1)
        else:
            book.accept(peer, request)

    server.on_request = collapse
    outcomes = await burst(make_client(), COUNT)
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT - rejected, "Rejected": rejected}
    assert falls > 20


@pytest.mark.parametrize("limit", [0, 1, 3])
async def test_a_limit_that_moves_all_the_time(
    server: ApnsServer, make_client: MakeClient, book: Book, limit: int
) -> None:
    """CONN-13: every few answers another limit, down to 0 while streams are open; never more streams than allowed."""
    rng = random.Random(4)

    def moody(peer: Peer, request: Received) -> None:
        book.accept(peer, request)
        if len(peer.requests) % 50 == 0:
            peer.limit(limit)
            peer.limit(rng.choice([1, 2, 10, 100, 1000]))

    server.on_request = moody
    outcomes = await burst(make_client(max_connections=2), COUNT)
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT}


@pytest.mark.parametrize("way", ["send", "send_many"])
async def test_slow_answers_in_any_order(server: ApnsServer, make_client: MakeClient, book: Book, way: str) -> None:
    """Answers come hundreds of requests later and shuffled: each finds its own push."""
    server.on_request = shuffled = Shuffled(book, random.Random(5), most=500, count=COUNT)
    client = make_client(max_connections=1)
    server.on_request = book.accept
    await client.send(tokens(1)[0], HELLO)
    book.processed.clear()
    server.on_request = shuffled
    outcomes: list[Outcome]
    if way == "send":
        outcomes = list(await asyncio.gather(*[client.send(token, HELLO) for token in tokens(COUNT)]))
    else:
        outcomes = await burst(client, COUNT)
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT}


async def test_answers_split_at_every_byte(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """Every byte of every answer comes alone, rejections, limits and GOAWAY among them: nothing changes."""
    count = 3000

    def mixed(peer: Peer, request: Received) -> None:
        number = len(peer.requests)
        if number > 700:
            return  # above the last id of the GOAWAY: not processed
        if number % 7 == 3:
            book.take(request)
            peer.reject(request, 410, "Unregistered", timestamp=1_700_000_000_123)
        elif number % 11 == 5:
            peer.refuse(request)
        else:
            book.accept(peer, request)
        if number % 100 == 0:
            peer.limit(number % 7 + 1)
        if number == 700:
            peer.goaway(request.stream_id, 0, b'{"reason":"Shutdown"}')

    server.on_request = mixed
    client = make_client(clock=SystemClock(), connect=ChoppingDialer(random.Random(6)))
    outcomes = await burst(client, count)
    kinds = book.check(outcomes, count)
    assert set(kinds) == {"Accepted", "Rejected"}
    assert kinds["Rejected"] > count // 10
    assert len(server.peers) >= 4
