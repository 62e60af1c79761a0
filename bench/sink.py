"""The lean server in Python, for machines where `sink.c` cannot be built: accepts every push and nothing else.

    python bench/sink.py PEM [--streams N] [--window BYTES] [--replenish BYTES]

Prints its port. A line on standard input is answered with its counters as JSON; when input ends it stops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time

from heliogram.wire import Received, ServerSession

SEEN = dict.fromkeys(("connections", "open", "pushes", "rejected", "refused", "data", "overdrawn", "biggest"), 0)


class Sink(asyncio.Protocol):
    """Answers 200 with the push's own id."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.session = ServerSession(
            stream_limit=options.streams, connection_window=options.window, update_after=options.replenish
        )
        self.pushes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        SEEN["connections"] += 1
        SEEN["open"] += 1
        transport.write(self.session.take())

    def data_received(self, data: bytes) -> None:
        for event in self.session.feed(data):
            if isinstance(event, Received):
                self.pushes += 1
                SEEN["pushes"] += 1
                SEEN["data"] += event.size
                ids = tuple(pair for pair in event.headers if pair[0] == b"apns-id")
                self.session.respond(event.stream_id, 200, ids)
        SEEN["biggest"] = max(SEEN["biggest"], self.pushes)
        self.transport.write(self.session.take())

    def connection_lost(self, exc: Exception | None) -> None:
        SEEN["open"] -= 1


def listen() -> None:
    """Answer each line of standard input, until it ends."""
    for _ in sys.stdin:
        print(json.dumps(SEEN | {"cpu": time.process_time()}), flush=True)
        SEEN["biggest"] = 0


async def serve(options: argparse.Namespace) -> None:
    """Serve until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.pem)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(lambda: Sink(options), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(listen)
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pem")
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--window", type=int, default=1 << 24)
    parser.add_argument("--replenish", type=int, default=None)
    asyncio.run(serve(parser.parse_args()))
