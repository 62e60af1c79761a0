"""The twins in C of what is done for alike pushes make the same jobs and refusals as the Python code."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.twins import native_only, pure

from heliogram import _accel
from heliogram.apns import ApnsError, Notification, PushType
from heliogram.apns.alike import _twin_of, jobs_of
from heliogram.apns.job import Job, Template

pytestmark = native_only

ID = "0193a5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"
TEMPLATE = Template("com.example.app", "alert", 10)
SHARED = "the score of the match"


class Letter(msgspec.Struct, eq=False):
    """One push of its own."""

    token: Any = b"\xab" * 32
    apns_id: Any = ID
    payload: Any = b"{}"
    collapse_id: Any = None


class Loose:
    """A letter of another build: its fields are no slots."""

    token, apns_id, payload, collapse_id = b"\xab" * 32, ID, b"{}", SHARED


TOKENS = st.binary(max_size=20) | st.sampled_from([b"a" * 7, b"a" * 8, b"\xff" * 200, b"a" * 201, bytearray(b"a" * 32)])
IDS = st.just(ID) | st.sampled_from([ID.upper(), "short", "é" * 36, ID + "0", "z" * 36])
COLLAPSE = st.sampled_from([None, ID, SHARED, "a" * 64, "a" * 65, "", " a", "a ", "a b", "déjà", "a\n", "\x7f", "~"])
BODIES = st.sampled_from([b"{}", b"", b"x" * 4096, b"x" * 4097, bytearray(b"{}")])
LETTERS = st.lists(
    st.builds(Letter, TOKENS | st.just(b"\xab" * 32), IDS, BODIES | st.just(b"{}"), COLLAPSE), max_size=6
)
FORMS = st.builds(
    Notification,
    payload=st.just(b"{}"),
    push_type=st.sampled_from([PushType.ALERT, PushType.VOIP]),
    expiration=st.none() | st.just(1_900_000_000),
)


def made(form: Notification, letters: list[Any]) -> tuple[object, ...]:
    """All that can be told of it, letters by their place."""
    try:
        jobs, refused = jobs_of(form.prepare(), TEMPLATE, letters)
    except Exception as error:
        return type(error), str(error)
    places = {id(letter): place for place, letter in enumerate(letters)}
    values = [[getattr(job, name) for name in Job.__struct_fields__ if name != "tag"] for job in jobs]
    types = [[type(value) for value in each] for each in values]
    wrong = [(places[id(letter)], type(error), str(error)) for letter, error in refused]
    return values, types, [places[id(job.tag)] for job in jobs], wrong


@given(form=FORMS, letters=LETTERS)
@settings(max_examples=300, deadline=None)
def test_the_same_jobs(form: Notification, letters: list[Letter]) -> None:
    """Whatever token, id, body and collapse id: the same jobs in the same order, and the same refusals."""
    with pure():
        expected = made(form, letters)
    assert made(form, letters) == expected


def test_an_unset_field() -> None:
    """A letter whose field was deleted raises as in Python."""
    letters = [Letter(), Letter()]
    del letters[1].payload
    with pure():
        expected = made(Notification(payload=b"{}"), letters)
    assert made(Notification(payload=b"{}"), letters) == expected
    assert expected[0] is AttributeError


def test_letters_without_slots() -> None:
    """A class of letters that the twin cannot read is read by Python."""
    letters: list[Any] = [Loose(), Letter(), Loose()]
    jobs, refused = jobs_of(Notification(payload=b"{}").prepare(), TEMPLATE, letters)
    assert [job.tag for job in jobs] == letters
    assert refused == []


def test_letters_of_two_classes() -> None:
    """One of another class than the first is read by Python, the ones after it by the twin."""

    class Other(Letter):
        pass

    letters = [Letter(), Other(token=b""), Letter(collapse_id=SHARED)]
    jobs, refused = jobs_of(Notification(payload=b"{}").prepare(), TEMPLATE, letters)
    assert [job.tag for job in jobs] == [letters[0], letters[2]]
    assert [letter for letter, _ in refused] == [letters[1]]
    assert isinstance(refused[0][1], ApnsError)


def test_jobs_are_addressed_together() -> None:
    """All get the deadline and the sink; what is no job is a TypeError, not a crash."""
    address = _accel.twin("address", Job)
    assert address is not None
    assert _twin_of(Letter) is not None
    assert _twin_of(Loose) is None
    jobs, _ = jobs_of(Notification(payload=b"{}").prepare(), TEMPLATE, [Letter(), Letter()])
    outcomes: list[object] = []
    sink = outcomes.append
    address(jobs, 12.5, sink)
    assert [(job.deadline, job.sink) for job in jobs] == [(12.5, sink)] * 2
    with pytest.raises(TypeError, match="no whole job"):
        address([jobs[0], Letter()], 1.0, sink)
