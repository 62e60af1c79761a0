"""The twins in C of the client session's inner loops do what the Python code does: bytes, events, state, errors."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import frames as s
from support.fuzzing import corpus, seeds
from support.twins import native_only, pure

from heliogram._accel import twin
from heliogram.wire import Answered, ClientSession, Head, ProtocolError, Request
from heliogram.wire import frames as f
from heliogram.wire.checks import Shape
from heliogram.wire.client_frames import FINAL, Unfinished
from heliogram.wire.hpack_decoder import Decoder
from heliogram.wire.hpack_encoder import raw_string
from heliogram.wire.huffman import short_codes

pytestmark = native_only

IDS = st.sampled_from([b"%08x" % n for n in range(40)] + [b"", b"x", b"i" * 126, b"i" * 127, b"i" * 200])
NAMES = st.sampled_from([b"apns-id", b"apns-expiration", b"apns-collapse-id", b"x-" + b"n" * 300])
FIELDS = st.one_of(
    st.tuples(st.tuples(st.just(b"apns-id"), IDS)),
    st.lists(st.tuples(NAMES, st.binary(max_size=80).map(lambda raw: raw.hex().encode())), max_size=4).map(tuple),
    st.just(((b"apns-id", b"v" * 1023),)),
    st.just(((b"apns-id", b"v" * 1024),)),
    st.just(tuple((b"apns-id", b"w" * 900) for _ in range(18))),
)
PUSHES = st.tuples(
    st.integers(0, 2),
    st.sampled_from([b"/3/device/" + b"ab" * n for n in (8, 32, 60, 508, 509, 600)]),
    FIELDS,
    st.sampled_from([b"", b"{}", b"b" * 200, b"c" * 1500, b"d" * 16384, b"e" * 16385, b"f" * 40000]),
)
SETTINGS = st.sampled_from(
    [
        (f.MAX_CONCURRENT_STREAMS, 3), (f.MAX_CONCURRENT_STREAMS, 1000), (f.INITIAL_WINDOW_SIZE, 0),
        (f.INITIAL_WINDOW_SIZE, 100), (f.INITIAL_WINDOW_SIZE, 1 << 20), (f.MAX_FRAME_SIZE, 20000),
        (f.HEADER_TABLE_SIZE, 0), (f.HEADER_TABLE_SIZE, 100), (f.HEADER_TABLE_SIZE, 4096),
        (f.MAX_HEADER_LIST_SIZE, 300), (f.MAX_HEADER_LIST_SIZE, 900), (f.MAX_HEADER_LIST_SIZE, 1 << 20),
    ]
)  # fmt: skip
VALUES: tuple[Any, ...] = (None, -1, 1 << 70, b"", {}, [])
NAMED = b"\x00" + raw_string(b"apns-id")
KEPT = b"\x40" + raw_string(b"apns-id")
STEPS = st.one_of(
    st.tuples(st.just("submit"), st.lists(PUSHES, max_size=6)),
    st.tuples(st.just("answer"), st.lists(st.tuples(st.integers(0, 80), st.sampled_from([NAMED, KEPT, b"\x0f\x2f"])))),
    st.tuples(st.just("settings"), SETTINGS),
    st.tuples(st.just("window"), st.tuples(st.sampled_from([0, 1, 3, 5]), st.integers(1, 70000))),
    st.tuples(
        st.just("frame"), st.tuples(st.integers(0, 9), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=9))
    ),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
)


class Story:
    """One session, and all that can be seen of it."""

    def __init__(self) -> None:
        self.session = ClientSession(b"host", initial_stream_limit=100)
        self.heads = [
            self.session.head([(b"apns-topic", b"t" * n)], sensitive=[(b"authorization", b"s")]) for n in (9, 99)
        ]
        self.heads.append(ClientSession(b"host").head([]))
        self.tag = 0
        self.seen: list[object] = []
        self.feed(f.settings_frame((f.MAX_CONCURRENT_STREAMS, 50)), 0)

    def feed(self, data: bytes, cut: int) -> None:
        for piece in (data[:cut], data[cut:]) if cut else (data,):
            try:
                self.seen.append([repr(event) for event in self.session.feed(piece)])
            except ProtocolError as error:
                self.seen.append(str(error))

    def own_id(self, sid: int) -> bytes:
        request = self.session._open.get(sid)
        return request.fields[0][1] if request and request.fields else b"unknown"

    def step(self, kind: str, what: Any) -> None:
        if kind == "submit":
            batch = [
                Request(self.heads[head], path, fields, body, self.tag + n)
                for n, (head, path, fields, body) in enumerate(what)
            ]
            self.tag += len(batch)
            try:
                self.seen.append(self.session.submit(batch))
            except ValueError as error:
                self.seen.append(str(error))
        elif kind == "answer":
            blocks = [(2 * n + 1, b"\x88" + name + raw_string(self.own_id(2 * n + 1))) for n, name in what]
            self.feed(b"".join(f.frame(f.HEADERS, 5, sid, block) for sid, block in blocks), len(what) * 7 % 50)
        elif kind == "settings":
            self.feed(f.settings_frame(what), 0)
        elif kind == "window":
            self.feed(f.window_frame(*what), 0)
        elif kind == "frame":
            self.feed(f.frame(what[0], what[1], what[2], what[3]), 5)
        else:
            self.seen.append(self.session.cancel(what))
        session = self.session
        self.seen.append((session.take(), session._next, session._window, sorted(session._open), session._buffer))
        self.seen.append((sorted(session._answers), sorted(session._blocked), session.free, str(session.error)))


def story(steps: list[tuple[str, Any]]) -> list[object]:
    told = Story()
    for kind, what in steps:
        told.step(kind, what)
    return told.seen


@settings(max_examples=600, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_both_ways_tell_the_same_story(steps: list[tuple[str, Any]]) -> None:
    """Whatever is submitted and whatever the peer says: the same bytes, events, errors and books."""
    native = story(steps)
    with pure():
        assert story(steps) == native


@pytest.mark.parametrize("size", [1, 8, 64, 1000])
def test_a_busy_session_is_the_same_both_ways(size: int) -> None:
    """Rows of plain answers, cut anywhere, with other streams between them."""
    push = (0, b"/3/device/" + b"ab" * 32)
    steps: list[tuple[str, Any]] = []
    for turn in range(30):
        numbers = range(turn * 40, turn * 40 + 40)
        pushes = [(*push, ((b"apns-id", b"%08x" % n),), b"b" * (n % 300 + 1)) for n in numbers]
        steps += [("submit", pushes), ("window", (0, 20000)), ("answer", [(n, NAMED) for n in numbers if n % 39])]
        steps.append(("answer", [(n, KEPT if n % size else NAMED) for n in numbers]))
    native = story(steps)
    with pure():
        assert story(steps) == native


def test_both_ways_take_every_known_input_alike() -> None:
    """The seeds and the corpus of the fuzzer give the same events, bytes and errors."""
    for data in [*seeds("client"), *corpus("client")]:
        steps = [("submit", [(0, s.PATH, ((b"apns-id", s.ID),), b"{}")] * 3)]
        native, other = story(steps), None
        told = Story()
        told.step(*steps[0])
        told.feed(data[1:], len(data) // 2)
        with pure():
            assert story(steps) == native
            other = Story()
            other.step(*steps[0])
            other.feed(data[1:], len(data) // 2)
        assert (told.seen, told.session.take()) == (other.seen, other.session.take())


def test_a_class_of_another_shape_is_refused() -> None:
    """Then there is no twin, and Python does the work."""

    class Other:
        head = path = fields = body = tag = 1

    assert twin("open_fast", Head, Other) is None
    assert twin("open_fast", Request, Request) is None
    assert twin("open_fast", Head) is None
    parts = (Answered, Request, 200, b"", Unfinished, Decoder, Shape, Unfinished(), FINAL, short_codes())
    assert twin("read_answers", *parts) is not None
    for place in (0, 1, 4, 5, 6):
        assert twin("read_answers", *parts[:place], Other, *parts[place + 1 :]) is None
    assert twin("no_such_twin") is None


def test_wrong_arguments_are_an_exception() -> None:
    """A mistake in the calling Python code does not end the process."""
    made = twin("open_fast", Head, Request)
    for count in range(13):
        for value in VALUES:
            with pytest.raises((TypeError, ValueError, OverflowError)):
                made(*[value] * count)


def test_nothing_is_kept_of_what_went_through() -> None:
    """References to tags, bodies and ids are given back."""
    session = ClientSession(b"host", initial_stream_limit=100)
    session.feed(f.settings_frame((f.MAX_CONCURRENT_STREAMS, 100)))
    head = session.head([(b"apns-topic", b"t")])
    tag, body, path, own = object(), b"b" * 50, b"/3/device/" + b"ab" * 9, b"%036d" % 7
    watched: tuple[object, ...] = (tag, body, path, own, head, None, 200, b"")
    assert session.submit([Request(head, path, ((b"apns-id", own),), body, 0)]) == 1  # the encoder's table keeps one
    session.feed(f.frame(1, 5, 1, b"\x88" + NAMED + raw_string(own)))
    before = [sys.getrefcount(one) for one in watched]
    for _ in range(50):
        first = session._next
        assert session.submit([Request(head, path, ((b"apns-id", own),), body, tag) for _ in range(20)]) == 20
        answers = [f.frame(1, 5, first + 2 * n, b"\x88" + NAMED + raw_string(own)) for n in range(20)]
        assert len(session.feed(b"".join(answers))) == 20
        session.take()
        session.feed(f.window_frame(0, 1000))
    session._packs.clear()
    after = [sys.getrefcount(one) for one in watched]
    assert [b - a for a, b in zip(before, after, strict=True)][:4] == [0, 0, 0, 0]
    assert all(abs(b - a) < 40 for a, b in zip(before, after, strict=True))
