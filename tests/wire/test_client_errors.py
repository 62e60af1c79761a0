"""Connection errors a client session detects: code, section, GOAWAY."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s

from heliogram.wire import Answered, ClientSession, ErrorCode, ProtocolError
from heliogram.wire import frames as f

ROOMY = (f.MAX_CONCURRENT_STREAMS, 1000)
E = ErrorCode
BIG = b"x" * 16384

CASES = [
    pytest.param(s.headers(3, s.OK), E.PROTOCOL_ERROR, "6.2", id="HEADERS on an idle stream"),
    pytest.param(s.headers(2, s.OK), E.PROTOCOL_ERROR, "6.2", id="HEADERS on an even stream"),
    pytest.param(s.data(3), E.PROTOCOL_ERROR, "6.1", id="DATA on an idle stream"),
    pytest.param(f.reset_frame(3, 0), E.PROTOCOL_ERROR, "6.4", id="RST_STREAM on an idle stream"),
    pytest.param(f.window_frame(3, 1), E.PROTOCOL_ERROR, "6.9", id="WINDOW_UPDATE on an idle stream"),
    pytest.param(s.headers(0, s.OK), E.PROTOCOL_ERROR, "6.2", id="HEADERS on stream 0"),
    pytest.param(s.data(0), E.PROTOCOL_ERROR, "6.1", id="DATA on stream 0"),
    pytest.param(f.reset_frame(0, 0), E.PROTOCOL_ERROR, "6.4", id="RST_STREAM on stream 0"),
    pytest.param(f.frame(f.PRIORITY, 0, 0, bytes(5)), E.PROTOCOL_ERROR, "6.3", id="PRIORITY on stream 0"),
    pytest.param(f.frame(f.SETTINGS, 0, 1), E.PROTOCOL_ERROR, "6.5", id="SETTINGS on a stream"),
    pytest.param(f.frame(f.PING, 0, 1, bytes(8)), E.PROTOCOL_ERROR, "6.7", id="PING on a stream"),
    pytest.param(f.frame(f.GOAWAY, 0, 1, bytes(8)), E.PROTOCOL_ERROR, "6.8", id="GOAWAY on a stream"),
    pytest.param(f.frame(f.CONTINUATION, 4, 1, b""), E.PROTOCOL_ERROR, "6.10", id="CONTINUATION out of place"),
    pytest.param(s.headers(1, b"", flags=0) + s.data(1), E.PROTOCOL_ERROR, "6.10", id="DATA inside a block"),
    pytest.param(
        s.headers(1, b"", flags=0) + f.frame(f.CONTINUATION, 4, 3, b""),
        E.PROTOCOL_ERROR,
        "6.10",
        id="CONTINUATION of another stream",
    ),
    pytest.param(f.frame(f.PUSH_PROMISE, 4, 1, bytes(4)), E.PROTOCOL_ERROR, "8.4", id="PUSH_PROMISE"),
    pytest.param(f.frame(f.PING, 0, 0, bytes(7)), E.FRAME_SIZE_ERROR, "6.7", id="PING of 7 bytes"),
    pytest.param(f.frame(f.RST_STREAM, 0, 1, bytes(5)), E.FRAME_SIZE_ERROR, "6.4", id="RST_STREAM of 5 bytes"),
    pytest.param(f.frame(f.WINDOW_UPDATE, 0, 0, bytes(3)), E.FRAME_SIZE_ERROR, "6.9", id="short WINDOW_UPDATE"),
    pytest.param(f.frame(f.PRIORITY, 0, 1, bytes(4)), E.FRAME_SIZE_ERROR, "6.3", id="PRIORITY of 4 bytes"),
    pytest.param(f.frame(f.GOAWAY, 0, 0, bytes(7)), E.FRAME_SIZE_ERROR, "6.8", id="GOAWAY of 7 bytes"),
    pytest.param(f.frame(f.SETTINGS, 0, 0, bytes(5)), E.FRAME_SIZE_ERROR, "6.5", id="SETTINGS of 5 bytes"),
    pytest.param(f.frame(f.SETTINGS, 1, 0, bytes(6)), E.FRAME_SIZE_ERROR, "6.5", id="SETTINGS ack with values"),
    pytest.param(f.frame(f.DATA, 0, 1, BIG + b"x")[:9], E.FRAME_SIZE_ERROR, "4.2", id="frame above the limit"),
    pytest.param(f.frame(f.DATA, 8, 1, b""), E.FRAME_SIZE_ERROR, "6.1", id="padded without a pad length"),
    pytest.param(f.frame(f.DATA, 8, 1, b"\x02x"), E.PROTOCOL_ERROR, "6.1", id="padding longer than DATA"),
    pytest.param(f.frame(f.HEADERS, 13, 1, b"\x09" + s.OK), E.PROTOCOL_ERROR, "6.2", id="padding above HEADERS"),
    pytest.param(f.frame(f.HEADERS, 0x25, 1, bytes(4)), E.FRAME_SIZE_ERROR, "6.2", id="no room for priority"),
    pytest.param(s.settings((f.ENABLE_PUSH, 1)), E.PROTOCOL_ERROR, "6.5.2", id="ENABLE_PUSH 1 of a server"),
    pytest.param(s.settings((f.ENABLE_PUSH, 2)), E.PROTOCOL_ERROR, "6.5.2", id="ENABLE_PUSH 2"),
    pytest.param(s.settings((f.INITIAL_WINDOW_SIZE, 1 << 31)), E.FLOW_CONTROL_ERROR, "6.5.2", id="window 2^31"),
    pytest.param(s.settings((f.MAX_FRAME_SIZE, 16383)), E.PROTOCOL_ERROR, "6.5.2", id="frame size 16383"),
    pytest.param(s.settings((f.MAX_FRAME_SIZE, 1 << 24)), E.PROTOCOL_ERROR, "6.5.2", id="frame size 2^24"),
    pytest.param(f.window_frame(0, 0), E.PROTOCOL_ERROR, "6.9", id="WINDOW_UPDATE 0"),
    pytest.param(f.window_frame(0, 2**31 - 1), E.FLOW_CONTROL_ERROR, "6.9.1", id="connection window overflows"),
    pytest.param(f.window_frame(1, 0), E.PROTOCOL_ERROR, "6.9", id="WINDOW_UPDATE 0 on a stream"),
    pytest.param(f.frame(f.PING, 0, 0, bytes(8)) * 1001, E.ENHANCE_YOUR_CALM, "10.5", id="PING flood"),
    pytest.param(s.settings() * 1001, E.ENHANCE_YOUR_CALM, "10.5", id="SETTINGS flood"),
    pytest.param(
        s.headers(1, b"", flags=0) + f.frame(f.CONTINUATION, 0, 1, b"") * 32,
        E.ENHANCE_YOUR_CALM,
        "10.5.1",
        id="CONTINUATION flood",
    ),
    pytest.param(
        s.headers(1, BIG, flags=0) + f.frame(f.CONTINUATION, 0, 1, BIG) + f.frame(f.CONTINUATION, 0, 1, b"x"),
        E.ENHANCE_YOUR_CALM,
        "10.5.1",
        id="header block above 32768",
    ),
    pytest.param(
        s.headers(1, s.OK, end=False) + s.data(1, end=False) * 101,
        E.ENHANCE_YOUR_CALM,
        "10.5",
        id="empty DATA flood",
    ),
]


@pytest.mark.parametrize(("wire", "code", "section"), CASES)
def test_a_violation_ends_the_connection(wire: bytes, code: ErrorCode, section: str) -> None:
    """The error names code and section, and GOAWAY with that code is queued (RFC 9113 §5.4.1)."""
    session = s.client(ROOMY)
    s.opened(session, 1)
    error = s.failure(session, wire)
    assert (error.code, error.section) == (code, f"RFC 9113 §{section}")
    assert code.name in str(error)
    assert section in str(error)
    kind, _, _, payload = s.split(session.take())[-1]
    assert (kind, payload[:8]) == (f.GOAWAY, bytes(4) + int(code).to_bytes(4, "big"))
    assert session.abandon() == [1]


@pytest.mark.parametrize("past", [0, 1])
@pytest.mark.parametrize("section", ["6.9.1", "6.9.2"])
def test_the_window_of_a_body_that_waits(section: str, past: int) -> None:
    """It may reach 2^31-1, counting what was sent; one more is a FLOW_CONTROL_ERROR (RFC 9113 §6.9.1, §6.9.2)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 8))
    session.submit([s.push(s.head(session), 1, bytes(70_000))])
    session.feed(
        f.window_frame(1, 2**31 - 1)
    )  # all that was sent is forgiven; then the connection's 65,535 are used up
    used = 65_535 - 8
    assert (session.window, session.window_blocked) == (0, True)
    more = (
        f.window_frame(1, used + past) if section == "6.9.1" else s.settings((f.INITIAL_WINDOW_SIZE, 8 + used + past))
    )
    if past:
        error = s.failure(session, more)
        assert (error.code, error.section) == (E.FLOW_CONTROL_ERROR, f"RFC 9113 §{section}")
    else:
        session.feed(more)
        assert session.error is None


