"""All at once, by the throw of a seeded die."""

from __future__ import annotations

import asyncio
import random

import pytest
from support.apns_server import ApnsServer, Peer
from support.chaos import Book, burst
from support.engine import MakeClient

from heliogram.apns import SystemClock, Tuning
from heliogram.wire import ErrorCode, Received

pytestmark = [pytest.mark.anyio, pytest.mark.chaos]
COUNT = 4_000


class Storm:
    """Answers, rejects, refuses, resets, narrows, says goodbye and cuts, each now and then."""

    def __init__(self, book: Book, seed: int) -> None:
        self.book = book
        self.random = random.Random(seed)
        self.gone: dict[Peer, int] = {}

    def __call__(self, peer: Peer, request: Received) -> None:
        if request.stream_id > self.gone.get(peer, request.stream_id):
            return  # above the last id of our GOAWAY
        chance = self.random.random()
        if chance < 0.05:
            peer.refuse(request)
        elif chance < 0.07:
            self.book.take(request)
            peer.reset(request, self.random.choice([ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR]))
        elif chance < 0.10:
            self.book.take(request)
            peer.reject(request, *self.random.choice([(400, "BadDeviceToken"), (410, "Unregistered"), (500, "Odd")]))
        elif chance < 0.105:
            peer.limit(self.random.choice([1, 5, 50]))
            self.book.accept(peer, request)
        elif chance < 0.108:
            self.book.accept(peer, request)
            self.gone[peer] = request.stream_id
            peer.goaway(request.stream_id, 0, self.random.choice([b"", b'{"reason":"Shutdown"}', b"plain text"]))
        elif chance < 0.110:
            self.book.take(request)
            peer.cut()
        elif chance < 0.3:
            self.book.take(request)
            asyncio.get_running_loop().call_later(self.random.random() / 100, peer.accept, request)
        else:
            self.book.accept(peer, request)


@pytest.mark.parametrize("seed", range(6))
async def test_everything(server: ApnsServer, make_client: MakeClient, book: Book, seed: int) -> None:
    """Whatever happens in whatever order: one outcome for each push, and no duplicate but among the unknown."""
    server.stream_limit = 50
    server.on_request = Storm(book, seed)
    client = make_client(clock=SystemClock(), timeout=30, tuning=Tuning(back_off=0.001, patience=0.05))
    outcomes = await burst(client, COUNT)
    kinds = book.check(outcomes, COUNT)
    assert set(kinds) <= {"Accepted", "Rejected", "Unknown", "NotSent"}
    assert kinds["Accepted"] > COUNT // 2
    assert kinds["NotSent"] < COUNT // 20
    assert len(server.peers) > 5
    assert client.pool.inflight == client.pool.waiting == 0
    await client.close()
