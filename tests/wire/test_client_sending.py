"""What a client session writes: requests, limits, windows."""

from __future__ import annotations

import hpack
import pytest
from support import frames as s

from heliogram.wire import ClientSession, Request, SettingsChanged
from heliogram.wire import frames as f

ROOMY = (f.MAX_CONCURRENT_STREAMS, 1000)


def test_the_preface_and_settings_come_first() -> None:
    """A client starts with the preface and SETTINGS that switch push off (RFC 9113 §3.4, §6.5.2)."""
    wire = ClientSession(b"host", receive_window=1 << 20).take()
    assert wire.startswith(f.PREFACE)
    first, second = s.split(wire)
    assert f.parse_settings(first[3])[0] == (f.ENABLE_PUSH, 0)
    assert second == (f.WINDOW_UPDATE, 0, 0, ((1 << 20) - 65535).to_bytes(4, "big"))


def test_the_initial_limit_holds_until_settings_arrive() -> None:
    """Before the peer's SETTINGS only the given number of streams is opened (CONN-14, RFC 9113 §5.1.2)."""
    session = ClientSession(b"host", initial_stream_limit=1)
    shared = s.head(session)
    assert (session.free, session.settled) == (1, False)
    assert session.submit([s.push(shared)] * 3) == 1
    assert session.feed(s.settings((f.MAX_CONCURRENT_STREAMS, 2))) == [SettingsChanged(2)]
    assert (session.free, session.settled, session.stream_limit) == (1, True, 2)


def test_without_a_limit_in_settings_there_is_none() -> None:
    """MAX_CONCURRENT_STREAMS is unlimited when the first SETTINGS do not name it (RFC 9113 §6.5.2)."""
    session = ClientSession(b"host")
    assert session.feed(s.settings()) == [SettingsChanged(2**31 - 1)]
    assert session.stream_limit == 2**31 - 1


def test_the_same_limit_again_is_no_event() -> None:
    """SettingsChanged comes only with a new value, and absent values keep theirs (RFC 9113 §6.5.3)."""
    session = s.client(ROOMY)
    assert session.feed(s.settings(ROOMY) + s.settings()) == []
    assert session.stream_limit == 1000


def test_settings_are_acknowledged() -> None:
    """Each SETTINGS frame is acknowledged in order (RFC 9113 §6.5.3)."""
    session = ClientSession(b"host")
    session.take()
    session.feed(s.settings() + s.settings(ROOMY))
    assert session.take() == f.frame(f.SETTINGS, f.ACK, 0) * 2


def test_submit_stops_at_the_limit_and_goes_on_from_start() -> None:
    """Requests are opened in order, as many as the limit has room for (RFC 9113 §5.1.2)."""
    session = s.client((f.MAX_CONCURRENT_STREAMS, 3))
    batch = [s.push(s.head(session), number) for number in range(5)]
    assert session.submit(batch) == 3
    assert (session.inflight, session.free) == (3, 0)
    assert session.submit(batch, 3) == 0
    session.feed(s.settings((f.MAX_CONCURRENT_STREAMS, 5)))
    assert session.submit(batch, 3) == 2
    assert session.submit(batch, 5) == 0
    assert session.abandon() == [0, 1, 2, 3, 4]


def test_a_limit_below_the_open_streams_only_stops_new_ones() -> None:
    """Lowering the limit leaves open streams alone (RFC 9113 §5.1.2)."""
    session = s.client(ROOMY)
    s.opened(session, 1, 2, 3)
    assert session.feed(s.settings((f.MAX_CONCURRENT_STREAMS, 1))) == [SettingsChanged(1)]
    assert (session.inflight, session.free) == (3, 0)


