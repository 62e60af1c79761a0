"""`h2` as the client of our server session."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s

from heliogram.wire import ClientGone, Pinged, Received, ServerEvent, ServerSession, StreamReset

PAIRS = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"api.push.apple.com"),
    (b":path", s.PATH),
    (b"apns-topic", b"com.example.app"),
    (b"authorization", b"bearer " + b"x" * 200),
]


class Peer:
    """An h2 client and what it was answered."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.h2.initiate_connection()
        self.answers: dict[int, tuple[list[Any], bytes]] = {}
        self.ended: list[int] = []
        self.others: list[h2.events.Event] = []

    def push(self, body: bytes = b"{}", own: bytes = s.ID, **options: int) -> int:
        sid = self.h2.get_next_available_stream_id()
        self.h2.send_headers(sid, [*PAIRS, (b"apns-id", own)], end_stream=not body)
        if body:
            self.h2.send_data(sid, body, end_stream=True, pad_length=options.get("pad_length"))
        return sid

    def feed(self, wire: bytes) -> None:
        for event in self.h2.receive_data(wire) if wire else ():
            if isinstance(event, h2.events.ResponseReceived):
                assert event.stream_id is not None
                self.answers[event.stream_id] = (list(event.headers or ()), b"")
            elif isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                assert event.flow_controlled_length is not None
                pairs, body = self.answers[event.stream_id]
                self.answers[event.stream_id] = (pairs, body + (event.data or b""))
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                self.ended.append(event.stream_id)
            else:
                self.others.append(event)

    def run(self, session: ServerSession) -> list[ServerEvent]:
        """Carries bytes both ways until both sides are silent."""
        events: list[ServerEvent] = []
        while True:
            up, down = self.h2.data_to_send(), session.take()
            if not up and not down:
                return events
            events += session.feed(up)
            self.feed(down)


def joined(**options: Any) -> tuple[ServerSession, Peer]:
    session, peer = ServerSession(**options), Peer()
    peer.run(session)
    return session, peer


def received(events: list[ServerEvent]) -> list[Received]:
    return [event for event in events if isinstance(event, Received)]


def test_requests_of_h2_arrive_and_are_answered() -> None:
    """Huffman coding and the dynamic table of a real client are understood, answers too (RFC 9113 §8.1)."""
    session, peer = joined()
    for lap in range(3):
        ids = [b"%032d-%03d" % (lap, number) for number in range(40)]
        for own in ids:
            peer.push(b'{"n":"%s"}' % own, own)
        events = received(peer.run(session))
        assert [event.headers for event in events] == [(*PAIRS, (b"apns-id", own)) for own in ids]
        assert [event.body for event in events] == [b'{"n":"%s"}' % own for own in ids]
        for event in events:
            session.respond(event.stream_id, 200, event.headers[-1:], b"" if lap else b'{"reason":"x"}')
        peer.run(session)
        for event in events:
            assert peer.answers[event.stream_id] == (
                [(b":status", b"200"), event.headers[-1]],
                b"" if lap else b'{"reason":"x"}',
            )
    assert len(peer.ended) == 120


def test_h2_follows_a_smaller_header_table() -> None:
    """A client lowers its table when our SETTINGS say so (RFC 7541 §4.2)."""
    for size in (0, 64, 200, 4096, 20000):
        session, peer = joined(header_table=size)
        for _ in range(3):
            peer.push()
            assert received(peer.run(session))[0].headers == (*PAIRS, (b"apns-id", s.ID))


def test_large_bodies_use_the_windows_we_give_back() -> None:
    """A body far above our windows arrives; only max_body of it is kept (RFC 9113 §6.9)."""
    session, peer = joined(initial_window=1000, max_body=5000)
    sid = peer.h2.get_next_available_stream_id()
    peer.h2.send_headers(sid, PAIRS)
    left, events = 200000, peer.run(session)
    while left:
        size = min(left, peer.h2.local_flow_control_window(sid), 16384)
        assert size > 0
        left -= size
        peer.h2.send_data(sid, b"x" * size, end_stream=not left)
        events += peer.run(session)
    (event,) = received(events)
    assert (event.size, event.body) == (200000, b"x" * 5000)


