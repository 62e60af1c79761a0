"""Rejected pushes get their outcome from the twin in C as from the Python code."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs
from support.twins import native_only, pure

from heliogram.apns import connection
from heliogram.apns.causes import Cause
from heliogram.apns.connection import Connection
from heliogram.apns.ends import Ends
from heliogram.apns.job import WRITTEN, Job, Template
from heliogram.apns.outcomes import Outcome
from heliogram.apns.reasons import REASONS
from heliogram.wire import Answered, Event, Reset, Unprocessed

pytestmark = native_only

WORDS = st.sampled_from([*REASONS, "", "New", "Unregistered ", 'Un"registered', "déjà", "Unregistered\\"])
TIMES = st.one_of(
    st.integers(-5, 1 << 50),
    st.sampled_from([0, 10**14 - 1, 10**14, (1 << 48) - 1, 1 << 48, 1.0, 1e12, 1.5, True, None, "5", 1 << 70]),
)


def compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


BODIES = st.one_of(
    st.builds(lambda reason, moment: compact({"reason": reason, "timestamp": moment}), WORDS, TIMES),
    st.builds(lambda reason: compact({"reason": reason}), WORDS),
    st.builds(lambda reason, moment: json.dumps({"timestamp": moment, "reason": reason}).encode(), WORDS, TIMES),
    st.sampled_from(
        [
            b"", b"{}", b"[]", b'{"reason":', b'{"reason":"', b'{"reason":"Unregistered', b'{"reason":"Unregistered"',
            b'{"reason":"Unregistered",}', b'{"reason":"Unregistered","timestamp":}', b'{"reason":"Unregistered"} ',
            b'{"reason":"Unregistered","timestamp":007}', b'{"reason":"Unregistered","timestamp":1x}',
            b'{"reason":"Unregistered","timestamp":12', b'{"reason":"Unregistered","timestamp":12 }',
            b'{"reason":"Unregistered","timestamp":-0}', b'{"reason":"Unregistered","timestamp":12}}',
            b'{"reason":"Unregistered","timestamp":12,"reason":"BadTopic"}', b'{"reason":"Unregistered"],',
            b'{"reason":"Unregistered"}{', b'{"reason":"Unregistered","timestamq":12}', b'{"reason":""}',
        ]
    ),
    st.binary(max_size=30),
)  # fmt: skip
HEADERS = st.one_of(
    st.just(((b"apns-id", b"i"),)),
    st.none(),
    st.lists(
        st.tuples(
            st.sampled_from([b"apns-id", b"apns-unique-id", b"retry-after", b"Retry-After"]),
            st.sampled_from([b"", b"7", b"soon", b"1234567890", b"\xff\xfe", "é".encode()]),
        ),
        max_size=3,
    ).map(tuple),
)
ANSWERS = st.builds(Answered, st.none(), st.sampled_from([410] * 6 + [200, 400, 403, 429, 503]), HEADERS, BODIES)
EVENTS = st.lists(ANSWERS | st.sampled_from([Reset(None, 2), Unprocessed(None, "REFUSED_STREAM", 7)]), max_size=12)


class Carrier(Connection):
    """A connection without a socket, and all that it says to others."""

    def __init__(self, seen: list[object], *, heard: bool, proven: bool, tokens: bool) -> None:
        note: Any = seen.append

        def hear(job: Job, outcome: Outcome) -> None:
            note((job.state, job.connection, repr(outcome)))

        self.probing, self.is_proven, self.serial = not proven, proven, 7
        self._presents_token = tokens
        self._heed = hear if heard else None
        self._ends = Ends(self._heed)
        self._topics = {"com.example.a"}
        self._last_template = None
        self._note = note
        owner = SimpleNamespace(proven=lambda link: note("proven"), hand_back=lambda jobs: note(len(jobs)))
        self._owner: Any = owner
        self._refusals: Any = SimpleNamespace(over=lambda: note("taken"), met=lambda: note("refused"))
        self._session: Any = SimpleNamespace(inflight=0)

    def leave(self, cause: Cause, *, failure: bool = False) -> None:
        self._note((str(cause), failure))


def digested(events: list[Event], *, heard: bool, proven: bool, tokens: bool, broken: int) -> object:
    seen: list[object] = []

    def sink(outcome: Outcome) -> None:
        seen.append(repr(outcome))
        if len(seen) % 4 == 3:
            raise asyncio.InvalidStateError
        if len(seen) == broken:
            raise OSError("broken")

    templates = [Template(name, "alert", 10) for name in ("com.example.a", "com.example.b")]
    jobs = []
    for n in range(len(events)):
        jobs.append(Job(f"{n:02}", f"id {n}", templates[n // 3 % 2], b"/p", (), b"", 9.0, sink, n))
        jobs[-1].state, jobs[-1].written, jobs[-1].sent_again = WRITTEN, 1.0 + n // 4 * 0.12345, n % 5 == 4
    carrier = Carrier(seen, heard=heard, proven=proven, tokens=tokens)
    for job in jobs:
        job.connection = carrier
    mine = [structs.replace(event, tag=job) for event, job in zip(events, jobs, strict=True)]
    try:
        carrier._digest(mine, 2.0)
    except OSError as error:
        seen.append(str(error))
    marks = [(job.state, job.connection is carrier, job.sent_again, job.above) for job in jobs]
    return seen, marks, carrier.probing, carrier.is_proven, carrier._topics


@settings(max_examples=600, deadline=None)
@given(EVENTS, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 40))
@example([Answered(None, 410, ((b"retry-after", b"7"),), b'{"reason":"Unregistered"}')] * 3, True, True, True, 99)
@example([Answered(None, 410, (), b'{"reason":"Unregistered","timestamp":7}')] * 9, True, True, True, 5)
def test_rejections_are_the_same_both_ways(
    events: list[Event], heard: bool, proven: bool, tokens: bool, broken: int
) -> None:
    """The same outcomes in the same order, the same pushes sent again, the same verdict on the connection."""
    native = digested(events, heard=heard, proven=proven, tokens=tokens, broken=broken)
    with pure():
        assert digested(events, heard=heard, proven=proven, tokens=tokens, broken=broken) == native


@settings(max_examples=400, deadline=None)
@given(BODIES)
def test_one_body_is_the_same_both_ways(body: bytes) -> None:
    """What the twin reads as a reason is what the Python code reads in it."""
    event = Answered(None, 410, ((b"apns-id", b"i"),), body)
    native = digested([event], heard=False, proven=True, tokens=True, broken=99)
    with pure():
        assert digested([event], heard=False, proven=True, tokens=True, broken=99) == native


def test_the_twin_takes_what_is_common() -> None:
    """A row of 410s with the two bodies that APNs sends is read in C to its end."""
    outcomes: list[Outcome] = []
    job = Job("t", "i", Template("a", "alert", 10), b"/p", (), b"", 9.0, outcomes.append)
    for body in (b'{"reason":"BadDeviceToken"}', b'{"reason":"Unregistered","timestamp":1763788000123}'):
        assert connection._reject([Answered(job, 410, ((b"apns-id", b"i"),), body)] * 5, 0, 1.0, None) == 5


def test_nothing_is_kept_of_a_rejection() -> None:
    """References to what was answered are given back."""
    outcomes: list[Outcome] = []
    job = Job("t" * 9, "i" * 9, Template("a", "alert", 10), b"/p", (), b"", 9.0, outcomes.append, object())
    bodies = [b'{"reason":"Unregistered","timestamp":1763788000123}', b'{"reason":"BadTopic","timestamp":5}', b"{}"]
    events: list[Any] = [Answered(job, 410, ((b"apns-id", b"i"),), body) for body in (*bodies[:2], *bodies)]
    watched = (job, job.device_token, job.apns_id, job.tag, *events, *bodies, outcomes)
    for turn in range(300):
        if turn == 100:
            before, blocks = [sys.getrefcount(one) for one in watched], sys.getallocatedblocks()
        at = connection._reject(events, 0, 2.0, None)
        assert at == 4
        assert len(outcomes) == 4
        outcomes.clear()
    assert [sys.getrefcount(one) for one in watched] == before
    assert sys.getallocatedblocks() - blocks < 50


def test_wrong_arguments_are_an_exception() -> None:
    """A mistake in the calling Python code does not end the process."""
    right: list[Any] = [[], 0, 1.0, None]
    assert connection._reject(*right) == 0
    for place in range(3):
        values: tuple[Any, ...] = (None, "x", {}, b"", -1 if place != 2 else [])
        for value in values:
            with pytest.raises((TypeError, ValueError)):
                connection._reject(*right[:place], value, *right[place + 1 :])
    with pytest.raises(TypeError):
        connection._reject([Answered(object(), 410, (), b'{"reason":"BadTopic"}')], 0, 1.0, None)
