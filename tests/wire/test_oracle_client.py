"""`h2` as the server of our client session."""

from __future__ import annotations

from collections.abc import Sequence

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s

from heliogram.wire import Answered, ClientSession, Event, GoAway, Request, Reset, SettingsChanged, Unprocessed

Got = dict[int, tuple[list[tuple[bytes, bytes]], bytes]]


class Peer:
    """An h2 server that gathers requests."""

    def __init__(self, **values: int) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.h2 = h2.connection.H2Connection(config)
        names = h2.settings.SettingCodes
        self.h2.local_settings = h2.settings.Settings(
            client=False, initial_values={names[key]: value for key, value in values.items()}
        )
        self.h2.initiate_connection()
        self.partial: Got = {}
        self.complete: Got = {}

    def feed(self, wire: bytes) -> None:
        for event in self.h2.receive_data(wire) if wire else ():
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                pairs = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
                self.partial[event.stream_id] = (pairs, b"")
            elif isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                assert event.flow_controlled_length is not None
                pairs, body = self.partial[event.stream_id]
                self.partial[event.stream_id] = (pairs, body + (event.data or b""))
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                self.complete[event.stream_id] = self.partial.pop(event.stream_id)

    def answer(self, sid: int, status: int, pairs: Sequence[tuple[bytes, bytes]] = (), body: bytes = b"") -> None:
        self.h2.send_headers(sid, [(b":status", b"%d" % status), *pairs], end_stream=not body)
        if body:
            self.h2.send_data(sid, body, end_stream=True)

    def run(self, session: ClientSession) -> list[Event]:
        """Carries bytes both ways until both sides are silent."""
        events: list[Event] = []
        while True:
            up, down = session.take(), self.h2.data_to_send()
            if not up and not down:
                return events
            self.feed(up)
            events += session.feed(down)


def joined(**values: int) -> tuple[ClientSession, Peer]:
    peer = Peer(**({"MAX_CONCURRENT_STREAMS": 1000} | values))
    session = ClientSession(b"api.push.apple.com")
    peer.run(session)
    return session, peer


def test_requests_arrive_and_answers_return() -> None:
    """A batch, its answers and a rejection pass through h2 unharmed, twice over (RFC 9113 §8.1)."""
    session, peer = joined()
    assert session.stream_limit == 1000
    shared = s.head(session)
    for lap in range(2):
        ids = [b"%032d-%03d" % (lap, number) for number in range(50)]
        batch = [s.push(shared, own, b'{"n":"%s"}' % own, own) for own in ids]
        assert session.submit(batch) == 50
        peer.run(session)
        assert [body for _, body in peer.complete.values()] == [request.body for request in batch]
        for number, (sid, (pairs, _)) in enumerate(peer.complete.items()):
            assert dict(pairs)[b"authorization"] == b"bearer abc"
            if number % 5:
                peer.answer(sid, 200, [(b"apns-id", ids[number])])
            else:
                peer.answer(sid, 410, [(b"apns-id", ids[number])], b'{"reason":"Unregistered"}')
        peer.complete.clear()
        answers = [event for event in peer.run(session) if isinstance(event, Answered)]
        assert {answer.tag: answer.status for answer in answers} == {
            own: 200 if number % 5 else 410 for number, own in enumerate(ids)
        }
        assert all((answer.headers or ((b"apns-id", answer.tag),))[0] == (b"apns-id", answer.tag) for answer in answers)


def test_large_bodies_pass_h2s_windows() -> None:
    """Bodies above window and frame size arrive whole and in order (RFC 9113 §6.9)."""
    session, peer = joined(INITIAL_WINDOW_SIZE=1000)
    shared = s.head(session)
    bodies = [bytes([65 + n]) * size for n, size in enumerate((999, 1000, 1001, 70000, 5))]
    batch = [s.push(shared, n, body) for n, body in enumerate(bodies)]
    at = 0
    while at < len(batch):
        at += session.submit(batch, at)
        peer.run(session)
    assert [body for _, body in peer.complete.values()] == bodies


def test_large_answers_pass_our_windows() -> None:
    """Answers above our windows arrive because WINDOW_UPDATEs go out (RFC 9113 §6.9)."""
    session, peer = joined()
    large = b"z" * 60000
    session.submit([s.push(s.head(session), n) for n in range(40)])
    peer.run(session)
    count = 0
    for sid in peer.complete:
        peer.h2.send_headers(sid, [(b":status", b"400")])
        sent = 0
        while sent < len(large):
            size = min(peer.h2.local_flow_control_window(sid), peer.h2.max_outbound_frame_size, len(large) - sent)
            assert size > 0
            peer.h2.send_data(sid, large[sent : sent + size], end_stream=sent + size == len(large))
            sent += size
            count += sum(isinstance(event, Answered) and event.body == large for event in peer.run(session))
    assert count == 40


