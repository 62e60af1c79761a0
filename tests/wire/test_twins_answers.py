"""Answers are read by the twin in C as by the Python code: events, errors, and all that is remembered."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s
from support.answering import Peer
from support.twins import native_only, pure

from heliogram.wire import Answered, ClientSession, ErrorCode, ProtocolError, Request, Reset, client, huffman
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import integer, raw_string, short_string

pytestmark = native_only

BODY = b'{"reason":"Unregistered","timestamp":1763788000123}'


def own(number: int) -> bytes:
    return b"%08x-5d4e-4f6a-8b7c-9d0e1f2a3b4c" % (number * 2654435761 % (1 << 32))


def remembered(session: ClientSession) -> tuple[object, ...]:
    """All that later input may be read by, but for what only saves time."""
    decoder = session._decoder
    table = (decoder._dynamic[62:], decoder._size, decoder._max, decoder._must_shrink, decoder.generation)
    books = (
        list(session._open),
        repr(session._answers),
        sorted(session._blocked.items()),
        sorted(session._credit.items()),
    )
    counts = (session._receive, session._empty, session._window, session._limit, session._draining)
    return table, books, counts, session._buffer, session._block, str(session.error)


def story(seed: int) -> list[object]:
    """A session under a peer's answers, cut anywhere: events, bytes to write, errors, and what is remembered."""
    rng = random.Random(seed)
    options: dict[str, Any] = {
        "max_header_list_size": rng.choice((16384, 16384, 150)),
        "max_body": rng.choice((65536, 65536, 20)),
    }
    session = ClientSession(b"host", receive_window=rng.choice((65535, 1 << 20)), **options)
    window = rng.choice((65535, 65535, 65535, 50))
    session.feed(f.settings_frame((f.MAX_CONCURRENT_STREAMS, 100), (f.INITIAL_WINDOW_SIZE, window)))
    head = session.head([(b"apns-topic", b"t")])
    peer = Peer(rng, rng.choice((0.0, 0.0, 0.02, 0.1)))
    seen: list[object] = []
    for turn in range(rng.randrange(1, 6)):
        batch = []
        for n in range(turn * 12, turn * 12 + 12):
            fields: Any = ((b"apns-id", own(n)), *[(b"apns-expiration", b"0")] * (n % 3 == 2))
            fields = fields[:1] if n % 3 else ((b"apns-collapse-id", own(n)), *fields) if n % 5 == 4 else fields
            batch.append(Request(head, s.PATH, () if peer.odd() else fields, b"b" * rng.choice((0, 9, 60)), n))
        try:
            seen.append(session.submit(batch))
            wire = peer.answers(session, rng.randrange(14))
            edges = [0, *sorted(rng.randrange(len(wire) + 1) for _ in range(rng.choice((0, 1, 4)))), len(wire)]
            for start, stop in pairwise(edges):
                seen += [session.feed(wire[start:stop]), session.take(), remembered(session)]
        except ProtocolError as error:
            seen += [str(error), session.take(), remembered(session)]
            break
    return seen


@settings(max_examples=700, deadline=None)
@given(st.integers(0, 1 << 64))
def test_both_ways_read_any_answers_alike(seed: int) -> None:
    """However a server writes its answers, right or wrong, the same comes of it, and the same is remembered."""
    native = story(seed)
    with pure():
        assert story(seed) == native


def fed(pieces: list[bytes], pushes: int = 8, **options: Any) -> tuple[list[object], tuple[object, ...]]:
    session = s.client((f.MAX_CONCURRENT_STREAMS, 1000), **options)
    head = s.head(session)
    assert session.submit([s.push(head, n, own=own(n)) for n in range(pushes)]) == pushes
    seen: list[object] = []
    for piece in pieces:
        try:
            seen += session.feed(piece)
        except ProtocolError as error:
            seen.append(str(error))
    return seen, remembered(session)


def alike(pieces: list[bytes], **options: Any) -> list[object]:
    native = fed(pieces, **options)
    with pure():
        assert fed(pieces, **options) == native
    return native[0]


