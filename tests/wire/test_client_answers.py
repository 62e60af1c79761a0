"""What a client session makes of the peer's frames."""

from __future__ import annotations

import pytest
from support import frames as s

from heliogram.wire import (
    Answered,
    ClientSession,
    ErrorCode,
    GoAway,
    Pong,
    ProtocolError,
    Request,
    Reset,
    SettingsChanged,
    Unprocessed,
    huffman,
)
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import integer

ROOMY = (f.MAX_CONCURRENT_STREAMS, 1000)
PLAIN = s.OK + s.plain(b"apns-id", s.ID)


def busy(*tags: object, **options: int) -> ClientSession:
    session = s.client(ROOMY, **options)
    s.opened(session, *tags)
    return session


# ---- plain answers


def test_plain_answers_carry_no_headers() -> None:
    """`:status 200` with the request's own apns-id needs no header list, first answer or later (RFC 7541 §6.2.2)."""
    session = busy(*range(4))
    wire = b"".join([s.headers(sid, PLAIN) for sid in (1, 3, 5, 7)])
    assert session.feed(wire) == [Answered(tag, 200, None, b"") for tag in range(4)]
    assert session.inflight == 0


def test_another_apns_id_is_reported() -> None:
    """An id the request did not send comes with the headers, also after plain answers (RESP-3)."""
    session = busy(1, 2)
    session.feed(s.headers(1, PLAIN))
    other = s.ID.upper()
    events = session.feed(s.headers(3, s.OK + s.plain(b"apns-id", other)))
    assert events == [Answered(2, 200, ((b"apns-id", other),), b"")]


def test_an_indexed_name_is_learned_and_forgotten_with_the_table() -> None:
    """A plain answer may refer to the dynamic table; after a change of the table it is decoded anew (RFC 7541 §2.3)."""
    session = busy(1, 2, 3, 4)
    session.feed(s.headers(1, s.OK + b"\x40\x07apns-id\x01x"))
    short = s.OK + b"\x0f" + integer(0, 0xFF, 62 - 15) + b"\x24" + s.ID
    assert session.feed(s.headers(3, short)) == [Answered(2, 200, None, b"")]
    assert session.feed(s.headers(5, short)) == [Answered(3, 200, None, b"")]
    s.opened(session, 5)
    session.feed(s.headers(9, s.OK + b"\x40\x05other\x01y"))
    assert session.feed(s.headers(7, short)) == [Answered(4, 200, ((b"other", s.ID),), b"")]


def test_a_huffman_coded_id_is_recognised() -> None:
    """The id may be coded; it is the same id (RFC 7541 §5.2)."""
    session = busy(1)
    coded = huffman.encode(s.ID)
    wire = s.headers(1, s.OK + b"\x00\x07apns-id" + bytes((0x80 | len(coded),)) + coded)
    assert session.feed(wire) == [Answered(1, 200, None, b"")]


def test_a_request_without_an_id_gets_the_servers_id() -> None:
    """An id the server made up is in the headers (RESP-3)."""
    session = s.client(ROOMY)
    session.submit([Request(s.head(session), s.PATH, (), b"{}", n) for n in range(2)])
    wire = s.headers(1, PLAIN) + s.headers(3, PLAIN)
    assert [event.headers for event in session.feed(wire) if isinstance(event, Answered)] == [
        ((b"apns-id", s.ID),),
        ((b"apns-id", s.ID),),
    ]


def test_more_headers_are_reported() -> None:
    """All pairs but :status are in the event when there are more than the id."""
    session = busy(1)
    events = session.feed(s.headers(1, PLAIN + s.plain(b"apns-unique-id", b"u")))
    assert events == [Answered(1, 200, ((b"apns-id", s.ID), (b"apns-unique-id", b"u")), b"")]


# ---- bodies


def test_a_rejection_with_a_body() -> None:
    """HEADERS and DATA make one answer (RFC 9113 §8.1)."""
    session = busy(1)
    assert session.feed(s.headers(1, b"\x8c", end=False) + s.data(1, b'{"rea', end=False)) == []
    assert session.feed(s.data(1, b'son":"BadDeviceToken"}')) == [Answered(1, 400, (), b'{"reason":"BadDeviceToken"}')]


