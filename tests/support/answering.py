"""Answers as servers may write them, and as they may not: for tests that hold two readers of them together."""

from __future__ import annotations

import random

import hpack

from heliogram.wire import ClientSession, Request, huffman
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import integer

NAMES = (
    *(b"apns-id", b"apns-id", b"apns-unique-id", b"content-type", b"date", b"x-" + b"n" * 90, b"rare-'|~"),
    *(b"retry-after", b"content-length", b"te", b"connection", b"Upper", b"", b"a b", b":path", b":status"),
)
WELL = 8
"""So many names, from the start, are in order whatever the value."""
STATUSES = (*(b"200", b"410") * 8, b"400", b"403", b"429", b"503", b"204", b"304", b"103", b"99", b"abc", b"1000", b"")
BODIES = (
    *(b'{"reason":"Unregistered","timestamp":1763788000123}', b'{"reason":"BadDeviceToken"}') * 4,
    *(b"", b"{}", b'{"reason":"BadTopic"}' * 60, b"x" * 5000, b"y" * 16384),
)


class Peer:
    """Writes the answers to a session's open requests, from an independent encoder or field by field.

    `errors` is how often, from 0 to 1, something is wrong or at least odd.
    """

    def __init__(self, rng: random.Random, errors: float) -> None:
        self._rng = rng
        self._errors = errors
        self._encoder = hpack.Encoder()
        self._by_hand = rng.random() < 0.5  # two encoders would not agree on the table
        self._steady = None if rng.random() < 0.3 else (rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5)
        self._pieces = rng.choice((0, 0, 0, 1, 9, 60))  # bodies in pieces of this many bytes, and what is left
        self._names = WELL if rng.random() < 0.5 else len(NAMES)

    def __repr__(self) -> str:
        return f"<Peer {'by hand' if self._by_hand else 'hpack'}>"

    def odd(self) -> bool:
        """Whether this is the time for something odd."""
        return self._rng.random() < self._errors

    def answers(self, session: ClientSession, most: int) -> bytes:
        """Frames for some of what is open, and some between them."""
        rng, wire = self._rng, b""
        for sid, request in list(session._open.items())[:most]:
            if rng.random() < 0.9:
                wire += self.answer(sid, request)
            if self.odd():
                wire += rng.choice(
                    (
                        f.window_frame(0, 60000), f.frame(f.PING, 0, 0, b"12345678"), f.reset_frame(sid, 7),
                        f.frame(f.DATA, 0, sid, b""), f.frame(f.DATA, 1, sid, b"late"), f.frame(0xEE, 5, sid, b"?"),
                        f.settings_frame((f.INITIAL_WINDOW_SIZE, rng.choice((10, 100000)))), f.window_frame(sid, 90),
                    )
                )  # fmt: skip
        if wire and self.odd() and rng.random() < 0.3:
            changed = bytearray(wire)
            changed[rng.randrange(len(wire))] ^= 1 << rng.randrange(8)
            wire = bytes(changed)
        return wire

    def answer(self, sid: int, request: Request) -> bytes:
        """HEADERS, and DATA if there is a body."""
        rng = self._rng
        block = self.block(request.fields[0][1] if request.fields else b"none")
        ended = rng.random() < 0.5
        if self.odd() and len(block) > 3:
            cut = rng.randrange(len(block))
            wire = f.frame(f.HEADERS, int(ended), sid, block[:cut]) + f.frame(f.CONTINUATION, 4, sid, block[cut:])
        elif self.odd():
            wire = f.frame(f.HEADERS, 4 | int(ended) | f.PADDED, sid, b"\x02" + block + b"\0\0")
        else:
            wire = f.frame(f.HEADERS, 4 | int(ended), sid, block)
        if ended and not self.odd():
            return wire
        body = rng.choice(BODIES)
        if self._pieces and len(body) < 100:
            cuts = range(0, min(len(body), 4 * self._pieces), self._pieces)
            wire += b"".join([f.frame(f.DATA, 0, sid, body[cut : cut + self._pieces]) for cut in cuts])
            body = body[len(cuts) * self._pieces :]
        if self.odd():
            wire += f.frame(f.DATA, 0, sid, body[:9])
        if self.odd():
            return wire + f.frame(f.DATA, 9, sid, b"\x03" + body[:-9] + b"\0\0\0")
        if self.odd():
            return wire + f.frame(f.DATA, 0, sid, body) + f.frame(f.HEADERS, 5, sid, self.block(b"trailer"))
        return wire + f.frame(f.DATA, 1, sid, body)

    def value(self, own: bytes) -> bytes:
        """Mostly the id, or what else a field may hold."""
        rng = self._rng
        if not self.odd():
            return rng.choice((own, own, own, own.upper(), b"application/json", b"%d" % rng.randrange(60), own[::-1]))
        return rng.choice(
            (
                b"", b" x", b"x\t", b"a\0b", b"a\nb", b"a\rb", b"in side", b"trailers", b"<{'|~}>", b"1" * 16, b"-1",
                rng.randbytes(rng.randrange(40)), b"v" * rng.choice((126, 127, 128, 255, 640, 641, 1025, 3000, 5000)),
            )
        )  # fmt: skip

    def block(self, own: bytes) -> bytes:
        """A header block: a status, and some fields."""
        rng = self._rng
        fields = [(b":status", rng.choice(STATUSES if self.odd() else STATUSES[:16]))]
        fields += [(b"apns-id", own if rng.random() < 0.8 else self.value(own))] * (not self.odd())
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 5))):
            fields.insert(rng.randrange(not self.odd(), len(fields) + 1), (self.name(), self.value(own)))
        if self.odd() and rng.random() < 0.1:
            fields += [(b"x-%d" % n, b"y") for n in range(rng.choice((29, 30, 31, 40, 700)))]
        if self._by_hand:
            update = rng.choice((0, 10, 100, 4096, 5000, 70000)) if self.odd() else 4096
            start = integer(0x20, 0x1F, update) if self.odd() else b""
            return start + b"".join([self.field(*field) for field in fields])
        if self.odd():
            self._encoder.header_table_size = rng.choice((0, 60, 150, 4096))
        indexed, coded, _ = self._steady or (rng.random() < 0.5, rng.random() < 0.5, False)
        kind = hpack.HeaderTuple if indexed else hpack.NeverIndexedHeaderTuple
        return self._encoder.encode([hpack.HeaderTuple(*fields[0]), *(kind(*pair) for pair in fields[1:])], coded)

    def name(self) -> bytes:
        return NAMES[self._rng.randrange(self._names)]

    def field(self, name: bytes, value: bytes) -> bytes:
        """One field, whose name or all of which may be a reference to what happens to stand there."""
        rng = self._rng
        enters, coded, refers = self._steady or (rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5)
        if self.odd() and rng.random() < 0.3:
            return rng.choice((rng.randbytes(3), b"\x80", b"\x04\x01/", b"\x20", b"\x3f\xff\xff\xff\xff\x7f", b"\xff"))
        if name == b":status":
            known = {b"200": 8, b"204": 9, b"304": 11, b"400": 12}.get(value)
            if known and rng.random() < 0.9:
                return integer(0x80, 0x7F, known)
            start = integer(0x00, 0x0F, 8)
        elif self.odd():
            return integer(0x80, 0x7F, rng.choice((1, 8, 28, 31, 61, 62, 62, 63, 64, 70, 130, 300)))
        else:
            kind, mask = (0x40, 0x3F) if enters else (rng.choice((0x00, 0x10)), 0x0F)
            index = rng.choice((28, 31, 33, 53, 62, 62, 63)) if refers and rng.random() < 0.3 else 0
            start = integer(kind, mask, index) + (b"" if index else self.string(name, coded))
        return start + self.string(value, coded)

    def string(self, text: bytes, coded: bool) -> bytes:
        raw = huffman.encode(text) if coded else text
        if self.odd() and self._rng.random() < 0.1:
            raw = self._rng.randbytes(len(raw))
        size = integer(0x80 if coded else 0x00, 0x7F, len(raw))
        if len(size) > 1 and self.odd():
            size = size[:-1] + bytes((size[-1] | 0x80,)) + self._rng.choice((b"\x00", b"\x80\x80\x00", b"\x01"))
        return size + raw
