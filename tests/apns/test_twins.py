"""The twins in C of the engine's inner loops make the same jobs, requests, outcomes and errors as the Python code."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections import deque
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.twins import native_only, pure

from heliogram.apns import Alert, InterruptionLevel, Notification, Push, PushType, Sound
from heliogram.apns.batch import Batch
from heliogram.apns.calls import Call
from heliogram.apns.client import Client
from heliogram.apns.connection import Connection
from heliogram.apns.ids import IdSource
from heliogram.apns.job import DONE, WAITING, WRITTEN, Job, Template
from heliogram.apns.making import makers
from heliogram.apns.outcomes import Outcome
from heliogram.wire import Answered, Reset

pytestmark = native_only

ID = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
TEXT = st.text(max_size=6) | st.sampled_from(["déjà\u2028", "\ud800", "x" * 5000, '\x00"\\'])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT, lambda one: st.lists(one, max_size=2)
)
ODD = st.sampled_from([object(), {1, 2}, b"bytes", -1, 1 << 70, 1.5, True, [], {}, PushType.ALERT])
LISTS = st.none() | st.lists(TEXT | st.just(5), max_size=2) | ODD
ALERTS = st.builds(Alert, title=TEXT | ODD, body=TEXT | ODD, launch_image=st.none() | ODD, loc_args=LISTS)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "alert": TEXT | st.builds(Alert, title=TEXT, body=st.none() | TEXT) | ALERTS | ODD,
        "badge": st.integers(-2, 1 << 66) | ODD,
        "sound": TEXT | st.builds(Sound, volume=st.floats(0, 2)) | ODD,
        "thread_id": TEXT | ODD,
        "category": TEXT | ODD,
        "mutable_content": st.booleans() | ODD,
        "custom": st.dictionaries(st.sampled_from(["a", "b", "aps", "déjà"]), JSON, max_size=3) | ODD,
    },
)
RARE: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {},
    optional={
        "content_available": st.booleans() | st.just(0),
        "interruption_level": st.sampled_from(list(InterruptionLevel)),
        "push_type": st.sampled_from([PushType.ALERT, PushType.VOIP, "background", "nonsense"]),
        "topic": st.sampled_from(["com.example.other", "a\nb"]),
        "priority": st.sampled_from([5, 10, 7]),
        "expiration": st.sampled_from([0, 1_800_000_000, "soon"]),
        "collapse_id": st.sampled_from(["one", "x" * 65]),
        "payload": st.sampled_from([b"{}", b"", {"aps": {}}]),
    },
)
NOTES = st.builds(lambda plain, rare: Notification(**plain, **rare), FIELDS, RARE)
TOKENS = st.one_of(
    st.binary(min_size=7, max_size=40).map(bytes.hex),
    st.sampled_from(["ab" * 200, "ab" * 201, "AB" * 32, "<ab ab>" * 8, "abc" * 9, "", "zz" * 32, "é" * 32]),
    st.sampled_from([None, b"ab" * 32, 7]),
)
GIVEN_IDS = st.sampled_from([None, None, ID, ID.upper(), "", ID + "\n", ID[:-1], b"x", 7])
TOPICS = st.sampled_from([None, None, "", "com.example.b", "com.example.c", "bad topic", 7])


class Made:
    """The job maker of a client that needs no event loop."""

    def __init__(self, *, native: bool) -> None:
        self.templates: dict[Any, Template] = {}
        self.ids = IdSource(random.Random(7))
        client: Any = SimpleNamespace(
            _ids=self.ids, _templates=self.templates, _topic="com.example.a", _credential=None
        )
        client._template = lambda *parts: self.template(*parts)
        self.careful: Any = lambda *parts: Client._job(client, *parts)
        self.make, self.make_all = makers(self.templates, self.ids.next, self.careful)
        assert self.make_all is not None
        if not native:
            self.make, self.make_all = self.careful, None

    def template(self, key: Any, topic: Any, prepared: Any) -> Template:
        if topic is not None and topic != "" and (not isinstance(topic, str) or " " in topic):
            raise ValueError(f"topic {topic!r}")
        made = self.templates[key] = Template(topic or prepared.topic or "com.example.a", "alert", prepared.priority)
        return made


def shown(job: Job) -> tuple[object, ...]:
    parts = [getattr(job, name) for name in Job.__struct_fields__]
    return tuple(part.pairs if isinstance(part, Template) else part for part in parts)


def tried(make: Any, *parts: object) -> object:
    try:
        return shown(make(*parts))
    except Exception as error:
        return (type(error), str(error))


PARTS = st.tuples(
    TOKENS, NOTES | st.sampled_from([None, Notification, "text"]), GIVEN_IDS, st.none() | st.text(), TOPICS
)


@settings(max_examples=600, deadline=None)
@given(st.lists(PARTS, max_size=6))
def test_one_job_is_the_same_both_ways(pushes: list[tuple[Any, ...]]) -> None:
    """The same fields, ids in the same order, the same errors; a notification remembers what it was prepared to."""
    native, other = Made(native=True), Made(native=False)
    for parts in pushes * 2:
        token, note, *rest = parts
        twin_note = note
        if isinstance(note, Notification):
            twin_note = Notification(**{name: getattr(note, name) for name in Notification.__struct_fields__})
        one = tried(native.make, token, note, *rest, 5.0, print)
        assert one == tried(other.make, token, twin_note, *rest, 5.0, print)
        if isinstance(note, Notification) and not (type(one) is tuple and isinstance(one[0], type)):
            assert note.prepare() is note.prepare()


class Taken:
    """A batch whose pool only takes note."""

    def __init__(self, *, native: bool) -> None:
        self.jobs: list[Job] = []
        self.refused: list[object] = []
        made = Made(native=native)
        deadlines = SimpleNamespace(extend=lambda jobs: None)
        reporter = SimpleNamespace(never_a_push=self.refused.append)
        pool: Any = SimpleNamespace(deadlines=deadlines, add=self.jobs.extend, reporter=reporter)
        self.batch = Batch(pool, (made.make, made.make_all), lambda: 1.0, 30.0, 100)

    def take(self, items: Iterator[object], room: int) -> object:
        ended = self.batch.take(items, room)
        end = (type(ended), str(ended)) if isinstance(ended, Exception) else ended
        jobs = [shown(job)[:7] + shown(job)[8:] for job in self.jobs]
        return end, jobs, [str(one) for one in self.batch.outcomes], len(self.refused), self.batch.open


ITEMS = st.one_of(
    st.tuples(TOKENS, NOTES),
    st.builds(Push, TOKENS, NOTES, GIVEN_IDS, st.none() | st.text(), TOPICS),
    st.sampled_from([None, (), ("ab" * 32,), (1, 2, 3), "text", ["ab" * 32, Notification()]]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ITEMS, max_size=8), st.integers(1, 9), st.sampled_from([None, ValueError("no more"), StopAsyncIteration()])
)
def test_a_batch_is_the_same_both_ways(items: list[object], room: int, error: Exception | None) -> None:
    """The same jobs, refusals and end, whatever the source yields or raises."""

    def source() -> Iterator[object]:
        yield from items
        if error is not None:
            raise error

    assert Taken(native=True).take(source(), room) == Taken(native=False).take(source(), room)


def test_what_is_no_exception_of_the_source_passes_through() -> None:
    """KeyboardInterrupt is not kept for later."""

    def source() -> Iterator[object]:
        yield ("ab" * 32, Notification(alert="hello"))
        raise KeyboardInterrupt

    for native in (True, False):
        with pytest.raises(KeyboardInterrupt):
            Taken(native=native).take(source(), 10)


def jobs_of(count: int, sink: Any) -> list[Job]:
    shared = [Template(f"com.example.{n}", "alert", 10) for n in range(3)]
    made: list[Job] = []
    for n in range(count):
        kind = Call if n % 5 == 4 else Job
        body = b"x" * (n * 37 % 900)
        made.append(kind(f"{n:02}", ID, shared[n // 4 % 3], b"/p", ((b"apns-id", b"i"),), body, 9.0, sink, n))
        made[-1].state = DONE if n % 7 == 3 else WAITING
    return made


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.integers(0, 40), st.integers(-5, 9000))
def test_a_batch_of_requests_is_the_same_both_ways(count: int, room: int, window: int) -> None:
    """The same requests in the same order, the same jobs marked, the same left in the queue."""

    def taken() -> object:
        waiting = deque(jobs_of(count, None))
        everyone = list(waiting)
        known: dict[Template, str] = {}
        heads = SimpleNamespace(known=known, make=lambda template: known.setdefault(template, template.topic))
        link: Any = SimpleNamespace(_heads=heads, _session=SimpleNamespace(window=window))
        batch = Connection._batch(link, waiting, room, 3.5)
        requests = [(one.head, one.path, one.fields, one.body, one.tag.device_token) for one in batch]
        marks = [(job.state, job.written, job.connection is link) for job in everyone]
        return requests, marks, [job.device_token for job in waiting], sorted(known.values())

    native = taken()
    with pure():
        assert taken() == native


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 20), st.integers(0, 5), st.booleans(), st.integers(0, 25))
def test_accepted_answers_are_the_same_both_ways(count: int, at: int, heard: bool, broken: int) -> None:
    """The same outcomes in the same order to sink and listener, the same topics, the same place where the row ends."""

    def accepted() -> object:
        seen: list[object] = []

        def sink(outcome: Outcome) -> None:
            if len(seen) % 4 == 3:
                seen.append("cancelled")
                raise asyncio.InvalidStateError
            if len(seen) == broken:
                raise OSError("broken")
            seen.append(repr(outcome))

        jobs = jobs_of(count, sink)
        for n, job in enumerate(jobs):
            job.state, job.written = WRITTEN, 1.0 + n // 6 * 0.12345
        unique = ((b"apns-id", b"i"), (b"apns-unique-id", b"u"))
        events: list[Any] = [Answered(job, 200, unique if n % 6 == 5 else None, b"") for n, job in enumerate(jobs)]
        events[14:14] = [Reset(None, 0)]
        heed = (lambda job, outcome: seen.append((job.device_token, job.state, repr(outcome)))) if heard else None
        link: Any = SimpleNamespace(probing=False, is_proven=True, _heed=heed, _last_template=None, _topics=set())
        try:
            end: object = Connection._accepted(link, events, at, 2.0)
        except OSError as error:
            end = str(error)
        return end, seen, [(job.state, job.connection) for job in jobs], link._topics

    native = accepted()
    with pure():
        assert accepted() == native


def test_a_client_is_collected_with_its_twins() -> None:
    """The twins hold the client's own method: the collector sees through them."""
    gc.collect()
    before = len([one for one in gc.get_objects() if type(one).__name__ == "Kit"])
    for _ in range(50):
        holder: list[Any] = []
        holder.append(makers({}, lambda: b"", holder.append))  # type: ignore[arg-type]
    del holder
    gc.collect()
    assert len([one for one in gc.get_objects() if type(one).__name__ == "Kit"]) == before


def test_nothing_is_kept_of_a_job() -> None:
    """References to what a job was made of are given back."""
    made = Made(native=True)
    token, tag, note = "ab" * 32, object(), Notification(alert="hello", badge=3, custom={"k": "v"})
    watched = (token, tag, note, note.custom, note.prepare(), note.prepare().body)
    before = [sys.getrefcount(one) for one in watched]
    for number in range(500):
        made.make(token, note, ID if number % 2 else None, tag, "com.example.b" if number % 3 else None, 1.0, print)
        with pytest.raises(Exception, match="token"):
            made.make("zz" + token, note, None, tag, None, 1.0, print)
    assert [sys.getrefcount(one) for one in watched] == before
