"""Answers in every way a server may write them, with `hpack` as the server's encoder."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s

from heliogram.wire import (
    Answered,
    ClientSession,
    ErrorCode,
    Event,
    Received,
    Request,
    Reset,
    ServerSession,
    client_sender,
    huffman,
)
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import integer, literal, raw_string

PUSHES = 24
JSON = b'{"reason":"Unregistered","timestamp":1763788000123}'
OTHER = b"ffffffff-5d4e-4f6a-8b7c-9d0e1f2a3b4c"


def own(number: int) -> bytes:
    return b"%08x-5d4e-4f6a-8b7c-9d0e1f2a3b4c" % (number * 2654435761 % (1 << 32))


def busy(count: int = PUSHES, **options: int) -> ClientSession:
    session = s.client((f.MAX_CONCURRENT_STREAMS, 1000), **options)
    shared = s.head(session)
    assert session.submit([s.push(shared, n, own=own(n)) for n in range(count)]) == count
    session.take()
    return session


class Written(NamedTuple):
    """How one answer is written."""

    rejected: bool
    indexed: bool
    """Whether the fields may enter the table."""
    coded: bool
    apns_id: int
    """0: the request's, 1: the same in upper case, 2: another one."""
    extra: int
    """More fields: bit 0 `apns-unique-id`, bit 1 `date`, bit 2 in front of the id."""
    early: bool
    """An informational section comes first."""
    size: int | None
    """A table size announced in front."""


WRITTEN = st.builds(
    Written,
    *[st.booleans()] * 3,
    st.sampled_from((0, 0, 0, 1, 2)),
    st.sampled_from((0, 0, 0, 1, 2, 3, 5, 6)),
    st.sampled_from((False,) * 7 + (True,)),
    st.sampled_from((None,) * 6 + (0, 150, 4096)),
)


def write(encoder: hpack.Encoder, sid: int, number: int, how: Written) -> tuple[bytes, Answered]:
    """The frames of one answer and the event they have to cause."""
    name = (own(number), own(number).upper(), OTHER)[how.apns_id]
    fields = [(b"apns-id", name)]
    more = [(b"apns-unique-id", own(number + 1000))] * (how.extra & 1) + [(b"date", b"Sun")] * (how.extra >> 1 & 1)
    fields = more + fields if how.extra & 4 else fields + more
    if how.rejected:
        fields.insert(0, (b"content-type", b"application/json"))
    status = b"410" if how.rejected else b"200"
    if how.size is not None:
        encoder.header_table_size = how.size
    wire = s.headers(sid, b"\x08\x03103", end=False) if how.early and how.size is None else b""
    listed = [hpack.HeaderTuple(*pair) if how.indexed else hpack.NeverIndexedHeaderTuple(*pair) for pair in fields]
    block = encoder.encode([hpack.HeaderTuple(b":status", status), *listed], huffman=how.coded)
    wire += s.headers(sid, block, end=not how.rejected)
    if how.rejected:
        wire += s.data(sid, JSON)
    plain = not how.rejected and fields == [(b"apns-id", own(number))]
    return wire, Answered(number, int(status), None if plain else tuple(fields), JSON if how.rejected else b"")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(WRITTEN, st.integers(1, 5)), min_size=1, max_size=PUSHES),
    st.lists(st.integers(0, 1 << 16), max_size=6),
)
def test_any_mix_of_styles_is_read(runs: list[tuple[Written, int]], cuts: list[int]) -> None:
    """However answers are written, mixed and cut, each is reported as it was meant (RFC 7541 §6)."""
    session, encoder = busy(), hpack.Encoder()
    wire, expected = b"", []
    styles = [how for how, times in runs for _ in range(times)][:PUSHES]
    for number, how in enumerate(styles):
        frames, answer = write(encoder, 2 * number + 1, number, how)
        wire += frames
        expected.append(answer)
    edges = [0, *sorted(cut % len(wire) for cut in cuts), len(wire)]
    events: list[Event] = []
    for start, stop in pairwise(edges):
        events += session.feed(wire[start:stop])
    assert events == expected
    assert session.inflight == PUSHES - len(styles)


CODED = huffman.encode(b"apns-id")
LEADS = {
    "name in full": s.OK + b"\x00\x07apns-id",
    "never indexed": s.OK + b"\x10\x07apns-id",
    "name coded": s.OK + b"\x00" + bytes((0x80 | len(CODED),)) + CODED,
    "status in full": b"\x00\x07:status\x03200\x00\x07apns-id",
    "size update": integer(0x20, 0x1F, 4096) + s.OK + b"\x00\x07apns-id",
    "size update twice": integer(0x20, 0x1F, 4096) * 2 + s.OK + b"\x00\x07apns-id",
}


