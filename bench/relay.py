"""A relay that delays: what goes in on one side comes out on the other a fixed time later, and nothing is held back.

    python bench/relay.py PORT [MILLISECONDS]

Listens on a free port of 127.0.0.1, prints it, and connects each client to 127.0.0.1:PORT. Bytes wait MILLISECONDS
(25) in each direction, so a round trip takes twice that; TLS passes through untouched. Throughput is not limited:
reading never pauses, whatever waits. Serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque


class Side(asyncio.Protocol):
    """One end of a relayed connection; what it receives leaves at the other end later."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.other: Side | None = None
        self.transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()  # an empty chunk is the end
        self._armed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._waiting.append((self._loop.time() + self.delay, data))
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.data_received(b"")

    def _arm(self) -> None:
        if not self._armed and self._waiting and self.other is not None:
            self._armed = True
            self._loop.call_at(self._waiting[0][0], self._forward)

    def _forward(self) -> None:
        self._armed = False
        now, due = self._loop.time(), []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(self._waiting.popleft()[1])
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(b"".join(due))
            if not due[-1]:
                self.other.transport.close()
        self._arm()


class Entrance(Side):
    """A client has come: go to the server in its name. What it says meanwhile waits anyway."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__(delay)
        self._port = port
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = self._loop.create_task(self._reach())

    async def _reach(self) -> None:
        other = Side(self.delay)
        other.other = self
        try:
            await self._loop.create_connection(lambda: other, "127.0.0.1", self._port)
        except OSError:
            if self.transport is not None:
                self.transport.abort()
        else:
            self.other = other
            self._arm()


async def serve(port: int, delay: float) -> None:
    """Relay until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Entrance(port, delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.025))
