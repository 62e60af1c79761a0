"""The list of what clients did against the rules."""

from __future__ import annotations

import pytest
from support.sim_client import Clock

from heliogram.simulator.feed import Feed
from heliogram.simulator.violations import TEXT_LIMIT, Violations

pytestmark = pytest.mark.anyio


def test_newest_first_with_what_is_known() -> None:
    """A violation is listed with its moment, connection, rule, sentence, request and details."""
    clock = Clock(0.5)
    violations = Violations(10, clock, Feed())
    violations.add(1, "CONN-14", "two streams at once", streams=2, host=None)
    clock.move(1)
    violations.add(2, "TOK-9", "a young token", request=7, apns_id="an-id")
    newest, oldest = violations.latest()
    assert (newest.at, newest.connection, newest.rule, newest.text) == (
        "1970-01-01T00:00:01.500Z",
        2,
        "TOK-9",
        "a young token",
    )
    assert (newest.request, newest.apns_id, newest.details) == (7, "an-id", {})
    assert (oldest.request, oldest.apns_id, oldest.details) == (None, None, {"streams": 2})
    assert str(oldest) == "CONN-14: two streams at once"


def test_the_latest_are_kept_and_all_are_counted() -> None:
    """The ring holds as many as it may; the counters know of all; both are empty after clear."""
    violations = Violations(2, Clock(), Feed())
    for number in range(3):
        violations.add(number, "TOK-9" if number else "TOK-8", "x")
    assert [one.connection for one in violations.latest()] == [2, 1]
    assert violations.by_rule == {"TOK-9": 2, "TOK-8": 1}
    assert (len(violations), violations.total) == (2, 3)
    violations.clear()
    assert (len(violations), violations.total, violations.latest()) == (0, 0, [])


def test_the_list_can_be_narrowed() -> None:
    """By number, rule, connection and request; by request also as sentences."""
    violations = Violations(10, Clock(), Feed())
    violations.add(1, "TOK-9", "a", request=1)
    violations.add(1, "TOK-8", "b", request=1)
    violations.add(2, "TOK-9", "c")
    assert [one.text for one in violations.latest(1)] == ["c"]
    assert [one.text for one in violations.latest(rule="TOK-9")] == ["c", "a"]
    assert [one.text for one in violations.latest(connection=1)] == ["b", "a"]
    assert [one.text for one in violations.latest(request=1)] == ["b", "a"]
    assert violations.by_request() == {1: ["TOK-9: a", "TOK-8: b"]}


def test_what_a_request_did_leaves_with_the_ring() -> None:
    """By request there is never more than what is kept."""
    violations = Violations(2, Clock(), Feed())
    for number, text in ((1, "a"), (1, "b"), (2, "c")):
        violations.add(1, "TOK-9", text, request=number)
    assert violations.by_request() == {1: ["TOK-9: b"], 2: ["TOK-9: c"]}
    violations.add(1, "TOK-9", "d")
    assert violations.by_request() == {2: ["TOK-9: c"]}
    violations.clear()
    assert violations.by_request() == {}


def test_long_texts_are_cut() -> None:
    """What a client sent may stand in a sentence or a detail: both have a bound."""
    violations = Violations(10, Clock(), Feed())
    violations.add(1, "TOK-9", "x" * (TEXT_LIMIT + 1), header="y" * (TEXT_LIMIT + 1))
    (one,) = violations.latest()
    assert one.text == "x" * TEXT_LIMIT
    assert one.details == {"header": "y" * TEXT_LIMIT}


async def test_whoever_watches_hears_of_it() -> None:
    """The feed gets each violation as it is readable."""
    feed = Feed()
    violations = Violations(10, Clock(), feed)
    violations.add(1, "TOK-9", "before anybody listens")
    subscription = feed.subscribe()
    violations.add(1, "TOK-9", "now")
    (event,) = await subscription.take()
    assert (event.kind, event.data) == ("violation", violations.latest(1)[0])
