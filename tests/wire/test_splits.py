"""The byte stream may arrive in any pieces: the events are the same (RFC 9113 §4.1)."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s

from heliogram.wire import ClientSession, Event, Received, ServerEvent, ServerSession
from heliogram.wire import frames as f

PLAIN = s.OK + s.plain(b"apns-id", s.ID)
DOWN = b"".join(
    [
        s.settings((f.MAX_CONCURRENT_STREAMS, 50)),
        s.headers(1, PLAIN),
        s.headers(3, PLAIN),
        f.frame(f.PING, 0, 0, b"12345678"),
        s.headers(5, b"\x08\x03410" + b"\x40\x07apns-id" + b"\x24" + s.ID, end=False),
        s.data(5, b'{"reason":', end=False),
        f.frame(f.HEADERS, 1, 7, PLAIN[:3]) + f.frame(f.CONTINUATION, 4, 7, PLAIN[3:]),
        s.data(5, b'"Unregistered"}'),
        s.headers(9, s.OK + b"\xbe"),
        f.reset_frame(11, 7),
        s.settings((f.MAX_CONCURRENT_STREAMS, 1)),
        f.goaway_frame(13, 0, b"bye"),
        s.headers(13, PLAIN),
    ]
)
POST = s.request_block()
UP = b"".join(
    [
        f.PREFACE + s.settings() + f.frame(f.SETTINGS, 1, 0),
        s.headers(1, POST, end=False) + s.data(1, b"{}"),
        s.headers(3, POST),
        f.frame(f.HEADERS, 0x28, 5, b"\x01" + bytes(5) + POST[:9] + b"\0") + f.frame(f.CONTINUATION, 4, 5, POST[9:]),
        f.frame(f.PING, 0, 0, b"12345678"),
        f.frame(f.DATA, 9, 5, b"\x03{}" + bytes(3)),
        s.headers(7, POST, end=False) + f.reset_frame(7, 8),
        s.headers(9, POST, end=False) + s.data(9, b"a", end=False) + s.headers(9, s.plain(b"x", b"y")),
        f.goaway_frame(0, 0, b"bye"),
    ]
)


def pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % len(wire) for cut in cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(edges)]


def client_run(parts: list[bytes]) -> tuple[list[Event], bytes]:
    session = ClientSession(b"host", initial_stream_limit=8)
    shared = s.head(session)
    assert session.submit([s.push(shared, n) for n in range(8)]) == 8
    events = [event for part in parts for event in session.feed(part)]
    return events, session.take()


def server_run(parts: list[bytes]) -> tuple[list[ServerEvent], bytes]:
    session = ServerSession()
    events = []
    for part in parts:
        for event in session.feed(part):
            events.append(event)
            if isinstance(event, Received):
                session.respond(event.stream_id, 200, [], b"ok")
    return events, session.take()


CUTS = st.lists(st.integers(0, 1 << 16), max_size=60)


@settings(max_examples=100, deadline=None)
@given(CUTS)
def test_a_client_does_not_care_how_bytes_are_cut(cuts: list[int]) -> None:
    """Events and replies are those of the bytes in one piece."""
    assert client_run(pieces(DOWN, cuts)) == client_run([DOWN])


@settings(max_examples=100, deadline=None)
@given(CUTS)
def test_a_server_does_not_care_how_bytes_are_cut(cuts: list[int]) -> None:
    """Events are those of the bytes in one piece; so are the replies, in whatever order answers mix in."""
    events, wire = server_run(pieces(UP, cuts))
    whole, expected = server_run([UP])
    assert events == whole
    assert sorted(s.split(wire)) == sorted(s.split(expected))


def test_a_client_fed_byte_by_byte() -> None:
    """The finest cut of all."""
    events, _ = client_run([DOWN])
    assert len(events) == 11
    assert client_run([DOWN[at : at + 1] for at in range(len(DOWN))]) == client_run([DOWN])


def test_a_server_fed_byte_by_byte() -> None:
    """The finest cut of all."""
    events, _ = server_run([UP])
    assert [type(event).__name__ for event in events] == [
        *["Received"] * 2,
        "Pinged",
        "Received",
        "StreamReset",
        "Received",
        "ClientGone",
    ]
    assert server_run([UP[at : at + 1] for at in range(len(UP))])[0] == events


def test_both_sessions_byte_by_byte() -> None:
    """Our client and our server understand each other at the finest cut."""
    client, server = ClientSession(b"host", initial_stream_limit=3), ServerSession()
    shared = s.head(client)
    client.submit([s.push(shared, n) for n in range(3)])
    got: list[ServerEvent] = []
    back: list[Event] = []
    for _ in range(4):
        up = client.take()
        for at in range(len(up)):
            for event in server.feed(up[at : at + 1]):
                got.append(event)
                if isinstance(event, Received):
                    server.respond(event.stream_id, 200, event.headers[-1:])
        down = server.take()
        back += [event for at in range(len(down)) for event in client.feed(down[at : at + 1])]
    assert len(got) == 3
    assert client.inflight == 0
    assert [event.headers for event in back if hasattr(event, "headers")] == [None] * 3
