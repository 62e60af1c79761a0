"""GOAWAY in the middle of 10,000 pushes, in all its forms."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.apns_server import ApnsServer, Peer, header
from support.chaos import Book, burst
from support.engine import HELLO, MakeClient, tokens

from heliogram.apns import SystemClock, Tuning
from heliogram.wire import Received

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]
COUNT = 10_000
FOREVER = 2**31 - 1


class Retiring:
    """Serves each connection for 300 to 900 requests and then ends it in the way of `goodbye`."""

    def __init__(self, book: Book, seed: int) -> None:
        self.book = book
        self.random = random.Random(seed)
        self.ends: dict[Peer, int] = {}
        self.held: dict[Peer, list[Received]] = {}
        self.goodbyes = 0

    def __call__(self, peer: Peer, request: Received) -> None:
        end = self.ends.setdefault(peer, self.random.randint(300, 900))
        served = len(peer.requests)
        if served < end - 20:
            self.book.accept(peer, request)
        elif served <= end:
            self.book.take(request)
            self.held.setdefault(peer, []).append(request)
        if served == end:
            self.goodbyes += 1
            self.goodbye(peer, request)
        if len(self.book.processed) == COUNT:  # no more will come to make this connection's number full
            for each in list(self.held):
                self.answer_held(each)

    def goodbye(self, peer: Peer, last: Received) -> None:
        raise AssertionError("say how")

    def answer_held(self, peer: Peer) -> None:
        for request in self.held.pop(peer, []):
            peer.accept(request)


class Graceful(Retiring):
    def goodbye(self, peer: Peer, last: Received) -> None:
        peer.goaway(last.stream_id)
        self.answer_held(peer)


class Announced(Retiring):
    """As RFC 9113 §6.8 advises: first the largest id there is, then the real one."""

    def goodbye(self, peer: Peer, last: Received) -> None:
        peer.goaway(FOREVER)
        peer.goaway(last.stream_id)
        self.answer_held(peer)
        peer.close()


class Double(Retiring):
    def goodbye(self, peer: Peer, last: Received) -> None:
        peer.goaway(last.stream_id, 0, b'{"reason":"Shutdown"}')
        self.answer_held(peer)
        peer.goaway(last.stream_id)
        peer.close()


class PlainText(Retiring):
    def goodbye(self, peer: Peer, last: Received) -> None:
        peer.goaway(last.stream_id, 7, b"Maximum active streams violated for this endpoint.")
        self.answer_held(peer)
        peer.close()


class Abrupt(Retiring):
    """The last streams that it processed get no answer, and the connection is gone."""

    def goodbye(self, peer: Peer, last: Received) -> None:
        peer.goaway(last.stream_id)
        peer.close()


@pytest.mark.parametrize("script", [Graceful, Announced, Double, PlainText])
async def test_an_orderly_end_costs_nothing(
    server: ApnsServer, make_client: MakeClient, book: Book, script: type[Retiring]
) -> None:
    """CONN-22, CONN-21, CONN-18: what was processed is answered, the rest goes out once more: all accepted (T3)."""
    server.on_request = retiring = script(book, seed=1)
    outcomes = await burst(make_client(), COUNT)
    assert book.check(outcomes, COUNT) == {"Accepted": COUNT}
    assert retiring.goodbyes >= 10


async def test_an_abrupt_end_leaves_only_what_was_processed_in_doubt(
    server: ApnsServer, make_client: MakeClient, book: Book
) -> None:
    """CONN-22: at or below the last id without an answer is unknown, above it is sent again (T3)."""
    server.on_request = abrupt = Abrupt(book, seed=2)
    outcomes = await burst(make_client(), COUNT)
    kinds = book.check(outcomes, COUNT)
    assert set(kinds) == {"Accepted", "Unknown"}
    assert 0 < kinds["Unknown"] <= 21 * abrupt.goodbyes
    assert abrupt.goodbyes >= 10


async def test_every_waiting_task_gets_its_outcome(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """CONN-22: 10,000 calls of `send` that all wait at once survive it like a batch does (T3)."""
    server.on_request = Graceful(book, seed=3)
    client = make_client()
    outcomes = await asyncio.gather(*[client.send(token, HELLO) for token in tokens(COUNT)])
    assert book.check(list(outcomes), COUNT) == {"Accepted": COUNT}


async def test_goaway_that_names_no_stream(server: ApnsServer, make_client: MakeClient, book: Book) -> None:
    """CONN-22: last id 0 hands everything back, each time; nothing was processed and all goes out in the end."""
    turned_away = 0

    def at_the_third(peer: Peer, request: Received) -> None:
        nonlocal turned_away
        if turned_away < 20 and len(peer.requests) == 3:
            turned_away += 1
            answered = {header(one, b"apns-id").decode() for one in peer.requests[:2]}
            assert answered <= set(book.processed)
            peer.goaway(peer.requests[1].stream_id, 11, b'{"reason":"TooManyRequests"}')
            peer.close()
        elif peer.session.last_stream_id and not peer.transport.is_closing():
            book.accept(peer, request)

    server.on_request = at_the_third
    client = make_client(clock=SystemClock(), tuning=Tuning(back_off=0.001))
    outcomes = await burst(client, 1000)
    assert book.check(outcomes, 1000) == {"Accepted": 1000}
    assert turned_away == 20
