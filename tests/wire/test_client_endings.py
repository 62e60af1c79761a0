"""How a client session gives up requests, pings, closes and ends."""

from __future__ import annotations

import pytest
from support import frames as s

from heliogram.wire import Answered, ClientSession, ErrorCode
from heliogram.wire import frames as f

ROOMY = (f.MAX_CONCURRENT_STREAMS, 1000)


def test_cancel_resets_the_stream_and_ignores_its_late_answer() -> None:
    """RST_STREAM CANCEL frees the stream; frames that were on their way are decoded and dropped (RFC 9113 §5.4.2)."""
    session = s.client((f.MAX_CONCURRENT_STREAMS, 1))
    tag = object()
    s.opened(session, tag)
    assert session.cancel(tag)
    assert session.take() == f.reset_frame(1, ErrorCode.CANCEL)
    assert session.free == 1
    late = s.headers(1, s.OK + b"\x40\x01a\x01b", end=False) + s.data(1, b"x") + f.reset_frame(1, 5)
    assert session.feed(late) == []
    assert not session.cancel(tag)


def test_an_answer_cut_in_two_by_its_cancellation_is_ignored() -> None:
    """The body of a cancelled request, whose headers came before, harms nobody and leaves nothing behind."""
    session = s.client(ROOMY)
    s.opened(session, 1, 2)
    assert session.feed(s.headers(1, s.OK, end=False)) == []
    assert session.cancel(1)
    assert session.feed(s.data(1, b"late") + s.headers(3, s.OK)) == [Answered(2, 200, (), b"")]
    assert not session._answers


def test_cancel_goes_by_identity() -> None:
    """An equal tag that is another object does not match."""
    session = s.client(ROOMY)
    s.opened(session, [1], [1])
    assert not session.cancel([1])
    assert session.inflight == 2


def test_cancelling_a_blocked_body_lets_others_open() -> None:
    """A cancelled body no longer holds back new streams."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 10))
    s.opened(session, 1, body=b"x" * 20)
    assert session.free == 0
    session.cancel(1)
    assert not session.window_blocked
    assert session.free == 1000


def test_ping_needs_eight_bytes() -> None:
    """A PING carries eight bytes (RFC 9113 §6.7)."""
    session = s.client()
    session.ping(b"12345678")
    assert s.split(session.take()) == [(f.PING, 0, 0, b"12345678")]
    for wrong in (b"1234567", b"123456789"):
        with pytest.raises(ValueError, match="exactly 8"):
            session.ping(wrong)


def test_close_says_goodbye_once_and_opens_nothing_more() -> None:
    """After our GOAWAY open streams may finish and no new ones start (RFC 9113 §6.8)."""
    session = s.client(ROOMY)
    s.opened(session, "a")
    session.close()
    session.close()
    assert s.split(session.take()) == [(f.GOAWAY, 0, 0, bytes(8))]
    assert session.draining
    assert session.submit([s.push(s.head(session))]) == 0
    assert [event.tag for event in session.feed(s.headers(1, s.OK)) if hasattr(event, "tag")] == ["a"]


def test_abandon_gives_all_open_tags_back_oldest_first() -> None:
    """When the transport is gone nothing is left behind."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 15))
    s.opened(session, 1, 2)
    s.opened(session, 3, body=b"x" * 20)
    assert session.abandon() == [1, 2, 3]
    assert (session.inflight, session.free, session.take(), session.window_blocked) == (0, 0, b"", False)


def test_the_receive_window_has_bounds() -> None:
    """A connection's window starts at 65,535 and ends at 2^31-1 (RFC 9113 §6.9.2)."""
    assert s.kinds(ClientSession(b"host", receive_window=65535).take()) == [f.SETTINGS]
    ClientSession(b"host", receive_window=2**31 - 1)
    for wrong in (65534, 2**31):
        with pytest.raises(ValueError, match="receive_window"):
            ClientSession(b"host", receive_window=wrong)


def test_stream_ids_run_out() -> None:
    """When the ids are used up a connection drains (CONN-23, RFC 9113 §5.1.1)."""
    session = s.client(ROOMY)
    session._next = 2**31 - 3
    shared = s.head(session)
    assert session.free == 2
    assert session.submit([s.push(shared)] * 4) == 2
    assert session.draining
    assert session.free == 0


def test_repr_counts_and_keeps_secrets() -> None:
    """A session and a head show counts, never values."""
    session = s.client(ROOMY)
    s.opened(session, 1)
    assert repr(session) == "<ClientSession open, 1 in flight, limit 1000, 1 opened, window 65525>"
    assert repr(s.head(session)) == "<Head POST 1+1 pairs>"