def test_every_symbol_of_the_huffman_code() -> None:
    """Short codes are read in C and the others in Python, wherever in a string they stand (RFC 7541 §5.2)."""
    for symbol in [bytes((n,)) for n in range(256)]:
        for text in (b"a" + symbol * 3 + b"z", b"abc" + symbol, symbol + b"a"):
            coded = huffman.encode(text)
            (event,) = alike([s.headers(1, s.OK + b"\x00\x01x" + bytes((0x80 | len(coded),)) + coded)])
            assert isinstance(event, Reset) or event == Answered(0, 200, ((b"x", text),), b"")
            assert isinstance(event, Answered) or symbol in b"\0\t\n\v\f\r "


def test_every_last_byte_of_a_huffman_string() -> None:
    """The padding is right or wrong for both (RFC 7541 §5.2)."""
    for last in [bytes((n,)) for n in range(256)]:
        for before in (b"", b"\x1f", b"\xff\xff"):
            coded = before + last
            alike([s.headers(1, s.OK + b"\x00\x01x" + bytes((0x80 | len(coded),)) + coded)])


def stale() -> list[bytes]:
    """Answers whose fourth changes what the third had been written with, and the last that looks like the third."""
    known = s.headers(1, s.OK + s.plain(b"other-x", own(0)))  # so that the twin takes the fourth by itself
    enters = s.headers(3, s.OK + b"\x40\x07apns-id" + raw_string(own(1)))
    plain = s.headers(5, s.OK + b"\x0f\x2f" + raw_string(own(2)))
    other = s.headers(7, s.OK + b"\x40\x07other-x" + raw_string(own(3)))
    return [known, enters, plain, other, s.headers(9, s.OK + b"\x0f\x2f" + raw_string(own(4)))]


@pytest.mark.parametrize("between", [b"", f.frame(f.PING, 0, 0, b"12345678")])
def test_a_remembered_start_goes_with_the_table_that_the_twin_changed(between: bytes) -> None:
    """A reference learned with a plain answer means another name once an answer has put one in front of it."""
    for pieces in (stale(), [b"".join(stale())], [b"".join([*stale()[:4], between, stale()[4]])]):
        assert alike(pieces)[-1] == Answered(4, 200, ((b"other-x", own(4)),), b"")


def test_the_same_where_a_body_waits() -> None:
    """Also when that answer comes for a push whose body is not out, which is a matter of Python."""

    def told() -> tuple[list[object], bytes]:
        session = s.client((f.MAX_CONCURRENT_STREAMS, 100), (f.INITIAL_WINDOW_SIZE, 100))
        head = s.head(session)
        session.submit([s.push(head, n, b"x" * (200 if n == 4 else 10), own=own(n)) for n in range(5)])
        session.take()
        return list(session.feed(b"".join(stale()))), session.take()

    native = told()
    with pure():
        assert told() == native
    assert native[0][-1] == Answered(4, 200, ((b"other-x", own(4)),), b"")
    assert native[1] == f.reset_frame(9, ErrorCode.CANCEL)


@pytest.mark.parametrize("sizes", [(4096,), (4096, 4096), (0,), (0, 4096), (4096, 60), (4097,)])
def test_table_sizes_in_front_of_a_block(sizes: tuple[int, ...]) -> None:
    """One that changes nothing is skipped in C; the others are a matter of Python (RFC 7541 §6.3)."""
    front = b"".join(map(_update, sizes))
    pieces = [s.headers(2 * n + 1, front + s.OK + b"\x40\x07apns-id" + short_string(own(n))) for n in range(6)]
    alike(pieces)
    alike([b"".join(pieces)])


def _update(size: int) -> bytes:
    return integer(0x20, 0x1F, size)


@pytest.mark.parametrize("fields", [30, 31, 32, 33, 70])
def test_blocks_of_many_fields(fields: int) -> None:
    """What the twin has room for and one more: Python goes on where it stopped, the table included."""
    block = s.OK + b"".join([b"\x40" + short_string(b"x-%d" % n) + short_string(own(n)) for n in range(fields)])
    (answer,) = alike([s.headers(1, block)])
    assert isinstance(answer, Answered)
    assert answer.headers == tuple((b"x-%d" % n, own(n)) for n in range(fields))


