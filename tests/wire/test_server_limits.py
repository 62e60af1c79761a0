"""The bounds a server session sets and the ways it ends streams and connections."""

from __future__ import annotations

import tracemalloc

import hpack
from support import frames as s

from heliogram.wire import ClientGone, ErrorCode, Received, ServerSession
from heliogram.wire import frames as f
from heliogram.wire.hpack_encoder import raw_string

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


def test_windows_are_given_back() -> None:
    """Bodies use up the connection's and the stream's window; half used, it is refilled (RFC 9113 §6.9)."""
    session = s.server()
    session.feed(s.headers(1, POST, end=False) + s.data(1, b"x" * 16384, end=False) * 2)
    assert s.split(session.take()) == [
        (f.WINDOW_UPDATE, 0, 0, (32768).to_bytes(4, "big")),
        (f.WINDOW_UPDATE, 0, 1, (32768).to_bytes(4, "big")),
    ]


def test_the_update_policy_is_an_option() -> None:
    """`update_after` says how much is used before a WINDOW_UPDATE goes out."""
    session = s.server(update_after=10)
    session.feed(asked(1, b"x" * 9))
    assert session.take() == b""
    session.feed(asked(3, b"x"))
    assert session.take() == f.window_frame(0, 10)


def test_the_connection_window_is_an_option() -> None:
    """A larger window of the connection is announced with the first bytes (RFC 9113 §6.9.2)."""
    assert f.window_frame(0, 1) in ServerSession(connection_window=65536).take()


def test_streams_above_the_acknowledged_limit_are_refused() -> None:
    """Only a limit the client has acknowledged is enforced, with REFUSED_STREAM (RFC 9113 §5.1.2, §6.5.3)."""
    session = s.server(stream_limit=3)
    session.feed(asked(1))
    session.set_stream_limit(1)
    assert s.split(session.take()) == [(f.SETTINGS, 0, 0, b"\0\3\0\0\0\1")]
    assert session.stream_limit == 1
    assert len(session.feed(asked(3))) == 1
    assert session.feed(ACK + asked(5)) == []
    assert session.take() == f.reset_frame(5, ErrorCode.REFUSED_STREAM)
    session.respond(1, 200, [])
    session.respond(3, 200, [])
    assert len(session.feed(asked(7))) == 1


def test_a_higher_limit_counts_at_once() -> None:
    """A client may use a higher limit as soon as it has read it (RFC 9113 §6.5.3)."""
    session = s.server(stream_limit=1)
    session.feed(asked(1))
    session.set_stream_limit(2)
    assert len(session.feed(asked(3))) == 1
    assert session.feed(asked(5)) == []


def test_before_the_first_acknowledgement_a_thousand_streams_fit() -> None:
    """A client that has not seen our limit may open more, up to a bound of ours (RFC 9113 §5.1.2)."""
    session = ServerSession(stream_limit=1)
    session.feed(f.PREFACE + s.settings())
    session.take()
    assert len(session.feed(b"".join([asked(2 * n + 1, b"") for n in range(1001)]))) == 1000
    assert session.take() == f.reset_frame(2001, ErrorCode.REFUSED_STREAM)


def test_reset_ends_a_stream_and_tolerates_late_frames() -> None:
    """After our RST_STREAM frames that were on their way are ignored (RFC 9113 §5.1)."""
    session = s.server()
    session.feed(s.headers(1, POST, end=False))
    session.reset(1, ErrorCode.INTERNAL_ERROR)
    session.reset(1, ErrorCode.INTERNAL_ERROR)
    assert session.take() == f.reset_frame(1, 2)
    assert session.feed(s.data(1, b"x", end=False) + s.headers(1, s.plain(b"x", b"y")) + f.window_frame(1, 1)) == []
    assert session.take() == b""
    assert not session.closed


def test_data_after_the_end_of_a_request_resets_the_stream() -> None:
    """DATA on a half-closed stream is a stream error of type STREAM_CLOSED (RFC 9113 §6.1)."""
    session = s.server()
    session.feed(asked(1) + s.data(1, b"more"))
    assert session.take() == f.reset_frame(1, ErrorCode.STREAM_CLOSED)
    session.respond(1, 200, [])
    assert session.take() == b""


def test_goaway_lets_known_streams_finish() -> None:
    """After GOAWAY new streams are ignored, known ones may finish, then the session is closed (RFC 9113 §6.8)."""
    session = s.server()
    session.feed(asked(1))
    session.goaway(0, b"bye")
    assert s.split(session.take()) == [(f.GOAWAY, 0, 0, b"\0\0\0\1" + bytes(4) + b"bye")]
    assert session.feed(asked(3)) == []
    closed = [session.closed]
    session.respond(1, 200, [])
    assert [*closed, session.closed] == [False, True]
    assert s.kinds(session.take()) == [f.HEADERS]


def test_goaway_drops_streams_above_its_last_one() -> None:
    """A stream above the last id will never be answered, and a later GOAWAY does not raise the id (RFC 9113 §6.8)."""
    session = s.server()
    session.feed(asked(1) + asked(3))
    session.goaway(0, b"", 1)
    session.goaway(0)
    session.respond(3, 200, [])
    assert [payload[:4] for _, _, _, payload in s.split(session.take())] == [b"\0\0\0\1"] * 2
    assert session.open_streams == 1


