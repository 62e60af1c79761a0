"""Raw client session against raw server session, in memory: CPU seconds per 100,000 pushes on each side.

    python bench/wire.py [pushes]

Path, id and body differ in every push. The server side is also fed by an h2load-like client, which Huffman-codes its
literals and announces a content-length. Figures are the least of the rounds; one core, no I/O.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from heliogram.wire import Answered, ClientSession, Received, Request, ServerSession
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import integer, short_string

IN_FLIGHT = 900
ROUNDS = 5
JWT = "eyJhbGciOiJFUzI1NiIsImtpZCI6IkFCQ0RFRkdISUoifQ.eyJpc3MiOiJERUYxMjNHSElKIiwiaWF0IjoxNzYzNzg4MDAwfQ."
AUTHORIZATION = ("bearer " + JWT + "MEUCIQDx8Kq2pZ0vT4nR1sYb7WcLfGhJkMzXaQeUoIiPpAa" * 2)[:207].encode()
SHARED = (
    (b"apns-push-type", b"alert"),
    (b"apns-topic", b"com.example.app"),
    (b"apns-priority", b"10"),
    (b"apns-expiration", b"0"),
)


def identifier(number: int) -> bytes:
    return b"%08x-0000-7000-8000-%012x" % (number * 2654435761 % (1 << 32), number)


def traffic(count: int) -> list[tuple[bytes, bytes, bytes]]:
    """(path, apns-id, body) of each push: a 64-digit token, a 208-byte JSON document."""
    out = []
    for number in range(count):
        token = b"%064x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95 % (1 << 256))
        body = b'{"aps":{"alert":{"title":"Order %d","body":"%s"}}}' % (number, b"x" * 200)
        out.append((b"/3/device/" + token, identifier(number), body[:204] + b'"}}}'))
    return out


def huffman_blocks(pushes: Sequence[tuple[bytes, bytes, bytes]]) -> list[bytes]:
    """Requests as nghttp2's encoder writes them: shared pairs indexed after the first, all literals Huffman-coded."""
    shared = [*SHARED, (b"authorization", AUTHORIZATION), (b"content-length", b"208"), (b":authority", b"localhost")]
    blocks = []
    for number, (path, apns_id, _) in enumerate(pushes):
        block = b"\x83\x87\x04" + short_string(path)
        for place, (name, value) in enumerate(reversed(shared)):
            if number:
                block += integer(0x80, 0x7F, 62 + len(shared) - 1 - place)
            else:
                block += b"\x40" + short_string(name) + short_string(value)
        blocks.append(block + b"\x00" + short_string(b"apns-id") + short_string(apns_id))
    return blocks


def measure(work: Callable[[], tuple[float, ...]]) -> list[float]:
    return [min(column) for column in zip(*[work() for _ in range(ROUNDS)], strict=True)]


def both(pushes: Sequence[tuple[bytes, bytes, bytes]]) -> tuple[float, float, float]:
    """Seconds of submit+take, of the server, and of the client's feed."""
    client = ClientSession(b"api.push.apple.com")
    server = ServerSession(connection_window=1 << 24)
    client.feed(server.take())
    server.feed(client.take())
    client.feed(server.take())
    clock = time.process_time
    started = clock()
    head = client.head(SHARED, sensitive=[(b"authorization", AUTHORIZATION)])
    requests = [Request(head, path, ((b"apns-id", own),), body, own) for path, own, body in pushes]
    prebuilt = clock() - started
    sending = serving = receiving = 0.0
    at = 0
    while at < len(requests):
        t0 = clock()
        at += client.submit(requests[at : at + IN_FLIGHT])
        data = client.take()
        t1 = clock()
        events = server.feed(data)
        for event in events:
            if type(event) is Received:
                server.respond(event.stream_id, 200, (event.headers[-1],))
        data = server.take()
        t2 = clock()
        answers = client.feed(data)
        t3 = clock()
        assert all(type(answer) is not Answered or answer.headers is None for answer in answers)
        sending, serving, receiving = sending + t1 - t0, serving + t2 - t1, receiving + t3 - t2
    assert prebuilt >= 0
    assert not client.inflight
    return sending, serving, receiving


def coded(pushes: Sequence[tuple[bytes, bytes, bytes]]) -> tuple[float]:
    """Seconds of the server when the client Huffman-codes its literals."""
    server = ServerSession(connection_window=1 << 24, header_table=4096)
    server.feed(f.PREFACE + f.settings_frame())
    blocks = huffman_blocks(pushes)
    chunks = []
    for start in range(0, len(pushes), IN_FLIGHT):
        part = []
        for at in range(start, min(start + IN_FLIGHT, len(pushes))):
            sid, body = 2 * at + 1, pushes[at][2]
            part.append(f.frame(f.HEADERS, f.END_HEADERS, sid, blocks[at]) + f.frame(f.DATA, f.END_STREAM, sid, body))
        chunks.append(b"".join(part))
    done = 0
    started = time.process_time()
    for chunk in chunks:
        for event in server.feed(chunk):
            if type(event) is Received:
                server.respond(event.stream_id, 200, (event.headers[-1],))
                done += 1
        server.take()
    spent = time.process_time() - started
    assert done == len(pushes)
    return (spent,)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    pushes = traffic(count)
    scale = 100_000 / count
    submit, server, feed = measure(lambda: both(pushes))
    (huffman,) = measure(lambda: coded(pushes))
    print(f"CPU seconds per 100,000 pushes ({count} pushes, {IN_FLIGHT} in flight, least of {ROUNDS} rounds)")
    print(f"  client  submit + take            {submit * scale:.3f}")
    print(f"  client  feed, plain 200          {feed * scale:.3f}")
    print(f"  client  together                 {(submit + feed) * scale:.3f}")
    print(f"  server  references to the table  {server * scale:.3f}")
    print(f"  server  Huffman-coded literals   {huffman * scale:.3f}")


if __name__ == "__main__":
    main()