def test_every_request_decodes_to_what_was_asked() -> None:
    """Shared, sensitive and own fields arrive in order, pseudo-header fields first (RFC 9113 §8.3)."""
    session = s.client(ROOMY)
    shared = s.head(session)
    fields = ((b"apns-id", s.ID), (b"apns-collapse-id", b"game-7"))
    batch = [Request(shared, s.PATH + b"%d" % n, fields[: n % 3], b"{}", n) for n in range(7)]
    assert session.submit(batch) == 7
    oracle = hpack.Decoder()
    blocks = [payload for kind, _, _, payload in s.split(session.take()) if kind == f.HEADERS]
    for number, block in enumerate(blocks):
        assert [tuple(pair) for pair in oracle.decode(block, raw=True)] == [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", b"api.push.apple.com"),
            (b":path", s.PATH + b"%d" % number),
            (b"apns-topic", b"com.example.app"),
            (b"authorization", b"bearer abc"),
            *fields[: number % 3],
        ]


def test_sensitive_pairs_are_never_indexed() -> None:
    """`authorization` is a never-indexed literal in every request (RFC 7541 §7.1.3, CONN-29)."""
    session = s.client(ROOMY)
    shared = s.head(session)
    session.submit([s.push(shared)] * 3)
    for kind, _, _, payload in s.split(session.take()):
        if kind == f.HEADERS:
            assert b"\x1f\x08" in payload  # 0001 1111, then 23 - 15: the static name `authorization`


def test_recurring_names_and_pairs_become_references() -> None:
    """From the second request on, shared pairs take one byte and recurring names two (RFC 7541 §6)."""
    session = s.client(ROOMY)
    shared = s.head(session)
    session.submit([s.push(shared)] * 3)
    sizes = [len(payload) for kind, _, _, payload in s.split(session.take()) if kind == f.HEADERS]
    assert sizes[1] == sizes[2] < sizes[0] - 30


def test_an_empty_body_ends_the_request_with_its_headers() -> None:
    """Without a body END_STREAM is on HEADERS and no DATA follows (RFC 9113 §8.1)."""
    session = s.client(ROOMY)
    shared = session.head([], method=b"GET")
    assert session.submit([Request(shared, b"/1/apps/x/channels", (), b"", n) for n in range(3)]) == 3
    assert [(kind, flags) for kind, flags, *_ in s.split(session.take())] == [(f.HEADERS, 5)] * 3


def test_a_body_above_the_frame_size_is_split() -> None:
    """DATA frames stay within the peer's MAX_FRAME_SIZE (RFC 9113 §4.2)."""
    session = s.client(ROOMY)
    s.head(session)
    assert session.submit([s.push(s.head(session), body=b"x" * 40000)]) == 1
    parts = [(flags, len(payload)) for kind, flags, _, payload in s.split(session.take()) if kind == f.DATA]
    assert parts == [(0, 16384), (0, 16384), (1, 40000 - 2 * 16384)]


def test_a_larger_frame_size_in_mid_flight_is_used() -> None:
    """MAX_FRAME_SIZE counts from the SETTINGS on (RFC 9113 §6.5.2)."""
    session = s.client(ROOMY, (f.MAX_FRAME_SIZE, 30000))
    session.submit([s.push(s.head(session), body=b"x" * 30000)])
    assert [len(payload) for kind, _, _, payload in s.split(session.take()) if kind == f.DATA] == [30000]


def test_a_header_block_above_the_frame_size_continues() -> None:
    """A large block goes out as HEADERS and CONTINUATION (RFC 9113 §6.10)."""
    session = s.client(ROOMY)
    shared = session.head([], sensitive=[(b"x-long", b"\xff" * 20000)])
    assert session.submit([Request(shared, b"/", (), b"", 1)]) == 1
    frames = s.split(session.take())
    assert [(kind, flags) for kind, flags, *_ in frames] == [(f.HEADERS, 1), (f.CONTINUATION, 4)]
    pairs = hpack.Decoder(max_header_list_size=1 << 20).decode(b"".join(part[3] for part in frames), raw=True)
    assert (b"x-long", b"\xff" * 20000) in list(pairs)