def test_a_body_is_cut_at_max_body() -> None:
    """At the edge a body is whole, one byte past it is cut; the answer is complete all the same."""
    for size in (100, 101):
        session = busy(1, max_body=100)
        session.feed(s.headers(1, s.OK, end=False) + s.data(1, b"x" * 60, end=False))
        assert session.feed(s.data(1, b"x" * (size - 60))) == [Answered(1, 200, (), b"x" * 100)]


def test_padding_and_priority_fields_are_dropped() -> None:
    """PADDED and PRIORITY flags change nothing in what a frame says (RFC 9113 §6.1, §6.2)."""
    session = busy(1)
    block = f.frame(f.HEADERS, 0x2C, 1, b"\x03" + bytes(5) + s.OK + bytes(3))
    events = session.feed(block + f.frame(f.DATA, 0x9, 1, b"\x02ok" + bytes(2)))
    assert events == [Answered(1, 200, (), b"ok")]


def test_continuation_frames_make_one_block() -> None:
    """A block cut into CONTINUATION frames is put together (RFC 9113 §6.10)."""
    session = busy(1)
    wire = f.frame(f.HEADERS, f.END_STREAM, 1, PLAIN[:1]) + f.frame(f.CONTINUATION, 0, 1, PLAIN[1:9])
    assert session.feed(wire + f.frame(f.CONTINUATION, f.END_HEADERS, 1, PLAIN[9:])) == [Answered(1, 200, None, b"")]


def test_informational_answers_are_skipped() -> None:
    """1xx header sections precede the answer and are not it (RFC 9113 §8.1)."""
    session = busy(1)
    early = s.headers(1, b"\x08\x03103", end=False)
    assert session.feed(early * 16 + s.headers(1, s.OK)) == [Answered(1, 200, (), b"")]


@pytest.mark.parametrize("count", [17])
def test_too_many_informational_answers_reset_the_stream(count: int) -> None:
    """Sixteen 1xx sections are the bound of one answer (RFC 9113 §10.5)."""
    session = busy(1)
    assert session.feed(s.headers(1, b"\x08\x03103", end=False) * count) == [Reset(1, ErrorCode.PROTOCOL_ERROR)]


def test_trailers_are_skipped() -> None:
    """A header section after the body ends the answer and is dropped (RFC 9113 §8.1)."""
    session = busy(1)
    wire = s.headers(1, s.OK, end=False) + s.data(1, b"ok", end=False) + s.headers(1, s.plain(b"x", b"y"))
    assert session.feed(wire) == [Answered(1, 200, (), b"ok")]


MALFORMED = [
    pytest.param(b"", id="no fields"),
    pytest.param(s.plain(b"apns-id", b"x"), id="no status"),
    pytest.param(s.OK + s.OK, id="status twice"),
    pytest.param(s.plain(b"x", b"y") + s.OK, id="status behind a field"),
    pytest.param(s.OK + s.plain(b":path", b"/"), id="pseudo-header of a request"),
    pytest.param(b"\x08\x0220", id="status of two digits"),
    pytest.param(b"\x08\x03abc", id="status without digits"),
    pytest.param(b"\x08\x03099", id="status below 100"),
    pytest.param(s.OK + s.plain(b"Upper", b"y"), id="upper case name"),
    pytest.param(s.OK + s.plain(b"", b"y"), id="empty name"),
    pytest.param(s.OK + s.plain(b"connection", b"close"), id="field of a connection"),
    pytest.param(s.OK + s.plain(b"x", b"a\nb"), id="line feed in a value"),
    pytest.param(s.OK + s.plain(b"x", b" y"), id="blank in front of a value"),
    pytest.param(s.OK + s.plain(b"content-length", b"5"), id="content-length without a body"),
    pytest.param(s.OK + s.plain(b"content-length", b"-1"), id="content-length that is no number"),
    pytest.param(b"\x08\x03103", id="1xx that ends the stream"),
]