@pytest.mark.parametrize("lead", LEADS.values(), ids=LEADS)
def test_a_row_of_plain_answers(lead: bytes) -> None:
    """What stands in front of the id is read once; the row ends where an answer differs, and goes on behind it."""
    session = busy(12)
    blocks = [lead + raw_string(own(n)) for n in range(12)]
    blocks[4] = lead + raw_string(OTHER)
    blocks[7] = s.OK + b"\x00\x07other-x" + raw_string(own(7))
    expected = [Answered(n, 200, None, b"") for n in range(12)]
    expected[4] = Answered(4, 200, ((b"apns-id", OTHER),), b"")
    expected[7] = Answered(7, 200, ((b"other-x", own(7)),), b"")
    assert session.feed(b"".join([s.headers(2 * n + 1, block) for n, block in enumerate(blocks)])) == expected


def test_two_styles_of_one_length_take_turns() -> None:
    """A block as long as the one that is remembered, but with another start, is read by itself."""
    session = busy(8)
    leads = [LEADS["name in full"], LEADS["never indexed"]]
    wire = b"".join([s.headers(2 * n + 1, leads[n % 2] + raw_string(own(n))) for n in range(8)])
    assert session.feed(wire) == [Answered(n, 200, None, b"") for n in range(8)]


@pytest.mark.parametrize(
    ("sid", "flags"),
    [
        pytest.param(9, 5, id="answered already"),
        pytest.param(0x80000007, 5, id="reserved bit"),
        pytest.param(7, 4, id="open"),
    ],
)
def test_a_row_leaves_other_frames_alone(sid: int, flags: int) -> None:
    """A plain block on an ended stream, with the reserved bit or without END_STREAM is no part of a row."""
    session = busy(5)
    block = LEADS["name in full"] + raw_string(own(3))
    row = b"".join([s.headers(2 * n + 1, LEADS["name in full"] + raw_string(own(n))) for n in (0, 4)])
    events = session.feed(row + f.frame(f.HEADERS, flags, sid, block) + s.data(7, b"ok"))
    last = {
        9: Reset(3, ErrorCode.PROTOCOL_ERROR),
        0x80000007: Answered(3, 200, None, b""),
        7: Answered(3, 200, ((b"apns-id", own(3)),), b"ok"),
    }
    assert events == [Answered(0, 200, None, b""), Answered(4, 200, None, b""), last[sid]]


def test_a_row_stops_at_a_push_whose_body_is_not_out() -> None:
    """The rest of that body is given up with RST_STREAM; the answers around it are plain (RFC 9113 §8.1)."""
    session = s.client((f.MAX_CONCURRENT_STREAMS, 100), (f.INITIAL_WINDOW_SIZE, 100))
    shared = s.head(session)
    batch = [s.push(shared, n, b"x" * (200 if n == 2 else 10), own=own(n)) for n in range(3)]
    assert session.submit(batch) == 3
    session.take()
    wire = b"".join([s.headers(2 * n + 1, LEADS["name in full"] + raw_string(own(n))) for n in range(3)])
    assert session.feed(wire) == [Answered(n, 200, None, b"") for n in range(3)]
    assert session.take() == f.reset_frame(5, ErrorCode.CANCEL)


def test_a_remembered_start_is_forgotten_with_the_table() -> None:
    """A reference in it means something else after a change of the table's size (RFC 7541 §4.2)."""
    session = busy(4)
    session.feed(s.headers(1, s.OK + b"\x40\x07apns-id" + raw_string(own(0))))
    short = s.OK + b"\x0f\x2f"
    assert session.feed(s.headers(3, short + raw_string(own(1)))) == [Answered(1, 200, None, b"")]
    session.feed(s.headers(5, b"\x20" + literal(b":status", b"200")))
    assert session.error is None
    assert session.feed(s.headers(7, s.OK)) == [Answered(3, 200, (), b"")]
    session = busy(4)
    session.feed(s.headers(1, s.OK + b"\x40\x07apns-id" + raw_string(own(0))))
    session.feed(s.headers(3, short + raw_string(own(1))))
    session.feed(s.headers(5, b"\x20" + s.OK))
    assert s.failure(session, s.headers(7, short + raw_string(own(3)))).section == "RFC 7541 §2.3.3"


