"""Servers that misbehave, a wire that breaks, and the book-keeping that shows that no push was lost or doubled."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self, cast

from support.apns_server import ApnsServer, Peer, header
from support.engine import HELLO, tokens

from heliogram.apns import Accepted, Client, NotSent, Outcome, Rejected, Unknown
from heliogram.apns.connect import Dialer, Factory
from heliogram.apns.environment import Endpoint
from heliogram.wire import Received


class Book:
    """What the server did with each push, by `apns-id`: the other half of what the client believes."""

    def __init__(self) -> None:
        self.processed: Counter[str] = Counter()
        """Pushes that APNs would have delivered, or judged: an answer given or withheld."""

    def take(self, request: Received) -> None:
        """This push is processed now."""
        self.processed[header(request, b"apns-id").decode()] += 1

    def accept(self, peer: Peer, request: Received) -> None:
        """Process and answer 200."""
        self.take(request)
        peer.accept(request)

    def check(self, outcomes: list[Outcome], count: int) -> Counter[str]:
        """Exactly one outcome for each of `tokens(count)`, and none that the server's side contradicts.

        Accepted and rejected pushes were processed once, unsent ones never, unknown ones once at most. Returns how
        many there are of each kind.
        """
        assert sorted(one.device_token for one in outcomes) == tokens(count), "a push has no outcome, or two"
        assert len({one.apns_id for one in outcomes}) == count
        for one in outcomes:
            times = self.processed[one.apns_id]
            if isinstance(one, Accepted | Rejected):
                assert times == 1, f"{one} was processed {times} times"
            elif isinstance(one, NotSent):
                assert times == 0, f"{one} was processed"
            else:
                assert isinstance(one, Unknown)
                assert times <= 1, f"{one} was processed {times} times"
        assert set(self.processed) <= {one.apns_id for one in outcomes}
        return Counter(type(one).__name__ for one in outcomes)


async def burst(client: Client, count: int, *, on_outcome: Callable[[int], None] | None = None) -> list[Outcome]:
    """Send `count` pushes to distinct devices; `on_outcome` is told how many outcomes there are."""
    outcomes: list[Outcome] = []
    async for one in client.send_many((token, HELLO) for token in tokens(count)):
        outcomes.append(one)
        if on_outcome is not None:
            on_outcome(len(outcomes))
    return outcomes


class Shuffled:
    """Answers later and in any order: holds requests and releases them at random once `most` wait, or all are here."""

    def __init__(self, book: Book, rng: random.Random, most: int, count: int) -> None:
        self._book = book
        self._random = rng
        self._most = most
        self._left = count
        self._held: list[tuple[Peer, Received]] = []

    def __call__(self, peer: Peer, request: Received) -> None:
        self._book.take(request)
        self._held.append((peer, request))
        self._left -= 1
        if len(self._held) >= min(self._most, peer.session.stream_limit) or self._left <= self._most:
            self.release()

    def release(self) -> None:
        """Answer all that are held, in any order."""
        held, self._held = self._held, []
        self._random.shuffle(held)
        for peer, request in held:
            peer.session.respond(request.stream_id, 200, ((b"apns-id", header(request, b"apns-id")),))
        for peer in {id(peer): peer for peer, _ in held}.values():
            peer.flush()


class _Chopper(asyncio.Protocol):
    """Hands bytes on one at a time."""

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        self.connection_made = inner.connection_made  # type: ignore[method-assign]
        self.connection_lost = inner.connection_lost  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        for at in range(len(data)):
            self._inner.data_received(data[at : at + 1])


class ChoppingDialer(Dialer):
    """Opens real connections on which every byte comes alone."""

    async def __call__(self, factory: Factory, endpoint: Endpoint, context: object) -> object:
        return await super().__call__(lambda: _Chopper(factory()), endpoint, context)  # type: ignore[arg-type]


class _Half(asyncio.Protocol):
    """One side of a relayed connection."""

    def __init__(self, relay: Relay, upward: bool) -> None:
        self.relay = relay
        self.upward = upward
        self.other: _Half | None = None
        self.early: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.upward:
            self.relay.join(self)

    def data_received(self, data: bytes) -> None:
        relay = self.relay
        if relay.silent:
            return
        if relay.damage_next == ("up" if self.upward else "down"):
            relay.damage_next = ""
            data = data[:-1] + bytes((data[-1] ^ 1,))
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.relay.silent and self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class Relay:
    """TCP between client and server: goes silent without a word, changes a byte, or resets both ends."""

    def __init__(self, server: ApnsServer) -> None:
        self._port = int(server.endpoint.rpartition(":")[2])
        self._halves: list[_Half] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.silent = False
        """Nothing passes any more on what is open, and nobody is told: a half-open socket."""
        self.damage_next = ""
        """"up" or "down": the next piece on its way to the server, or to the client, has one bit wrong."""
        self.connections = 0

    @property
    def endpoint(self) -> str:
        """Where it listens, "host:port"."""
        return "127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Half(self, upward=True), "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for half in self._halves:
            if half.transport is not None:
                half.transport.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()

    def join(self, half: _Half) -> None:
        """Connect a new client to the server."""
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._join(half))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, half: _Half) -> None:
        down = _Half(self, upward=False)
        self._halves += [half, down]
        await asyncio.get_running_loop().create_connection(lambda: down, "127.0.0.1", self._port)
        half.other, down.other = down, half
        assert down.transport is not None
        for data in half.early:
            down.transport.write(data)

    def reset(self) -> None:
        """RST to the clients of all connections."""
        for half in self._halves:
            if half.upward and half.transport is not None and not half.transport.is_closing():
                raw: socket.socket = half.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                half.transport.abort()


def spread(kinds: Counter[str], allowed: Iterable[str]) -> None:
    """No outcome of another kind than these."""
    assert set(kinds) <= set(allowed), kinds