def test_the_connection_window_is_never_exceeded() -> None:
    """A body waits for the connection's window and goes out in pieces as it opens (RFC 9113 §6.9.1)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 1 << 20))
    batch = [s.push(s.head(session), number, b"x" * 50000) for number in range(3)]
    assert session.submit(batch) == 2
    assert (session.window_blocked, session.window, session.free) == (True, 0, 0)
    assert sum(len(payload) for kind, _, _, payload in s.split(session.take()) if kind == f.DATA) == 65535
    session.feed(f.window_frame(0, 10))
    assert [payload for *_, payload in s.split(session.take())] == [b"x" * 10]
    session.feed(f.window_frame(0, 100000))
    assert not session.window_blocked
    assert session.window == 100000 - (100000 - 65535 - 10)
    assert session.submit(batch, 2) == 1


def test_the_streams_window_is_honoured() -> None:
    """A stream's own window limits its body (RFC 9113 §6.9.1)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 100))
    assert session.submit([s.push(s.head(session), n, b"x" * 150) for n in range(2)]) == 1
    assert [len(p) for kind, _, _, p in s.split(session.take()) if kind == f.DATA] == [100]
    session.feed(f.window_frame(1, 49))
    assert [len(p) for *_, p in s.split(session.take())] == [49]
    assert session.window_blocked
    session.feed(f.window_frame(1, 1))
    assert s.split(session.take()) == [(f.DATA, f.END_STREAM, 1, b"x")]
    assert not session.window_blocked


def test_a_change_of_the_initial_window_moves_waiting_bodies() -> None:
    """INITIAL_WINDOW_SIZE changes the windows of open streams by the difference (RFC 9113 §6.9.2)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 100))
    session.submit([s.push(s.head(session), 1, b"x" * 150)])
    session.take()
    session.feed(s.settings((f.INITIAL_WINDOW_SIZE, 20)))  # the stream's window is now -80
    session.feed(f.window_frame(1, 80))
    assert f.DATA not in s.kinds(session.take())
    session.feed(f.window_frame(1, 1))
    assert s.kinds(session.take()) == [f.DATA]
    session.feed(s.settings((f.INITIAL_WINDOW_SIZE, 69)))
    assert [len(p) for kind, _, _, p in s.split(session.take()) if kind == f.DATA] == [49]
    assert not session.window_blocked


def test_a_window_of_exactly_the_body_is_enough() -> None:
    """The edge: a body as large as the window goes out whole (RFC 9113 §6.9.1)."""
    session = s.client(ROOMY, (f.INITIAL_WINDOW_SIZE, 100))
    assert session.submit([s.push(s.head(session), n, b"x" * 100) for n in range(2)]) == 2
    assert not session.window_blocked


def test_a_lowered_table_size_is_announced_in_the_next_block() -> None:
    """A lower HEADER_TABLE_SIZE evicts and is confirmed by a size update (RFC 7541 §4.2)."""
    session = s.client(ROOMY)
    shared = s.head(session)
    oracle = hpack.Decoder()
    session.submit([s.push(shared)])
    oracle.decode(s.split(session.take())[0][3])
    session.feed(s.settings((f.HEADER_TABLE_SIZE, 0)))
    oracle.max_allowed_table_size = 0
    session.submit([s.push(shared)] * 3)
    blocks = [payload for kind, _, _, payload in s.split(session.take()) if kind == f.HEADERS]
    assert blocks[0][0] == 0x20
    assert blocks[1][0] != 0x20
    assert all(len(list(oracle.decode(block))) == 7 for block in blocks)


def test_more_topics_than_the_table_holds() -> None:
    """Each is encoded once, and read as what it is; those that found the table full are literals (RFC 7541 §6.2.2)."""
    session, oracle = s.client(ROOMY), hpack.Decoder()
    heads = [session.head([(b"apns-topic", b"com.example.app%d" % number)]) for number in range(200)]
    fields = ((b"apns-id", s.ID), (b"apns-expiration", b"0"), (b"x" * 600, b"y"))  # the last has no room for its name
    seen = []
    for turn in range(3):
        for shared in heads:
            stamp, before = session._encoder.stamp, shared.before
            session.submit([Request(shared, s.PATH, fields, b"", turn)])
            assert turn < 2 or (session._encoder.stamp is stamp and shared.before is before)
            [(_, _, _, block)] = s.split(session.take())
            seen += [bytes(value) for name, value in oracle.decode(block, raw=True) if name == b"apns-topic"]
            session._open.clear()
    assert seen == [b"com.example.app%d" % number for number in range(200)] * 3
    assert session._submit_fast([Request(heads[-1], s.PATH, fields, b"", 0)], 0, 1) == 1


def test_a_head_with_another_secret() -> None:
    """What is never indexed is remembered in its encoded form for one value at a time (RFC 7541 §6.2.3)."""
    session, oracle = s.client(ROOMY), hpack.Decoder()
    for secret in (b"one", b"two", b"one"):
        session.submit([s.push(session.head([], sensitive=[(b"authorization", secret)]))])
        [(_, _, _, block), _] = s.split(session.take())
        assert (b"authorization", secret) in list(map(tuple, oracle.decode(block, raw=True)))


def test_the_header_list_limit_at_the_edge_and_one_past() -> None:
    """A list of just the peer's MAX_HEADER_LIST_SIZE goes out, one byte more is a ValueError (RFC 9113 §6.5.2)."""
    base = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"api.push.apple.com"), (b":path", s.PATH)]
    base += [(b"apns-topic", b"com.example.app"), (b"authorization", b"bearer abc"), (b"apns-id", s.ID)]
    size = sum(len(name) + len(value) + 32 for name, value in base)
    session = s.client(ROOMY, (f.MAX_HEADER_LIST_SIZE, size))
    assert session.submit([s.push(s.head(session))] * 3) == 3
    session.feed(s.settings((f.MAX_HEADER_LIST_SIZE, size - 1)))
    with pytest.raises(ValueError, match=f"counts {size}, the peer's MAX_HEADER_LIST_SIZE is {size - 1}"):
        session.submit([s.push(s.head(session))])
    assert session.inflight == 3


