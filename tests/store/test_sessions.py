"""Sessions of the dashboard that somebody signed out of."""

from __future__ import annotations

import pytest
from support.stores import Bench

from heliogram.ports.sessions import MAX_ENDED

pytestmark = pytest.mark.anyio


async def test_an_ended_session_is_remembered_of_its_account(bench: Bench) -> None:
    """Of that account alone; to end it twice changes nothing."""
    store, later = bench.store, bench.clock.ms + 1000
    assert not await store.is_session_ended(bench.account, "a")
    for _ in range(2):
        await store.end_session(bench.account, "a", later)
    assert await store.is_session_ended(bench.account, "a")
    assert not await store.is_session_ended(bench.account, "b")
    assert not await store.is_session_ended(b"other account id", "a")


async def test_it_is_forgotten_when_it_would_have_ended(bench: Bench) -> None:
    """To the millisecond: until then its cookie would open the door again."""
    store, now = bench.store, bench.clock.ms
    await store.end_session(bench.account, "a", now + 1)
    assert await store.forget_sessions(now) == 0
    assert await store.is_session_ended(bench.account, "a")
    assert await store.forget_sessions(now + 1) == 1
    assert not await store.is_session_ended(bench.account, "a")


async def test_so_many_of_an_account_are_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one more the one that would have ended first is forgotten."""
    assert MAX_ENDED == 10_000
    monkeypatch.setattr("heliogram.store.sqlite.sessions.MAX_ENDED", 3)
    for number in range(4):
        await bench.store.end_session(bench.account, str(number), bench.clock.ms + number)
        known = [await bench.store.is_session_ended(bench.account, str(each)) for each in range(4)]
        assert known == [max(0, number - 2) <= each <= number for each in range(4)]
