"""Raw client session against raw server session, in memory: CPU seconds per 100,000 pushes on each side.

    python bench/wire.py [pushes]

Path, id and body differ in every push. The server side is also fed by an h2load-like client, which Huffman-codes its
literals and announces a content-length. The client side is also fed answers in each way a server may write them: how
the id is a literal, whether it is coded, what else comes with it, and errors with a JSON body. Figures are the least of
the rounds; one core, no I/O.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from heliogram.wire import Answered, ClientSession, Received, Request, ServerSession
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import integer, raw_string, short_string

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


class Style(NamedTuple):
    """One way a server may write its answers (RFC 7541 §6.2)."""

    title: str
    kind: int = 0x00
    """The first bits of a literal: 0x40 enters the table, 0x00 does not, 0x10 must not on the whole way."""
    huffman: bool = False
    named: bool = False
    """From the second answer on, names are references to the dynamic table."""
    upper: bool = False
    extra: tuple[bytes, ...] = ()
    """Names of more fields: a `date` stays the same, every other value is new in each answer."""
    error: bool = False
    """410 with a JSON body, and its type."""
    update: bool = False
    """A table size update in front of each block."""

    def fields(self, apns_id: bytes, number: int) -> list[tuple[bytes, bytes]]:
        """All pairs behind `:status`."""
        found = [(b"content-type", b"application/json")] if self.error else []
        found.append((b"apns-id", apns_id.upper() if self.upper else apns_id))
        found += [(b"date", b"Sun, 22 Nov 2026 08:00:00 GMT") for name in self.extra if name == b"date"]
        found += [(name, identifier(number + 7)) for name in self.extra if name != b"date"]
        return found


STYLES = (
    Style("literal without indexing"),
    Style("literal never indexed", kind=0x10),
    Style("  Huffman-coded", kind=0x10, huffman=True),
    Style("Huffman-coded name and id", huffman=True),
    Style("reference to the name", named=True),
    Style("  Huffman-coded", huffman=True, named=True),
    Style("id enters the table", kind=0x40),
    Style("  by reference to the name", kind=0x40, named=True),
    Style("  the same, Huffman-coded", kind=0x40, huffman=True, named=True),
    Style("upper case", upper=True),
    Style("  Huffman-coded", upper=True, huffman=True),
    Style("table size update in front", update=True),
    Style("with apns-unique-id", extra=(b"apns-unique-id",)),
    Style("  all enter the table, coded", kind=0x40, huffman=True, named=True, extra=(b"apns-unique-id",)),
    Style("with date", extra=(b"date",)),
    Style("  all enter the table, coded", kind=0x40, huffman=True, named=True, extra=(b"date",)),
    Style("410 and body", error=True),
    Style("  Huffman-coded", error=True, huffman=True),
    Style("  all enter the table", error=True, kind=0x40, named=True),
    Style("  the same, Huffman-coded", error=True, kind=0x40, named=True, huffman=True),
)


class Server:
    """Writes answers in a style, with a dynamic table where the style has one."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.table: list[tuple[bytes, bytes]] = []  # newest first
        self.string = short_string if style.huffman else raw_string
        self.started = False

    def block(self, apns_id: bytes, number: int) -> bytes:
        style = self.style
        out = integer(0x20, 0x1F, 4096) if style.update else b""
        if not style.error:
            out += b"\x88"
        for pair in [(b":status", b"410")] * style.error + style.fields(apns_id, number):
            out += self.field(*pair)
        self.started = True
        return out

    def field(self, name: bytes, value: bytes) -> bytes:
        style = self.style
        known = [entry[0] for entry in self.table]
        if style.kind == 0x40 and (name, value) in self.table:
            return integer(0x80, 0x7F, 62 + self.table.index((name, value)))
        # A style with references but no indexing has had the name put in by its first answer.
        kind = 0x40 if style.named and not self.started else style.kind
        mask = 0x3F if kind == 0x40 else 0x0F
        if name == b":status":
            out = integer(kind, mask, 8)
        elif style.named and name in known:
            out = integer(kind, mask, 62 + known.index(name))
        else:
            out = bytes((kind,)) + self.string(name)
        if kind == 0x40:
            self.table.insert(0, (name, value))
            while sum(len(a) + len(b) + 32 for a, b in self.table) > 4096:
                self.table.pop()
        return out + self.string(value)


def styled(pushes: Sequence[tuple[bytes, bytes, bytes]], style: Style) -> tuple[float]:
    """Seconds of the client's feed for answers in this style."""
    client = ClientSession(b"api.push.apple.com")
    client.feed(f.settings_frame((f.MAX_CONCURRENT_STREAMS, 1000)) + f.window_frame(0, 1 << 30))
    head = client.head(SHARED)
    body = b'{"reason":"Unregistered","timestamp":1763788000123}'
    server = Server(style)
    spent, done = 0.0, 0
    for start in range(0, len(pushes), IN_FLIGHT):
        part = pushes[start : start + IN_FLIGHT]
        client.submit([Request(head, path, ((b"apns-id", own),), text, own) for path, own, text in part])
        client.take()
        frames = []
        for number, (_, own, _) in enumerate(part, start):
            sid, block = 2 * number + 1, server.block(own, number)
            frames.append(f.frame(f.HEADERS, 4 if style.error else 5, sid, block))
            if style.error:
                frames.append(f.frame(f.DATA, f.END_STREAM, sid, body))
        data = b"".join(frames)
        began = time.process_time()
        events = client.feed(data)
        spent += time.process_time() - began
        client.take()
        done += sum(type(event) is Answered and event.status == (410 if style.error else 200) for event in events)
    assert done == len(pushes)
    return (spent,)


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
    print("  client  feed, answers in other styles")
    for style in STYLES:
        (spent,) = measure(lambda style=style: styled(pushes[: max(1, count // 5)], style))  # type: ignore[misc]
        print(f"            {style.title:30} {spent * scale * 5:.3f}", flush=True)


if __name__ == "__main__":
    main()