def test_the_header_list_bound_holds_for_every_plain_answer() -> None:
    """A plain answer above our MAX_HEADER_LIST_SIZE resets its stream, the second like the first (RFC 9113 §10.5.1)."""
    size = len(b":status200apns-id") + 64 + len(own(0))
    wire = b"".join([s.headers(2 * n + 1, LEADS["name in full"] + raw_string(own(n))) for n in range(3)])
    assert busy(3, max_header_list_size=size).feed(wire) == [Answered(n, 200, None, b"") for n in range(3)]
    calm = ErrorCode.ENHANCE_YOUR_CALM
    assert busy(3, max_header_list_size=size - 1).feed(wire) == [Reset(n, calm) for n in range(3)]


def test_a_body_in_one_frame_at_the_bound_and_past_it() -> None:
    """At `max_body` a body is whole, one byte past it is cut; a wrong content-length resets (RFC 9113 §8.1.1)."""
    session = busy(4, max_body=5)
    rows = [
        (s.plain(b"content-length", b"5"), b"x" * 5),
        (s.plain(b"content-length", b"6"), b"x" * 6),
        (s.plain(b"content-length", b"4"), b"x" * 5),
        (b"", b""),
    ]
    wire = b"".join(
        [
            s.headers(2 * n + 1, b"\x8c" + fields, end=False) + s.data(2 * n + 1, body)
            for n, (fields, body) in enumerate(rows)
        ]
    )
    assert session.feed(wire) == [
        Answered(0, 400, ((b"content-length", b"5"),), b"xxxxx"),
        Answered(1, 400, ((b"content-length", b"6"),), b"xxxxx"),
        Reset(2, ErrorCode.PROTOCOL_ERROR),
        Answered(3, 400, (), b""),
    ]


def test_pushes_of_changing_lengths_leave_as_they_are() -> None:
    """Requests that share a head and differ in the lengths of path, id and body arrive unchanged, in any order."""
    session, server = ClientSession(b"host", initial_stream_limit=1000), ServerSession(connection_window=1 << 24)
    s.join(session, server)
    shared = [s.head(session), session.head([(b"apns-topic", b"another")])]
    batch = []
    for n in range(700):
        name = b"apns-collapse-id" if n % 7 == 3 else b"apns-id"
        fields = ((name, b"v" * (36 if n % 5 else n % 9)),) * (1 + (n % 11 == 0))
        path = s.PATH + b"0" * (n % 13 == 5)
        batch.append(Request(shared[n % 17 == 2], path, fields, b"x" * (n % 300 if n % 3 else 40), n))
    got: list[Received] = []
    while len(got) < len(batch):
        session.submit(batch, len(got))
        got += [event for event in s.join(session, server)[1] if isinstance(event, Received)]
    for request, received in zip(batch, got, strict=True):
        assert received.body == request.body
        assert received.headers[3] == (b":path", request.path)
        assert received.headers[4:] == request.head.pairs + request.head.sensitive + request.fields


def test_a_mold_does_not_outlive_what_it_was_made_under() -> None:
    """When the peer lowers its table or its limit on header lists, requests are encoded anew (RFC 7541 §4.2)."""
    session = busy(3)
    shared = s.head(session)
    for pairs in ([(f.HEADER_TABLE_SIZE, 0)], [(f.MAX_HEADER_LIST_SIZE, 330)]):
        assert session.submit([s.push(shared, n) for n in range(3)]) == 3
        before = s.split(session.take())
        session.feed(s.settings(*pairs))
        session.take()
        if pairs[0][0] == f.MAX_HEADER_LIST_SIZE:
            with pytest.raises(ValueError, match="MAX_HEADER_LIST_SIZE"):
                session.submit([s.push(shared, 1)])
        else:
            assert session.submit([s.push(shared, 1)]) == 1
            after = s.split(session.take())
            assert after[0][3][:1] == b"\x20"
            assert after[0][3] != before[-2][3]


def test_molds_stay_within_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """256 lengths of a body are kept for each of 16 combinations of other lengths; what is beyond leaves as well."""
    monkeypatch.setattr(client_sender, "_open_fast", None)  # the twin in C needs no molds
    session = busy(1)
    head = s.head(session)
    assert session.submit([s.push(head, n, b"x" * (n + 1)) for n in range(300)]) == 300
    assert max(map(len, session._packs.values())) == 256
    for n in range(20):
        own_head = session.head([(b"apns-topic", b"t%d" % n)])
        path = s.PATH[: n + 3]
        assert session.submit([Request(own_head, path, ((b"apns-id", s.ID),), b"x", n) for _ in range(3)]) == 3
    assert len(session._packs) == 16
    frames = [payload for kind, _, _, payload in s.split(session.take()) if kind == f.DATA]
    assert [len(payload) for payload in frames] == [*range(1, 301), *[1] * 60]
