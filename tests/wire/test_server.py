"""What a server session makes of requests and how it answers."""

from __future__ import annotations

import hpack
import pytest
from support import frames as s

from heliogram.wire import ErrorCode, Pinged, Pong, Received, ServerSession, StreamReset
from heliogram.wire import frames as f

POST = s.request_block()
PAIRS = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", s.PATH),
    (b":authority", b"api.push.apple.com"),
)
ACK = f.frame(f.SETTINGS, f.ACK, 0)


def asked(sid: int, body: bytes = b"{}") -> bytes:
    return s.headers(sid, POST, end=not body) + (s.data(sid, body) if body else b"")


def test_settings_are_those_of_the_constructor() -> None:
    """A server starts with SETTINGS that carry its limits (CONN-13, RFC 9113 §3.4)."""
    session = ServerSession(stream_limit=7, initial_window=100, max_frame=20000, max_header_list=90, header_table=64)
    (kind, _, _, payload) = s.split(session.take())[0]
    assert kind == f.SETTINGS
    assert f.parse_settings(payload) == [(1, 64), (3, 7), (4, 100), (5, 20000), (6, 90)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_frame": 16383}, "max_frame"),
        ({"max_frame": 1 << 24}, "max_frame"),
        ({"connection_window": 65534}, "connection_window"),
        ({"connection_window": 1 << 31}, "connection_window"),
        ({"initial_window": 0}, "initial_window"),
        ({"initial_window": 1 << 31}, "initial_window"),
    ],
)
def test_settings_outside_their_range_are_refused(options: dict[str, int], message: str) -> None:
    """Values stay within RFC 9113 §6.5.2."""
    with pytest.raises(ValueError, match=message):
        ServerSession(**options)


def test_a_request_is_received_once_complete() -> None:
    """HEADERS and DATA make one event (RFC 9113 §8.1)."""
    session = s.server()
    assert session.feed(s.headers(1, POST, end=False)) == []
    assert session.open_streams == 1
    assert session.feed(s.data(1, b"{}")) == [Received(1, PAIRS, b"{}", 2)]
    assert (session.open_streams, session.last_stream_id) == (1, 1)


def test_a_request_without_a_body() -> None:
    """END_STREAM on HEADERS completes the request (RFC 9113 §8.1)."""
    assert s.server().feed(asked(1, b"")) == [Received(1, PAIRS, b"", 0)]


def test_padding_priority_and_continuation() -> None:
    """A block may be padded, prioritised and cut (RFC 9113 §6.2, §6.10); so may DATA be padded (§6.1)."""
    wire = f.frame(f.HEADERS, 0x28, 1, b"\x02" + bytes(5) + POST[:10] + bytes(2))
    wire += f.frame(f.CONTINUATION, 0, 1, POST[10:20]) + f.frame(f.CONTINUATION, 4, 1, POST[20:])
    assert s.server().feed(wire + f.frame(f.DATA, 9, 1, b"\x01{}\0")) == [Received(1, PAIRS, b"{}", 2)]


@pytest.mark.parametrize("size", [100, 101])
def test_a_body_is_cut_at_max_body_and_its_size_told(size: int) -> None:
    """At the edge a body is whole, past it it is cut; `size` is the full length, in one frame or several."""
    session = s.server(max_body=100)
    body = b"x" * size
    assert session.feed(asked(1, body)) == [Received(1, PAIRS, b"x" * 100, size)]
    parts = s.headers(3, POST, end=False) + s.data(3, body[:60], end=False) + s.data(3, body[60:])
    assert session.feed(parts) == [Received(3, PAIRS, b"x" * 100, size)]


def test_trailers_are_skipped() -> None:
    """A section behind the body completes the request and is dropped (RFC 9113 §8.1)."""
    wire = s.headers(1, POST, end=False) + s.data(1, b"{}", end=False) + s.headers(1, s.plain(b"x", b"y"))
    assert s.server().feed(wire) == [Received(1, PAIRS, b"{}", 2)]


def test_content_length_that_matches() -> None:
    """content-length equals the body's length (RFC 9113 §8.1.1)."""
    block = s.request_block(s.PATH, (b"content-length", b"2"))
    events = s.server().feed(s.headers(1, block, end=False) + s.data(1, b"{}"))
    assert [type(event) for event in events] == [Received]