@pytest.mark.parametrize("size", [0, 1, 64, 65, 66])
def test_the_bounds_of_a_body_and_of_the_window(size: int) -> None:
    """At `max_body` and past it, and whenever credit has to go back to the peer."""
    block = b"\x8c" + s.plain(b"apns-id", own(9))
    pieces = [s.headers(2 * n + 1, block, end=False) + s.data(2 * n + 1, b"x" * size) for n in range(8)]
    alike(pieces, max_body=65)
    for end in (b"", b"y", b"z" * 65):
        ends = [s.data(2 * n + 1, b"x" * size, end=False) + s.data(2 * n + 1, end) for n in range(8)]
        alike([s.headers(2 * n + 1, block, end=False) + ends[n] for n in range(8)], max_body=65)
    big = [s.headers(2 * n + 1, block, end=False) + s.data(2 * n + 1, b"x" * (16384 - size)) for n in range(8)]
    alike(big, receive_window=65535)
    alike(big, receive_window=1 << 20)
    row = b"".join([s.data(1, b"x" * 16384, end=False)] * 2 + [s.data(1, b"x" * (16384 - size), end=False)] * 2)
    alike([s.headers(1, block, end=False) + row + s.data(1)], receive_window=1 << 20)


def test_nothing_is_kept_of_answers() -> None:
    """References to what went through are given back; blocks of memory are, too, with errors among the answers."""
    session = s.client((f.MAX_CONCURRENT_STREAMS, 1000), receive_window=1 << 30)
    head = s.head(session)
    tag = object()

    def turn(number: int) -> None:
        first, count = session._next, 20
        session.submit([s.push(head, tag, own=own(number + n)) for n in range(count)])
        wire = b""
        for n in range(count):
            sid, name = first + 2 * n, own(number + n)
            fields = b"\x40" + short_string(b"apns-id") + short_string(name) + s.plain(b"apns-unique-id", name)
            if n % 4 == 0:
                wire += s.headers(sid, s.OK + b"\x10" + short_string(b"apns-id") + short_string(name))
            elif n % 4 == 1:
                wire += s.headers(sid, b"\x08\x03410" + fields, end=False) + s.data(sid, BODY)
            elif n % 4 == 2:
                wire += s.headers(sid, s.OK + fields)
            else:
                wire += s.headers(sid, s.OK + fields + s.plain(b"Bad", b"\0") + s.plain(b"x", b"<{'|}>"))
        assert len(session.feed(wire)) == count
        session.take()
        session.feed(f.window_frame(0, 10000))

    for number in range(100):
        turn(number * 20)
    session._packs.clear()
    session._decoder._seen.clear()
    tags, blocks = sys.getrefcount(tag), sys.getallocatedblocks()
    for number in range(100, 400):
        turn(number * 20)
    session._packs.clear()
    session._decoder._seen.clear()
    assert sys.getrefcount(tag) == tags
    assert sys.getallocatedblocks() - blocks < 300


VALUES: tuple[Any, ...] = (None, -1, 1 << 70, b"", "", {}, [], (), object())


def test_wrong_arguments_are_an_exception() -> None:
    """A mistake in the calling Python code does not end the process."""
    session = s.client()
    right: list[Any] = [b"\0" * 9, 0, [], session._books, b"12345", b"", -1, 100]
    assert client._read_answers(*right) == (0, 100, None)
    for place, good in enumerate(right):
        for value in VALUES:
            if type(value) is type(good) and value != 1 << 70 and (place != 3 and value != -1):
                continue
            try:
                client._read_answers(*right[:place], value, *right[place + 1 :])
            except (TypeError, ValueError, OverflowError):
                continue
            assert place in (0, 4, 6, 7), (
                place,
                value,
            )  # data that is no bytes is Python's; the others were not needed
    for place, good in enumerate(session._books):
        for value in VALUES:
            if type(value) is type(good) and value != 1 << 70:
                continue
            books = (*session._books[:place], value, *session._books[place + 1 :])
            with pytest.raises((TypeError, ValueError, OverflowError)):
                client._read_answers(*right[:3], books, *right[4:])
