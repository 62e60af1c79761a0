"""Connection errors a server session detects: code, section, GOAWAY."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s

from heliogram.wire import ErrorCode, ProtocolError, Received, ServerSession, StreamReset
from heliogram.wire import frames as f

E = ErrorCode
POST = s.request_block()
OPEN = s.headers(1, POST, end=False)
DONE = s.headers(1, POST)

CASES = [
    pytest.param(s.headers(2, POST), E.PROTOCOL_ERROR, "5.1.1", id="even stream"),
    pytest.param(s.headers(0, POST), E.PROTOCOL_ERROR, "6.2", id="HEADERS on stream 0"),
    pytest.param(DONE + DONE, E.STREAM_CLOSED, "5.1", id="HEADERS on a stream the client ended"),
    pytest.param(s.headers(5, POST) + s.headers(3, POST), E.STREAM_CLOSED, "5.1", id="lower stream"),
    pytest.param(s.data(1), E.PROTOCOL_ERROR, "6.1", id="DATA on an idle stream"),
    pytest.param(f.reset_frame(1, 0), E.PROTOCOL_ERROR, "6.4", id="RST_STREAM on an idle stream"),
    pytest.param(f.window_frame(1, 1), E.PROTOCOL_ERROR, "6.9", id="WINDOW_UPDATE on an idle stream"),
    pytest.param(f.window_frame(0, 0), E.PROTOCOL_ERROR, "6.9", id="WINDOW_UPDATE 0"),
    pytest.param(f.window_frame(0, 2**31 - 1), E.FLOW_CONTROL_ERROR, "6.9.1", id="connection window overflows"),
    pytest.param(OPEN + f.window_frame(1, 2**31 - 1), E.FLOW_CONTROL_ERROR, "6.9.1", id="stream window overflows"),
    pytest.param(
        DONE + f.window_frame(1, 2**30) + s.settings((f.INITIAL_WINDOW_SIZE, 2**30)),
        E.FLOW_CONTROL_ERROR,
        "6.9.2",
        id="SETTINGS make a stream window overflow",
    ),
    pytest.param(s.settings((f.ENABLE_PUSH, 2)), E.PROTOCOL_ERROR, "6.5.2", id="ENABLE_PUSH 2"),
    pytest.param(f.frame(f.PUSH_PROMISE, 4, 1, bytes(4)), E.PROTOCOL_ERROR, "8.4", id="PUSH_PROMISE"),
    pytest.param(f.frame(f.CONTINUATION, 4, 1, POST), E.PROTOCOL_ERROR, "6.10", id="CONTINUATION out of place"),
    pytest.param(s.headers(1, POST, flags=0) + DONE, E.PROTOCOL_ERROR, "6.10", id="HEADERS inside a block"),
    pytest.param(s.headers(1, b"", flags=0) + s.data(1), E.PROTOCOL_ERROR, "6.10", id="DATA inside a block"),
    pytest.param(f.frame(f.DATA, 0, 1, bytes(16385)), E.FRAME_SIZE_ERROR, "4.2", id="frame above the limit"),
    pytest.param(f.frame(f.PING, 0, 0, bytes(9)), E.FRAME_SIZE_ERROR, "6.7", id="PING of 9 bytes"),
    pytest.param(
        s.headers(1, b"", flags=0) + f.frame(f.CONTINUATION, 0, 1, b"") * 32,
        E.ENHANCE_YOUR_CALM,
        "10.5.1",
        id="CONTINUATION flood",
    ),
    pytest.param(
        s.headers(1, bytes(16384), flags=0) + f.frame(f.CONTINUATION, 0, 1, b"x"),
        E.ENHANCE_YOUR_CALM,
        "10.5.1",
        id="header block above 16384",
    ),
    pytest.param(f.frame(f.PING, 0, 0, bytes(8)) * 1001, E.ENHANCE_YOUR_CALM, "10.5", id="PING flood"),
    pytest.param(s.settings() * 1001, E.ENHANCE_YOUR_CALM, "10.5", id="SETTINGS flood"),
    pytest.param(OPEN + s.data(1, end=False) * 101, E.ENHANCE_YOUR_CALM, "10.5", id="empty DATA flood"),
    pytest.param(
        b"".join([s.headers(2 * n + 1, POST) + f.reset_frame(2 * n + 1, 8) for n in range(201)]),
        E.ENHANCE_YOUR_CALM,
        "10.5",
        id="rapid reset",
    ),
]


def error_of(session: ServerSession, wire: bytes) -> ProtocolError:
    """The error these bytes lead to, past the events in front of it."""
    try:
        session.feed(wire)
    except ProtocolError as error:
        return error
    assert session.error is not None
    return session.error


@pytest.mark.parametrize(("wire", "code", "section"), CASES)
def test_a_violation_ends_the_connection(wire: bytes, code: ErrorCode, section: str) -> None:
    """The error names code and section, and GOAWAY with that code is queued (RFC 9113 §5.4.1)."""
    session = s.server()
    error = error_of(session, wire)
    assert (error.code, error.section) == (code, f"RFC 9113 §{section}")
    kind, _, _, payload = s.split(session.take())[-1]
    assert (kind, payload[4:8]) == (f.GOAWAY, int(code).to_bytes(4, "big"))
    assert session.closed
    with pytest.raises(ProtocolError):
        session.feed(b"")


@pytest.mark.parametrize("size", [1, 5, 24, 30])
def test_a_wrong_preface_is_refused(size: int) -> None:
    """A client starts with the preface; the first wrong byte is enough (RFC 9113 §3.4)."""
    assert s.failure(ServerSession(), b"X" * size).section == "RFC 9113 §3.4"


def test_http_1_is_answered_with_goaway() -> None:
    """A provider that speaks HTTP/1 sees its request line in the GOAWAY (CONN-12)."""
    session = ServerSession()
    s.failure(session, b"POST /3/device/abc HTTP/1.1\r\nhost: x\r\n\r\n")
    first, last = s.split(session.take())
    assert first[0] == f.SETTINGS
    assert last == (f.GOAWAY, 0, 0, bytes(7) + b"\1Unexpected HTTP/1.x request: POST /3/device/abc")


def test_the_first_frame_must_be_settings() -> None:
    """SETTINGS follow the preface (RFC 9113 §3.4)."""
    assert s.failure(ServerSession(), f.PREFACE + DONE).section == "RFC 9113 §3.4"


def test_the_connections_window_may_be_used_up_and_not_overdrawn() -> None:
    """DATA up to the window is taken, one byte more is FLOW_CONTROL_ERROR (RFC 9113 §6.9.1)."""
    session = s.server(update_after=65536, max_body=1 << 20, initial_window=1 << 20)
    session.feed(OPEN + s.data(1, bytes(16384), end=False) * 3 + s.data(1, bytes(16382), end=False))
    assert session.error is None
    error = s.failure(session, s.data(1, b"xx"))
    assert (error.code, error.section) == (E.FLOW_CONTROL_ERROR, "RFC 9113 §6.9.1")


def test_a_streams_window_may_be_used_up_and_not_overdrawn() -> None:
    """DATA up to a stream's window is taken, one byte more resets the stream (RFC 9113 §6.9.1)."""
    session = s.server(initial_window=100, update_after=1000)
    assert len(session.feed(OPEN + s.data(1, bytes(100)))) == 1
    session.take()
    assert session.feed(s.headers(3, POST, end=False) + s.data(3, bytes(101))) == []
    assert s.split(session.take()) == [(f.RST_STREAM, 0, 3, b"\0\0\0\3")]