@pytest.mark.parametrize("block", MALFORMED)
def test_a_malformed_answer_resets_its_stream_alone(block: bytes) -> None:
    """A malformed message is a stream error of type PROTOCOL_ERROR (RFC 9113 §8.1.1)."""
    session = busy(1, 2)
    assert session.feed(s.headers(1, block)) == [Reset(1, ErrorCode.PROTOCOL_ERROR)]
    assert session.take() == f.reset_frame(1, ErrorCode.PROTOCOL_ERROR)
    assert session.feed(s.headers(3, PLAIN)) == [Answered(2, 200, None, b"")]


def test_data_before_headers_resets_the_stream() -> None:
    """An answer starts with a header section (RFC 9113 §8.1)."""
    session = busy(1)
    assert session.feed(s.data(1, b"x")) == [Reset(1, ErrorCode.PROTOCOL_ERROR)]


def test_trailers_that_do_not_end_the_stream_reset_it() -> None:
    """Trailers carry END_STREAM (RFC 9113 §8.1)."""
    session = busy(1)
    wire = s.headers(1, s.OK, end=False) + s.headers(1, s.plain(b"x", b"y"), end=False)
    assert session.feed(wire) == [Reset(1, ErrorCode.PROTOCOL_ERROR)]


def test_the_header_list_bound_at_the_edge_and_one_past() -> None:
    """A list above our MAX_HEADER_LIST_SIZE resets the stream (RFC 9113 §10.5.1)."""
    size = len(b":status200xy") + 64
    session = busy(1, max_header_list_size=size)
    assert session.feed(s.headers(1, s.OK + s.plain(b"x", b"y"))) == [Answered(1, 200, ((b"x", b"y"),), b"")]
    session = busy(1, max_header_list_size=size)
    assert session.feed(s.headers(1, s.OK + s.plain(b"x", b"yy"))) == [Reset(1, ErrorCode.ENHANCE_YOUR_CALM)]


# ---- endings of streams and connections


def test_a_refused_stream_was_not_processed() -> None:
    """REFUSED_STREAM promises that nothing was done; a further reset of the same stream is ignored (CONN-17)."""
    session = busy("a")
    wire = f.reset_frame(1, ErrorCode.REFUSED_STREAM) + f.reset_frame(1, ErrorCode.STREAM_CLOSED)
    assert session.feed(wire) == [Unprocessed("a", "REFUSED_STREAM", 7)]


def test_another_reset_leaves_it_open_whether_it_was_processed() -> None:
    """Any other code ends the request with Reset (RFC 9113 §8.7)."""
    assert busy("a").feed(f.reset_frame(1, 2)) == [Reset("a", 2)]


def test_goaway_hands_back_what_was_not_processed() -> None:
    """Streams above the last id were not processed, those at or below it may finish (RFC 9113 §6.8)."""
    session = busy(1, 2, 3)
    events = session.feed(f.goaway_frame(3, 0, b"bye"))
    assert events == [GoAway(3, 0, b"bye"), Unprocessed(3, "GOAWAY", 0)]
    assert (session.draining, session.free, session.inflight) == (True, 0, 2)
    assert session.submit([s.push(s.head(session))]) == 0
    wire = s.headers(1, PLAIN) + s.headers(3, PLAIN)
    assert [e.tag for e in session.feed(wire) if isinstance(e, Answered)] == [1, 2]


def test_a_second_goaway_lowers_the_last_stream() -> None:
    """A graceful end announces 2^31-1 first and the real id later (RFC 9113 §6.8)."""
    session = busy(1, 2)
    assert session.feed(f.goaway_frame(2**31 - 1, 0)) == [GoAway(2**31 - 1, 0, b"")]
    assert session.feed(f.goaway_frame(1, 0)) == [GoAway(1, 0, b""), Unprocessed(2, "GOAWAY", 0)]