def test_a_bad_request_within_a_batch_ends_it_before_itself() -> None:
    """What was opened in front of a refused request is reported; the request itself raises when it comes first."""
    session = s.client(ROOMY, (f.MAX_HEADER_LIST_SIZE, 1000))
    shared = s.head(session)
    batch = [s.push(shared, 1), Request(shared, s.PATH, ((b"apns-id", b"x" * 1000),), b"", 2), s.push(shared, 3)]
    assert session.submit(batch) == 1
    with pytest.raises(ValueError, match="MAX_HEADER_LIST_SIZE"):
        session.submit(batch, 1)
    assert session.submit(batch, 2) == 1


def test_a_head_of_another_session_is_refused() -> None:
    """A head's references are good for one connection's table alone (RFC 7541 §2.2)."""
    session = s.client(ROOMY)
    with pytest.raises(ValueError, match="another session"):
        session.submit([s.push(s.head(s.client()))])


@pytest.mark.parametrize("name", [b"", b"Apns-Id", b":path", b"a b", b"connection", b"caf\xc3\xa9"])
def test_bad_names_are_refused(name: bytes) -> None:
    """Names are lower case ASCII and belong to no connection (CONN-32, RFC 9113 §8.2)."""
    session = s.client(ROOMY)
    with pytest.raises(ValueError, match="field"):
        session.head([(name, b"x")])
    with pytest.raises(ValueError, match="field"):
        session.submit([Request(s.head(session), b"/", ((name, b"x"),), b"", 1)])
    assert session.inflight == 0


@pytest.mark.parametrize("value", [b"a\r", b"a\nb", b"\0"])
def test_bad_values_of_a_head_are_refused(value: bytes) -> None:
    """Values hold no CR, LF or NUL (RFC 9113 §8.2.1)."""
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        s.client().head([(b"apns-topic", value)])