@pytest.mark.parametrize("late", [10, 2**31 - 1])
def test_credit_for_a_stream_that_is_sent_to_its_end_says_nothing(late: int) -> None:
    """With the greatest initial window it would take the window too far, though it only gives back (RFC 9113 §6.9)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 2**31 - 1))
    s.opened(session, 1)
    session.feed(f.window_frame(1, late) * 3 + s.settings((f.INITIAL_WINDOW_SIZE, 2**31 - 1)))
    assert session.error is None
    assert session.feed(s.headers(1, s.OK)) == [Answered(1, 200, (), b"")]
    session.feed(f.window_frame(1, late))
    assert session.error is None


def test_an_undecodable_block_ends_the_connection() -> None:
    """A decoding error is a COMPRESSION_ERROR, on a stream that is gone too (RFC 9113 §4.3)."""
    session = s.client(ROOMY)
    s.opened(session, 1)
    session.cancel(1)
    assert s.failure(session, s.headers(1, b"\xbe")).code is E.COMPRESSION_ERROR


@pytest.mark.parametrize("wire", [b"HTTP/1.1 400 Bad Request\r\n\r\n", s.headers(1, s.OK), bytes(9), bytes(40)])
def test_the_first_frame_must_be_settings(wire: bytes) -> None:
    """A server starts with SETTINGS (RFC 9113 §3.4); text of another protocol is no frame (§4.2)."""
    assert s.failure(ClientSession(b"host"), wire).section in ("RFC 9113 §3.4", "RFC 9113 §4.2")


@pytest.mark.parametrize(
    "wire",
    [
        f.frame(f.PING, 0, 0, bytes(8)) * 1000,
        s.settings() * 1000,
        s.headers(1, s.OK, end=False) + s.data(1, end=False) * 100,
        s.headers(1, s.OK, flags=0, end=False)
        + f.frame(f.CONTINUATION, 0, 1, b"") * 30
        + f.frame(f.CONTINUATION, 4, 1, b""),
        f.window_frame(0, 2**31 - 1 - 65525),
        s.settings((f.MAX_FRAME_SIZE, 16384), (f.MAX_FRAME_SIZE, (1 << 24) - 1)),
    ],
)
def test_bounds_are_inclusive(wire: bytes) -> None:
    """At the edge of each bound the session goes on (RFC 9113 §10.5)."""
    session = s.client(ROOMY)
    s.opened(session, 1)
    session.feed(wire)
    assert session.error is None


def test_taking_the_replies_starts_the_count_anew() -> None:
    """The bound is on replies waiting to be written, not on PINGs in a connection's life (RFC 9113 §10.5)."""
    session = s.client()
    for _ in range(3):
        session.feed(f.frame(f.PING, 0, 0, bytes(8)) * 1000)
        session.take()


FRAMES = st.builds(
    f.frame,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 0x20, 0x24, 0x2D, 0xFF]),
    st.sampled_from([0, 1, 1, 2, 3, 5, 99, 2**31 - 1]),
    st.one_of(st.binary(max_size=40), st.sampled_from([b"", s.OK, bytes(4), bytes(8), b"\x88\x40\x01a\x01b"])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(FRAMES, st.binary(max_size=30)), max_size=12), st.booleans())
def test_random_frames_raise_protocol_errors_only(parts: list[bytes], settled: bool) -> None:
    """Whatever bytes arrive, feed() returns events or raises ProtocolError, and take() still works."""
    session = s.client(ROOMY) if settled else ClientSession(b"host")
    if settled:
        s.opened(session, *range(4))
    tags: list[object] = []
    try:
        for part in parts:
            tags += [event.tag for event in session.feed(part) if hasattr(event, "tag")]
    except ProtocolError:
        assert s.kinds(session.take())[-1] == f.GOAWAY
    session.take()
    assert sorted([*tags, *session.abandon()], key=str) == (list(range(4)) if settled else [])
