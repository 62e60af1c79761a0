"""The twins in C of a campaign's inner loops plan, write, tell and record the same as the Python code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.twins import native_only, pure

from heliogram import _accel, apns
from heliogram.delivery import plan as plans
from heliogram.delivery import rendering, waiting
from heliogram.delivery.choices import Credentials
from heliogram.delivery.plan import Plan, Progress, Target
from heliogram.delivery.providers.apns import forms, results
from heliogram.delivery.providers.apns.forms import by_form
from heliogram.delivery.providers.apns.results import results_of
from heliogram.domain import ids
from heliogram.domain.apps import CredentialType, Environment, ProviderName
from heliogram.domain.content import Content
from heliogram.domain.devices import Device, Reached
from heliogram.domain.notifications import DeliveryRecord, Outcome, Recipient, SendSpec
from heliogram.domain.operations import Lane
from heliogram.domain.render import Renderer
from heliogram.ports import LeasedChunk, Push, PushResult

pytestmark = native_only

NOW = 1_700_000_000_000
OPERATION = ids.make(NOW, 5, 7)
TOKENS = [bytes([n]) * 32 for n in range(6)]
USERS = [bytes([n]) * 16 for n in range(1, 5)]
BOTH = {CredentialType.APN: b"p" * 16, CredentialType.APN_SANDBOX: b"s" * 16}
ENVIRONMENTS = st.none() | st.sampled_from(list(Environment))
PROVIDERS = st.sampled_from([ProviderName.APN, ProviderName.APN, ProviderName.APN, ProviderName.FCM])


def chunk(recipients: list[Recipient], spec: SendSpec, first: int = 0) -> LeasedChunk:
    return LeasedChunk(
        account_id=b"a" * 16,
        id=ids.notification_id(OPERATION, first),
        operation_id=OPERATION,
        lane=Lane.BULK,
        shard=0,
        flow=b"flow",
        attempt=1,
        until=NOW,
        first=first,
        recipients=recipients,
        records=[],
        spec=spec,
        created=NOW,
        start=NOW,
        claimed=NOW,
    )


def told(make: Callable[[], object]) -> object:
    """What comes of it, an error told by its class and words."""
    try:
        return make()
    except Exception as error:
        return type(error), str(error)


def both(make: Callable[[], object]) -> tuple[object, object]:
    """What Python makes, and what the twins do."""
    with pure():
        expected = told(make)
    return expected, told(make)


# ---- planning

REACHED = st.builds(Reached, st.integers(1, 63), st.sampled_from(TOKENS), PROVIDERS, ENVIRONMENTS)
DEVICES = st.lists(REACHED | st.just(Device(3, TOKENS[5], ProviderName.APN)), max_size=3)
PLANNED = (
    st.builds(Recipient, token=st.sampled_from(TOKENS), provider=PROVIDERS)
    | st.builds(Recipient, user=st.sampled_from(USERS))
    | st.just(Recipient(channel="Y2hhbm5lbA=="))
)
CREDENTIALS = st.sampled_from(
    [
        Credentials({}),
        Credentials(BOTH),
        Credentials({CredentialType.APN: b"p" * 16}),
        Credentials({}, b"n" * 16, CredentialType.APN_SANDBOX),
    ]
)


def planned(
    credentials: Credentials, recipients: list[Recipient], users: Any, tokens: Any, earlier: list[DeliveryRecord]
) -> object:
    spec = SendSpec(app_name="app", content=Content(body="Hi"), environment=Environment.SANDBOX)
    plan = Plan(spec, credentials, now=NOW)
    plan.take(list(enumerate(recipients, 3)), range(len(recipients)), users, tokens, Progress(earlier))
    return [msgspec.structs.astuple(target) for target in plan.targets], plan.records


@given(
    CREDENTIALS,
    st.lists(PLANNED, max_size=8),
    st.dictionaries(st.sampled_from(USERS), DEVICES),
    st.dictionaries(st.sampled_from(TOKENS), st.sampled_from(list(Environment))),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_same_targets(
    credentials: Credentials, recipients: list[Recipient], users: Any, tokens: Any, again: bool
) -> None:
    """Users, tokens and channels of known and unknown environments: the same targets in the same order, and the same
    records of who is not tried."""
    earlier = [DeliveryRecord(sequence=4, slot=0, outcome=Outcome.NOT_SENT, final=False, at=NOW, retry_at=NOW)]
    expected, got = both(lambda: planned(credentials, recipients, users, tokens, earlier if again else []))
    assert got == expected


# ---- writing

TEXTS = st.text(max_size=8) | st.sampled_from(['"', "\\", "\x7f", "\n", "déjà", "\ud800", "", "Ada", "x" * 5000])
VALUES = TEXTS | st.none() | st.integers() | st.booleans() | st.lists(TEXTS, max_size=2)
VARIABLES = st.none() | st.dictionaries(st.sampled_from(["name", "city"]), VALUES)
BODIES = st.sampled_from(
    ["Hello", "Hello {{ name }}", "{{ name | default: 'you' }}{{city}}", "{{ a }}" * 9, "{{ name }} in {{ city }}, so"]
)
SPECS = st.builds(
    SendSpec,
    app_name=st.just("app"),
    content=st.builds(Content, title=st.none() | BODIES, body=BODIES),
    expires_at=st.none() | st.just(NOW + 5_000),
    collapse_id=st.none() | st.just("score"),
    push_type=st.sampled_from(["alert", "background"]),
    topic=st.none() | st.just("com.example.other"),
)
TERMS = st.builds(
    rendering.Terms,
    limit=st.sampled_from([4096, 60]),
    now=st.just(NOW),
    deadline=st.sampled_from([NOW + 1_000, NOW]),
    collapse_by_id=st.booleans(),
)
SLOTS = st.lists(st.integers(0, 63), min_size=1, max_size=3)


def written(spec: SendSpec, of: list[tuple[Any, list[int]]], terms: rendering.Terms) -> object:
    first = 16_383 - len(of)
    recipients = [Recipient(user=USERS[0], variables=variables) for variables, _ in of]
    targets = [
        Target(first + place, slot, TOKENS[slot % 6], ProviderName.APN, None, b"c")
        for place, (_, slots) in enumerate(of)
        for slot in slots
    ]
    rendered = rendering.render(Renderer(spec), chunk(recipients, spec, first), targets, terms)
    values = [msgspec.structs.astuple(push) for push in rendered.pushes]
    same = [push.collapse_id is push.apns_id for push in rendered.pushes]
    return values, same, [(target.sequence, target.slot, why) for target, why in rendered.refused]


@given(SPECS, st.lists(st.tuples(VARIABLES, SLOTS), max_size=5), TERMS)
@settings(max_examples=400, deadline=None)
def test_the_same_pushes(spec: SendSpec, of: list[tuple[Any, list[int]]], terms: rendering.Terms) -> None:
    """Whatever the variables, slots, limits and terms: the same pushes in the same order, and the same refusals."""
    expected, got = both(lambda: written(spec, of, terms))
    assert got == expected


@pytest.mark.parametrize("count", [7, 8])
def test_many_tags(count: int) -> None:
    """Up to 16 pieces are put together by the twin, 17 by Python: there is no difference."""
    spec = SendSpec(app_name="app", content=Content(body="{{ name }}," * count))
    terms = rendering.Terms(limit=4096, now=NOW, deadline=NOW + 1, collapse_by_id=True)
    expected, got = both(lambda: written(spec, [({"name": "Ada"}, [0, 1])], terms))
    assert got == expected


def push(**own: Any) -> Push:
    return Push(**{"tag": None, "token": b"t", "apns_id": "i", "payload": b"{}"} | own)


@given(st.lists(st.builds(lambda p, t: push(priority=p, topic=t), st.sampled_from([5, 10]), st.none() | st.just("x"))))
@settings(max_examples=100, deadline=None)
def test_the_same_forms(pushes: list[Push]) -> None:
    """Neighbours that share all but what is their own are one group."""
    expected, got = both(lambda: [[id(each) for each in group] for group in by_form(pushes)])
    assert got == expected


# ---- telling and recording

TARGETS = st.builds(
    Target,
    st.integers(0, 9),
    st.integers(0, 63),
    st.sampled_from(TOKENS),
    st.just(ProviderName.APN),
    ENVIRONMENTS,
    st.sampled_from([b"c" * 16, b"d" * 16]),
    st.integers(1, 3),
    st.integers(1, 4),
)
SENT = st.builds(lambda target: push(tag=target), TARGETS)
ANSWERS = (
    st.builds(apns.Accepted, st.just("t"), st.just("i"), st.none() | st.just("unique"), SENT, st.none() | st.just(7))
    | st.builds(apns.Rejected, st.just("t"), st.just("i"), st.just(410), st.just("Unregistered"), st.just(5), tag=SENT)
    | st.builds(apns.NotSent, st.just("t"), st.just("i"), st.just("closed"), SENT)
)


@given(st.lists(ANSWERS, max_size=6))
@settings(max_examples=200, deadline=None)
def test_the_same_results(outcomes: list[apns.Outcome]) -> None:
    """Whatever became of pushes: the same results, in the same order."""
    expected, got = both(lambda: results_of(outcomes))
    assert got == expected


ACCEPTED = st.builds(
    lambda tag, wire_ms, unique: PushResult(
        tag=tag, outcome=Outcome.ACCEPTED, status=200, wire_ms=wire_ms, unique_id=unique, works=True
    ),
    TARGETS,
    st.sampled_from([0, 3, 40, 100_000]),
    st.sampled_from(["", "unique"]),
)


@given(st.lists(ACCEPTED, max_size=6), st.integers(-5, 5_000))
@settings(max_examples=200, deadline=None)
def test_the_same_records(accepted: list[PushResult], later: int) -> None:
    """Whatever was accepted, and with whatever clock: the same records, in the same order."""
    leased = chunk([], SendSpec(app_name="app", content=Content(body="Hi")))
    expected, got = both(lambda: waiting.records_of_accepted(leased, accepted, NOW + later))
    assert got == expected


def test_a_result_of_something_else() -> None:
    """A result whose tag is no target is not recorded by the twin, which says so."""
    odd = PushResult(tag=object(), outcome=Outcome.ACCEPTED)
    assert waiting._records([odd], NOW, NOW) is None


def test_arguments_are_checked() -> None:
    """What is no list, or a model of another class, is a TypeError, not a crash."""
    calls: tuple[Callable[[], object], ...] = (
        lambda: waiting._records((), NOW, NOW),
        lambda: plans._targets([], 0, 0, [], {}, (), []),
        lambda: rendering._write([], 0, [], 0, "short", None, None, 9, push(), True, []),
        lambda: rendering._write([], 0, [], 0, "0" * 31, None, None, 9, object(), True, []),
    )
    for call in calls:
        with pytest.raises(TypeError):
            call()
    wrong = _accel.twin("results", apns.Accepted, Push, PushResult, push(), results_of, "", 0)
    with pytest.raises(TypeError, match="model"):
        wrong([])


def test_they_are_at_work() -> None:
    """Where the accelerator is built, each loop has its twin: no class has changed its layout unnoticed."""
    assert None not in (plans._targets, rendering._write, forms._same, results._results, waiting._records)
