"""Places for figures that go on by themselves, and who gets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.dashboard_in_process import desk

from heliogram.web.streams import MAX_STREAMS, Seat, Streams


def seats(streams: Streams, account: str, count: int) -> list[Seat]:
    """So many places, all of which there are."""
    found = [seat for seat in (streams.take(account) for _ in range(count)) if seat is not None]
    assert len(found) == count
    return found


def test_one_account_may_have_all_while_nobody_else_wants_one() -> None:
    """And no more than all."""
    streams = Streams()
    seats(streams, "a", MAX_STREAMS)
    assert streams.open == MAX_STREAMS
    assert not streams.has_room("a")
    assert streams.take("a") is None


def test_another_account_gets_its_share() -> None:
    """The oldest places of the account that has most, until both have as many: nobody locks anybody out."""
    streams = Streams(10)
    first = seats(streams, "a", 10)
    second = seats(streams, "b", 5)
    assert [seat.taken for seat in first] == [True] * 5 + [False] * 5
    assert not streams.has_room("b")
    assert streams.take("b") is None
    (third,) = seats(streams, "c", 1)
    assert sum(seat.taken for seat in (*first, *second)) == 6
    assert (streams.open, third.taken) == (10, False)
    assert streams.take("a") is None


def test_who_has_most_cannot_take_what_was_given_to_another() -> None:
    """Its browsers ask again and again."""
    streams = Streams(3)
    seats(streams, "a", 3)
    (seat,) = seats(streams, "b", 1)
    assert [streams.take("a") for _ in range(5)] == [None] * 5
    assert not seat.taken


def test_as_many_accounts_as_places_have_one_each() -> None:
    """One more finds none: there is nobody who has more than one."""
    streams = Streams(3)
    for name in "aaabc":
        assert streams.take(name) is not None
    assert not streams.has_room("d")
    assert streams.take("d") is None


def test_a_place_is_given_back_once() -> None:
    """One that was taken is another's already."""
    streams = Streams(2)
    old, new = seats(streams, "a", 2)
    (other,) = seats(streams, "b", 1)
    for seat in (old, new, other):
        streams.give(seat)
    assert (streams.open, repr(streams)) == (0, "Streams(open=0/2, accounts=0)")


@pytest.mark.anyio
async def test_a_browser_that_finds_no_place_is_told_when_to_ask_again(tmp_path: Path) -> None:
    """And the page itself goes on without live figures."""
    async with desk(tmp_path) as at:
        browser = await at.signed_in()
        seats(at.streams, at.service.account.hex(), MAX_STREAMS)
        answer = await browser.get("/dashboard/overview/events")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert (await browser.get("/dashboard/")).status_code == 200
