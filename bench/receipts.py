"""A sink that remembers when each push came: answers 200 and keeps the moment by device token.

    python bench/receipts.py PEM

Prints its port. A line on standard input is answered with one line of JSON, `{token: [nanoseconds, …]}`, all that came
since the last such line, by the host's monotonic clock, read when the bytes are out of TLS; when input ends it stops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time

from heliogram.wire import Received, ServerSession

PATH = b"/3/device/"


class Receipts(asyncio.Protocol):
    """One connection."""

    def __init__(self, seen: dict[str, list[int]]) -> None:
        self.session = ServerSession(stream_limit=1000, connection_window=1 << 24)
        self.seen = seen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.session.take())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for event in self.session.feed(data):
            if isinstance(event, Received):
                fields = dict(event.headers)
                token = fields.get(b":path", b"").removeprefix(PATH).decode()
                self.seen.setdefault(token, []).append(now)
                self.session.respond(event.stream_id, 200, ((b"apns-id", fields[b"apns-id"]),))
        self.transport.write(self.session.take())


async def serve(pem: str) -> None:
    """Serve until standard input ends."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2"])
    seen: dict[str, list[int]] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receipts(seen), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(seen), flush=True)
        seen.clear()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pem")
    asyncio.run(serve(parser.parse_args().pem))