MALFORMED = [
    pytest.param(b"", id="no fields"),
    pytest.param(b"\x83\x87", id="no path"),
    pytest.param(b"\x83\x84", id="no scheme"),
    pytest.param(b"\x87\x84", id="no method"),
    pytest.param(POST + b"\x83", id="method twice"),
    pytest.param(s.plain(b"x", b"y") + POST, id="pseudo-header behind a field"),
    pytest.param(POST + s.OK, id="pseudo-header of an answer"),
    pytest.param(s.request_block(b""), id="empty path"),
    pytest.param(POST + s.plain(b"Apns-Id", b"x"), id="upper case name"),
    pytest.param(POST + s.plain(b"a b", b"x"), id="blank in a name"),
    pytest.param(POST + s.plain(b"te", b"gzip"), id="te"),
    pytest.param(POST + s.plain(b"transfer-encoding", b"chunked"), id="transfer-encoding"),
    pytest.param(POST + s.plain(b"x", b"a\rb"), id="carriage return in a value"),
    pytest.param(POST + s.plain(b"x", b"a\0"), id="NUL in a value"),
    pytest.param(POST + s.plain(b"x", b"a\t"), id="tab behind a value"),
    pytest.param(POST + s.plain(b"content-length", b"3"), id="content-length too large"),
    pytest.param(POST + s.plain(b"content-length", b"2x"), id="content-length that is no number"),
    pytest.param(POST + s.plain(b"content-length", b"2") * 2, id="content-length twice"),
]


@pytest.mark.parametrize("block", MALFORMED)
def test_a_malformed_request_is_reset_alone(block: bytes) -> None:
    """A malformed message is a stream error of type PROTOCOL_ERROR (RFC 9113 §8.1.1); others go on."""
    session = s.server()
    assert session.feed(s.headers(1, block, end=False) + s.data(1, b"{}")) == []
    assert session.take() == f.reset_frame(1, ErrorCode.PROTOCOL_ERROR)
    assert session.open_streams == 0
    assert len(session.feed(asked(3))) == 1


def test_te_trailers_is_fine() -> None:
    """`te: trailers` is the one te a request may have (RFC 9113 §8.2.2)."""
    assert len(s.server().feed(s.headers(1, POST + s.plain(b"te", b"trailers")))) == 1


def test_too_many_fields_are_answered_431() -> None:
    """A list at the limit is received, one byte more is answered 431 without an event (RFC 9113 §10.5.1)."""
    size = sum(len(name) + len(value) + 32 for name, value in PAIRS)
    assert len(s.server(max_header_list=size).feed(asked(1))) == 1
    session = s.server(max_header_list=size - 1)
    assert session.feed(asked(1)) == []
    first, second = s.split(session.take())
    assert list(hpack.Decoder().decode(first[3], raw=True)) == [(b":status", b"431")]
    assert second == (f.RST_STREAM, 0, 1, bytes(4))
    assert session.open_streams == 0


def test_an_answer_with_and_without_a_body() -> None:
    """HEADERS alone, or HEADERS and DATA, with END_STREAM at the end (RFC 9113 §8.1)."""
    session = s.server()
    session.feed(asked(1) + asked(3) + asked(5))
    session.respond(1, 200, [(b"apns-id", s.ID)])
    session.respond(3, 410, [(b"apns-id", s.ID), (b"content-type", b"application/json")], b"{}")
    session.respond(5, 429, [(b"x-long", b"v" * 2000)])
    got = s.split(session.take())
    assert [(kind, flags, sid) for kind, flags, sid, _ in got] == [(1, 5, 1), (1, 4, 3), (0, 1, 3), (1, 5, 5)]
    assert got[0][3] == s.OK + s.plain(b"apns-id", s.ID)[:1] + got[0][3][2:]
    oracle = hpack.Decoder()
    decoded = [[tuple(pair) for pair in oracle.decode(part[3], raw=True)] for part in got if part[0] == f.HEADERS]
    assert decoded == [
        [(b":status", b"200"), (b"apns-id", s.ID)],
        [(b":status", b"410"), (b"apns-id", s.ID), (b"content-type", b"application/json")],
        [(b":status", b"429"), (b"x-long", b"v" * 2000)],
    ]
    assert session.open_streams == 0


def test_an_answer_to_a_stream_that_is_gone_is_dropped() -> None:
    """Nothing is written for a stream the client reset, one answered, or one that never was."""
    session = s.server()
    session.feed(asked(1))
    assert session.feed(f.reset_frame(1, 8)) == [StreamReset(1, 8)]
    for sid in (1, 3):
        session.respond(sid, 200, [])
    assert session.take() == b""


@pytest.mark.parametrize("status", [199, 600, 0])
def test_a_status_outside_200_to_599_is_refused(status: int) -> None:
    """An answer has a final status (RFC 9110 §15)."""
    with pytest.raises(ValueError, match="status"):
        s.server().respond(1, status, [])