def test_the_goaway_with_a_reason_is_kept() -> None:
    """A later GOAWAY without debug data does not hide the reason (CONN-21, SUR-4)."""
    session = s.client()
    session.feed(f.goaway_frame(0, 1))
    assert session.last_goaway == GoAway(0, 1, b"")
    session.feed(f.goaway_frame(0, 0, b"reason") + f.goaway_frame(0, 0) + f.goaway_frame(0, 0, b"other"))
    assert session.last_goaway == GoAway(0, 0, b"reason")


def test_goaway_may_come_before_settings() -> None:
    """A server that turns a client away at once is understood (CERT-9)."""
    session = ClientSession(b"host")
    assert session.feed(f.goaway_frame(0, 0, b"{}")) == [GoAway(0, 0, b"{}")]


def test_an_answer_before_the_body_is_out_stops_the_body() -> None:
    """After an early answer the rest of the body is not sent: the stream is cancelled (RFC 9113 §8.1)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 10))
    s.opened(session, 1, body=b"x" * 20)
    assert session.feed(s.headers(1, PLAIN)) == [Answered(1, 200, None, b"")]
    assert session.take() == f.reset_frame(1, ErrorCode.CANCEL)
    assert not session.window_blocked
    assert session.feed(f.window_frame(1, 100)) == []


def test_settings_in_mid_flight_change_the_limit() -> None:
    """A new limit is reported between answers (CONN-17)."""
    session = busy(1, 2)
    wire = s.headers(1, PLAIN) + s.settings((f.MAX_CONCURRENT_STREAMS, 1)) + s.headers(3, PLAIN)
    assert session.feed(wire) == [
        Answered(1, 200, None, b""),
        SettingsChanged(1),
        Answered(2, 200, None, b""),
    ]


def test_ping_is_answered_and_its_answer_reported() -> None:
    """A PING is acknowledged with the same bytes (RFC 9113 §6.7)."""
    session = s.client()
    assert session.feed(f.frame(f.PING, 0, 0, b"abcdefgh") + f.frame(f.PING, f.ACK, 0, b"12345678")) == [
        Pong(b"12345678")
    ]
    assert session.take() == f.frame(f.PING, f.ACK, 0, b"abcdefgh")


def test_unknown_frames_and_priorities_are_ignored() -> None:
    """Unknown types, PRIORITY and unknown settings have no effect (RFC 9113 §5.5, §6.3, §6.5.2)."""
    session = busy(1)
    wire = f.frame(0x2A, 0xFF, 1, b"what") + f.frame(f.PRIORITY, 0, 9, bytes(5)) + s.settings((0x99, 7))
    assert session.feed(wire + s.headers(1, PLAIN)) == [Answered(1, 200, None, b"")]


# ---- receiving windows


def test_the_connections_window_is_given_back() -> None:
    """WINDOW_UPDATE returns what bodies used up, padding included (RFC 9113 §6.9)."""
    session = busy(1, receive_window=65535)
    session.feed(s.headers(1, s.OK, end=False) + s.data(1, b"x" * 16384, end=False) * 2)
    assert s.split(session.take()) == [
        (f.WINDOW_UPDATE, 0, 0, (32768).to_bytes(4, "big")),
        (f.WINDOW_UPDATE, 0, 1, (32768).to_bytes(4, "big")),
    ]


def test_frames_for_streams_that_are_gone_still_count() -> None:
    """DATA on a closed stream uses the connection's window (RFC 9113 §6.9)."""
    session = busy(1, receive_window=65535)
    session.cancel(1)
    session.take()
    session.feed(s.data(1, b"x" * 16384, end=False) * 2)
    assert s.split(session.take()) == [(f.WINDOW_UPDATE, 0, 0, (32768).to_bytes(4, "big"))]


# ---- errors and order


def test_events_before_an_error_are_not_lost() -> None:
    """Answers in front of a violation are returned, then the error is raised by each further call."""
    session = busy(1, 2)
    assert session.feed(s.headers(1, PLAIN) + s.data(2)) == [Answered(1, 200, None, b"")]
    assert session.error is not None
    assert s.kinds(session.take()) == [f.GOAWAY]
    for _ in range(2):
        with pytest.raises(ProtocolError):
            session.feed(b"")
    assert session.abandon() == [2]
    assert (session.free, session.draining) == (0, True)