def test_h2_shrinks_its_table_in_mid_flight() -> None:
    """A lowered and raised HEADER_TABLE_SIZE is followed (RFC 7541 §4.2)."""
    session, peer = joined()
    shared = s.head(session)
    for lap, size in enumerate((4096, 0, 100, 4096, 8192, 200)):
        peer.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})
        peer.run(session)
        assert session.submit([s.push(shared, n) for n in range(4)]) == 4
        peer.run(session)
        assert len(peer.complete) == 4 * (lap + 1)
        for sid in list(peer.complete)[-4:]:
            peer.answer(sid, 200, [(b"apns-id", s.ID)])
        assert len([e for e in peer.run(session) if isinstance(e, Answered) and e.status == 200]) == 4


def test_resets_and_goaway_of_h2() -> None:
    """RST_STREAM, a new limit and GOAWAY arrive as their events (RFC 9113 §6.4, §6.5, §6.8)."""
    session, peer = joined()
    session.submit([s.push(s.head(session), n) for n in range(4)])
    peer.run(session)
    peer.h2.reset_stream(1, 7)
    peer.h2.reset_stream(3, 2)
    peer.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    assert peer.run(session) == [Unprocessed(0, "REFUSED_STREAM", 7), Reset(1, 2), SettingsChanged(1)]
    peer.h2.close_connection(0, b'{"reason":"x"}', last_stream_id=5)
    assert session.feed(peer.h2.data_to_send()) == [GoAway(5, 0, b'{"reason":"x"}'), Unprocessed(3, "GOAWAY", 0)]


def test_h2_accepts_cancel_ping_and_close() -> None:
    """What a session writes beside requests is valid too (RFC 9113 §6.4, §6.7, §6.8)."""
    session, peer = joined()
    session.submit([s.push(s.head(session), n) for n in range(2)])
    session.cancel(0)
    session.ping(b"12345678")
    events = peer.run(session)
    assert [type(event).__name__ for event in events] == ["Pong"]
    assert list(peer.complete) == [3] or list(peer.complete) == [1, 3]
    session.close()
    peer.run(session)


FIELDS = st.lists(
    st.tuples(
        st.sampled_from([b"apns-id", b"apns-expiration", b"apns-collapse-id", b"x-a", b"x-b"]),
        st.text("abcXYZ019-._~", max_size=60).map(str.encode),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0],
).map(tuple)
HEADS = st.lists(
    st.tuples(st.sampled_from([b"apns-topic", b"x-c"]), st.sampled_from([b"a", b"b" * 900, b"c" * 3000])), max_size=4
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(HEADS, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), FIELDS, st.binary(max_size=40)), max_size=25),
)
def test_any_mix_of_heads_and_fields_arrives(
    heads: list[list[tuple[bytes, bytes]]], requests: list[tuple[int, tuple[tuple[bytes, bytes], ...], bytes]]
) -> None:
    """Whatever enters and leaves the dynamic table, each request decodes to itself (RFC 7541 §2.3, §4.4)."""
    session, peer = joined(MAX_HEADER_LIST_SIZE=1 << 20)
    shared = [session.head(pairs) for pairs in heads]
    batch = [
        Request(shared[which % len(shared)], b"/%d" % number, fields, body, number)
        for number, (which, fields, body) in enumerate(requests)
    ]
    half = len(batch) // 2
    assert session.submit(batch[:half]) == half
    assert session.submit(batch, half) == len(batch) - half
    peer.run(session)
    got = list(peer.complete.values())
    assert len(got) == len(batch)
    for request, (pairs, body) in zip(batch, got, strict=True):
        assert body == request.body
        assert tuple(pairs[4:]) == request.head.pairs + request.fields
        assert pairs[3] == (b":path", request.path)


@pytest.mark.parametrize("padding", [0, 3, 255])
def test_padded_data_of_h2(padding: int) -> None:
    """Padding of the peer is stripped and counted (RFC 9113 §6.1)."""
    session, peer = joined()
    session.submit([s.push(s.head(session), 1)])
    peer.run(session)
    peer.h2.send_headers(1, [(b":status", b"400")])
    peer.h2.send_data(1, b"body", end_stream=True, pad_length=padding)
    assert peer.run(session) == [Answered(1, 400, (), b"body")]


def test_an_informational_answer_of_h2() -> None:
    """103 before the answer is skipped (RFC 9113 §8.1)."""
    session, peer = joined()
    session.submit([s.push(s.head(session), 1)])
    peer.run(session)
    peer.h2.send_headers(1, [(b":status", b"103"), (b"x", b"y")])
    peer.answer(1, 200)
    assert peer.run(session) == [Answered(1, 200, (), b"")]