def test_the_default_window_holds_until_ours_is_acknowledged() -> None:
    """A client that has not seen a smaller window may use 65,535 bytes (RFC 9113 §6.9.2)."""
    session = ServerSession(initial_window=100)
    session.feed(f.PREFACE + s.settings())
    assert len(session.feed(OPEN + s.data(1, bytes(16384)))) == 1


def test_padding_counts_towards_the_window() -> None:
    """The whole payload of DATA is flow controlled (RFC 9113 §6.9)."""
    session = s.server(initial_window=10, update_after=100)
    session.feed(OPEN + f.frame(f.DATA, 9, 1, b"\x08xx" + bytes(8)))
    assert (f.RST_STREAM, 0, 1, b"\0\0\0\3") in s.split(session.take())


@pytest.mark.parametrize(
    "wire",
    [
        f.frame(f.PING, 0, 0, bytes(8)) * 1000,
        OPEN + s.data(1, end=False) * 100,
        b"".join([s.headers(2 * n + 1, POST) + f.reset_frame(2 * n + 1, 8) for n in range(200)]),
        s.headers(1, POST, flags=0) + f.frame(f.CONTINUATION, 0, 1, b"") * 30 + f.frame(f.CONTINUATION, 4, 1, b""),
        f.window_frame(0, 2**31 - 1 - 65535),
        DONE + f.window_frame(1, 2**31 - 1 - 65535),
    ],
)
def test_bounds_are_inclusive(wire: bytes) -> None:
    """At the edge of each bound the session goes on (RFC 9113 §10.5)."""
    session = s.server()
    session.feed(wire)
    assert session.error is None


def test_the_reserved_bit_of_a_stream_id_is_ignored() -> None:
    """The highest bit of the stream identifier means nothing when received (RFC 9113 §4.1)."""
    high = 1 << 31
    wire = (
        f.frame(f.HEADERS, 4, high | 1, POST) + f.frame(f.DATA, 1, high | 1, b"{}") + f.frame(f.PING, 0, high, bytes(8))
    )
    events = s.server().feed(wire)
    assert [getattr(event, "stream_id", None) for event in events] == [1, None]


def test_answers_earn_resets() -> None:
    """A client whose requests are answered may cancel others for as long as it lives (RFC 9113 §10.5)."""
    session = s.server()
    for n in range(600):
        session.feed(s.headers(4 * n + 1, POST) + s.headers(4 * n + 3, POST))
        session.respond(4 * n + 1, 200, [])
        assert session.feed(f.reset_frame(4 * n + 3, 8)) == [StreamReset(4 * n + 3, 8)]
        session.take()


FRAMES = st.builds(
    f.frame,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 0x20, 0x24, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 1, 2, 3, 5, 99, 2**31 - 1]),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"", POST, POST, bytes(4), bytes(8), POST[:7], POST[7:]])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(FRAMES, st.binary(max_size=30)), max_size=12), st.booleans())
def test_random_frames_raise_protocol_errors_only(parts: list[bytes], greeted: bool) -> None:
    """Whatever bytes arrive, feed() returns events or raises ProtocolError, and take() still works."""
    session = s.server(stream_limit=3) if greeted else ServerSession()
    try:
        for part in parts:
            for event in session.feed(part):
                if isinstance(event, Received) and event.stream_id % 4 == 1:
                    session.respond(event.stream_id, 200, [], b"ok")
    except ProtocolError:
        assert s.kinds(session.take())[-1] == f.GOAWAY
        assert session.closed
    session.take()