def test_large_answers_wait_for_h2s_windows() -> None:
    """Answers above the client's windows arrive whole (RFC 9113 §6.9)."""
    session, peer = joined()
    peer.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 500})
    sids = [peer.push() for _ in range(3)]
    peer.run(session)
    for sid in sids:
        session.respond(sid, 400, [], b"%d" % sid * 90000)
    peer.run(session)
    assert [peer.answers[sid][1] for sid in sids] == [b"%d" % sid * 90000 for sid in sids]
    assert session.open_streams == 0


def test_padded_data_of_h2() -> None:
    """Padding of the client is stripped (RFC 9113 §6.1)."""
    session, peer = joined()
    peer.push(b"{}", pad_length=200)
    assert received(peer.run(session))[0].body == b"{}"


def test_priority_of_h2_is_ignored() -> None:
    """PRIORITY frames have no effect (CONN-16, RFC 9113 §5.3.2)."""
    session, peer = joined()
    sid = peer.push()
    peer.h2.prioritize(sid, weight=20, depends_on=0)
    assert len(received(peer.run(session))) == 1


def test_h2_sees_limits_resets_and_goaway() -> None:
    """A new limit, RST_STREAM and GOAWAY are valid frames for a client (RFC 9113 §6.4, §6.5, §6.8)."""
    session, peer = joined()
    sid = peer.push()
    peer.run(session)
    session.set_stream_limit(1)
    session.reset(sid, 7)
    session.goaway(0, b"bye")
    peer.feed(session.take())
    kinds = {type(event).__name__ for event in peer.others}
    assert {"RemoteSettingsChanged", "StreamReset", "ConnectionTerminated"} <= kinds
    assert peer.h2.remote_settings.max_concurrent_streams == 1


def test_resets_pings_and_goaway_of_h2_are_events() -> None:
    """What a client does beside requests is reported (RFC 9113 §6.4, §6.7, §6.8)."""
    session, peer = joined()
    sid = peer.push()
    peer.run(session)
    peer.h2.reset_stream(sid, 8)
    peer.h2.ping(b"12345678")
    assert peer.run(session) == [StreamReset(sid, 8), Pinged(b"12345678")]
    peer.h2.close_connection(3)
    assert session.feed(peer.h2.data_to_send()) == [ClientGone(0, 3, b"")]


def test_trailers_of_h2_are_skipped() -> None:
    """A client's trailers end the request (RFC 9113 §8.1)."""
    session, peer = joined()
    sid = peer.h2.get_next_available_stream_id()
    peer.h2.send_headers(sid, PAIRS)
    peer.h2.send_data(sid, b"{}")
    peer.h2.send_headers(sid, [(b"x-trailer", b"1")], end_stream=True)
    assert [(event.body, event.headers) for event in received(peer.run(session))] == [(b"{}", tuple(PAIRS))]


VALUES = st.text("abcXYZ019-._~ é", max_size=80).map(lambda text: text.strip().encode())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from([b"x-a", b"x-b", b"apns-id"]), VALUES), max_size=5), max_size=15))
def test_any_fields_of_h2_arrive(requests: list[list[tuple[bytes, bytes]]]) -> None:
    """Whatever the client's table does, each request decodes to itself (RFC 7541 §2.3)."""
    session, peer = joined(max_header_list=1 << 16)
    for extra in requests:
        sid = peer.h2.get_next_available_stream_id()
        peer.h2.send_headers(sid, PAIRS + extra, end_stream=True)
        assert peer.run(session) == [Received(sid, tuple(PAIRS + extra), b"", 0)]