def test_the_clients_goaway_is_an_event() -> None:
    """GOAWAY of the client is reported; with no stream open the session is closed (RFC 9113 §6.8)."""
    session = s.server()
    assert session.feed(f.goaway_frame(0, 0, b"x")) == [ClientGone(0, 0, b"x")]
    assert session.closed


def test_trailers_that_do_not_end_the_request_reset_it() -> None:
    """Trailers carry END_STREAM (RFC 9113 §8.1)."""
    session = s.server()
    wire = s.headers(1, POST, end=False) + s.headers(1, s.plain(b"x", b"y"), end=False)
    assert session.feed(wire) == []
    assert session.take() == f.reset_frame(1, ErrorCode.PROTOCOL_ERROR)
    assert session.open_streams == 0


def test_a_body_in_parts_must_match_content_length() -> None:
    """The sum of all DATA equals content-length, or the request is malformed (RFC 9113 §8.1.1)."""
    block = s.request_block(s.PATH, (b"content-length", b"4"))
    session = s.server()
    parts = s.headers(1, block, end=False) + s.data(1, b"abc", end=False)
    assert session.feed(parts + s.data(1, b"de")) == []
    assert session.take() == f.reset_frame(1, ErrorCode.PROTOCOL_ERROR)
    assert session.feed(s.headers(3, block, end=False) + s.data(3, b"abc")) == []


def test_an_acknowledgement_nobody_asked_for_is_ignored() -> None:
    """A surplus SETTINGS acknowledgement changes nothing (RFC 9113 §6.5.3)."""
    session = s.server()
    assert session.feed(ACK * 3 + asked(1)) != []


def test_late_frames_are_tolerated_on_the_latest_thousand_streams() -> None:
    """The streams we ended are remembered up to a bound; on older ones DATA is answered STREAM_CLOSED again."""
    session = s.server()
    for sid in range(1, 2 * 1001, 2):
        session.feed(s.headers(sid, POST, end=False))
        session.reset(sid, ErrorCode.CANCEL)
    session.take()
    session.feed(s.data(3, b"x"))
    assert session.take() == b""
    session.feed(s.data(1, b"x"))
    assert session.take() == f.reset_frame(1, ErrorCode.STREAM_CLOSED)


def test_many_different_names_are_read_and_written() -> None:
    """What is remembered about field names is bounded and never needed for the right result."""
    session = s.server()
    for number in range(600):
        sid, name = 2 * number + 1, b"x-%d" % number
        (event,) = session.feed(s.headers(sid, POST + s.plain(name, b"v")))
        assert isinstance(event, Received)
        assert event.headers[-1] == (name, b"v")
        session.respond(sid, 200, [(name, b"w")])
        assert hpack.Decoder().decode(s.split(session.take())[0][3], raw=True) == [(b":status", b"200"), (name, b"w")]


def test_waiting_answers_stay_when_the_connections_window_is_used_up() -> None:
    """A stream's window alone moves nothing while the connection's is empty (RFC 9113 §6.9.1)."""
    session = s.server((f.INITIAL_WINDOW_SIZE, 1 << 20))
    session.feed(asked(1) + asked(3))
    session.respond(1, 200, [], b"x" * 70000)
    session.respond(3, 200, [], b"y")
    session.take()
    session.feed(f.window_frame(3, 10))
    assert session.take() == b""
    session.feed(f.window_frame(0, 4466))
    assert [part[1:3] for part in s.split(session.take())] == [(1, 1), (1, 3)]


def test_a_flood_of_window_updates_costs_no_walk_over_answers_it_cannot_move() -> None:
    """Answers that wait for their own window are left alone by the connection's, and go out when theirs opens."""
    session = s.server((f.INITIAL_WINDOW_SIZE, 0))
    for sid in range(1, 1601, 2):
        session.feed(asked(sid))
        session.respond(sid, 400, [], b"why")
    session.take()
    looked_at: list[int] = []
    send = session._send
    session._send = lambda sid: (looked_at.append(sid), send(sid))[1]  # type: ignore[method-assign, func-returns-value]
    session.feed(f.window_frame(0, 1) * 1000)
    assert looked_at == []
    assert session.take() == b""
    session.feed(f.window_frame(801, 3))
    assert s.split(session.take()) == [(f.DATA, f.END_STREAM, 801, b"why")]
    session.feed(s.settings((f.INITIAL_WINDOW_SIZE, 3)))
    assert [part[2] for part in s.split(session.take())[1:]] == [sid for sid in range(1, 1601, 2) if sid != 801]
    assert session.open_streams == 0


def test_a_block_of_references_is_refused_unread() -> None:
    """16,000 references to one large entry are 431 at once, not 64 MB to look through (RFC 9113 §10.5.1)."""
    session = s.server()
    entry = b"\x40" + raw_string(b"x") + raw_string(b"v" * 4000)
    session.feed(s.headers(1, POST + entry))
    tracemalloc.start()
    try:
        assert session.feed(s.headers(3, POST + b"\xbe" * 16000)) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert [value for _, value in hpack.Decoder().decode(s.split(session.take())[-1][3], raw=True)] == [b"431"]