@pytest.mark.parametrize("status", [200, 299, 404, 413, 500, 503, 599])
def test_every_final_status_is_written(status: int) -> None:
    """The status comes from the static table or is a literal with its name (RFC 7541 Appendix A)."""
    session = s.server()
    session.feed(asked(1))
    session.respond(1, status, [])
    block = s.split(session.take())[0][3]
    assert hpack.Decoder().decode(block, raw=True) == [(b":status", b"%d" % status)]


def test_a_long_answer_continues_and_splits() -> None:
    """Large blocks use CONTINUATION, large bodies several DATA frames (RFC 9113 §6.10, §4.2)."""
    session = s.server()
    session.feed(asked(1))
    session.respond(1, 200, [(b"x", b"v" * 20000)], b"b" * 20000)
    got = s.split(session.take())
    assert [(kind, flags) for kind, flags, *_ in got] == [(1, 0), (9, 4), (0, 0), (0, 1)]


def test_answers_wait_for_the_clients_windows() -> None:
    """DATA goes out as the stream's and the connection's windows allow (RFC 9113 §6.9)."""
    session = s.server((f.INITIAL_WINDOW_SIZE, 10))
    session.feed(asked(1) + asked(3))
    session.feed(f.window_frame(3, 5))  # a window may grow before the answer
    session.respond(1, 200, [], b"x" * 12)
    session.respond(3, 200, [], b"y" * 20)
    assert [part[3] for part in s.split(session.take()) if part[0] == f.DATA] == [b"x" * 10, b"y" * 15]
    assert session.open_streams == 2
    session.feed(f.window_frame(1, 2))
    assert s.split(session.take()) == [(f.DATA, 1, 1, b"xx")]
    session.feed(s.settings((f.INITIAL_WINDOW_SIZE, 15)))
    assert (f.DATA, 1, 3, b"y" * 5) in s.split(session.take())
    assert session.open_streams == 0


def test_answers_wait_for_the_connections_window() -> None:
    """The connection's window bounds all answers together, first come first served (RFC 9113 §6.9.1)."""
    session = s.server((f.INITIAL_WINDOW_SIZE, 1 << 20))
    session.feed(asked(1) + asked(3))
    session.respond(1, 200, [], b"x" * 65535)
    session.respond(3, 200, [], b"y" * 10)
    assert session.open_streams == 1
    session.take()
    session.feed(f.window_frame(0, 10))
    assert s.split(session.take()) == [(f.DATA, 1, 3, b"y" * 10)]


def test_a_reset_drops_an_answer_in_flight() -> None:
    """RST_STREAM ends a stream whose body waits (RFC 9113 §6.4)."""
    session = s.server((f.INITIAL_WINDOW_SIZE, 10))
    session.feed(asked(1))
    session.respond(1, 200, [], b"x" * 12)
    assert session.feed(f.reset_frame(1, 8)) == [StreamReset(1, 8)]
    assert session.open_streams == 0


def test_ping_is_answered_and_reported() -> None:
    """A PING is acknowledged with the same bytes (RFC 9113 §6.7)."""
    session = s.server()
    ping = f.frame(f.PING, 0, 0, b"12345678")
    assert session.feed(ping + f.frame(f.PING, f.ACK, 0, b"abcdefgh")) == [Pinged(b"12345678"), Pong(b"abcdefgh")]
    assert session.take() == f.frame(f.PING, f.ACK, 0, b"12345678")


def test_a_lowered_table_of_the_client_is_confirmed() -> None:
    """A HEADER_TABLE_SIZE below 4096 is answered by a size update in the next block (RFC 7541 §4.2)."""
    session = s.server((f.HEADER_TABLE_SIZE, 0))
    session.feed(asked(1) + asked(3))
    session.respond(1, 200, [])
    session.respond(3, 200, [])
    assert [part[3] for part in s.split(session.take())] == [b"\x20\x88", b"\x88"]


def test_our_lower_table_must_be_confirmed_by_the_client() -> None:
    """After acknowledging a smaller table the client's next block starts with a size update (RFC 7541 §4.2)."""
    error = s.failure(s.server(header_table=100), asked(1))
    assert (error.code, error.section) == (ErrorCode.COMPRESSION_ERROR, "RFC 7541 §4.2")
    assert len(s.server(header_table=100).feed(s.headers(1, b"\x3f\x45" + POST))) == 1


def test_repr_counts() -> None:
    """A session shows its state and counts."""
    session = s.server()
    session.feed(asked(1))
    assert repr(session) == "<ServerSession open, 1 open of 1000, last stream 1>"
