"""How credentials do, as several processes write it down and any of them reads it."""

from __future__ import annotations

import pytest
from support.stores import Bench

from heliogram.ports import Failing, LastAnswer, Standing
from heliogram.ports.health import SILENT_MS

pytestmark = pytest.mark.anyio

ONE, OTHER = b"\1" * 16, b"\2" * 16
NOW = 1_000_000_000


def refused(since: int, *, reason: str = "InvalidProviderToken", probe_at: int = NOW + 30_000) -> Failing:
    return Failing(reason=reason, since=since, probe_at=probe_at)


async def standing(bench: Bench, credential: bytes, *, now: int = NOW, but: bytes = b"") -> Standing | None:
    return (await bench.store.credential_standings(bench.account, now, but=but)).get(credential)


async def test_what_one_process_knows_all_can_read(bench: Bench) -> None:
    """Of the account's own credentials alone."""
    made = await bench.app()
    await bench.store.tell_troubles(ONE, {(bench.account, made.id): refused(NOW - 5)}, NOW)
    assert await standing(bench, made.id) == Standing(failing=refused(NOW - 5))
    assert await bench.store.credential_standings(OTHER, NOW) == {}


async def test_a_credential_fails_while_any_process_says_so(bench: Bench) -> None:
    """Since when and why is told by the one that has known it longest; the next try is the first of all."""
    made = await bench.app()
    place = bench.account, made.id
    await bench.store.tell_troubles(ONE, {place: refused(NOW - 5, probe_at=NOW + 10)}, NOW)
    await bench.store.tell_troubles(OTHER, {place: refused(NOW - 9, reason="Unreachable", probe_at=NOW + 20)}, NOW)
    both = await standing(bench, made.id)
    assert both == Standing(failing=refused(NOW - 9, reason="Unreachable", probe_at=NOW + 10))
    assert await standing(bench, made.id, but=OTHER) == Standing(failing=refused(NOW - 5, probe_at=NOW + 10))
    await bench.store.tell_troubles(OTHER, {}, NOW)
    assert await standing(bench, made.id) == Standing(failing=refused(NOW - 5, probe_at=NOW + 10))
    await bench.store.tell_troubles(ONE, {}, NOW)
    assert await standing(bench, made.id) is None


async def test_a_process_says_all_it_knows_at_once(bench: Bench) -> None:
    """What it does not repeat is over."""
    first, second = await bench.app("one"), await bench.app("two")
    told = {(bench.account, each.id): refused(NOW - 5) for each in (first, second)}
    await bench.store.tell_troubles(ONE, told, NOW)
    await bench.store.tell_troubles(ONE, {(bench.account, second.id): refused(NOW - 5, probe_at=NOW + 1)}, NOW + 1)
    assert await standing(bench, first.id) is None
    assert await standing(bench, second.id) == Standing(failing=refused(NOW - 5, probe_at=NOW + 1))


async def test_a_process_that_is_silent_for_a_minute_counts_no_more(bench: Bench) -> None:
    """And what it said is removed."""
    made = await bench.app()
    await bench.store.tell_troubles(ONE, {(bench.account, made.id): refused(NOW - 5)}, NOW)
    assert await standing(bench, made.id, now=NOW + SILENT_MS) is not None
    assert await standing(bench, made.id, now=NOW + SILENT_MS + 1) is None
    assert await bench.store.forget_troubles(NOW) == 0
    assert await bench.store.forget_troubles(NOW + 1) == 1
    assert await standing(bench, made.id) is None


async def test_the_last_answer_is_the_latest_of_all(bench: Bench) -> None:
    """Whoever writes last; the last success is kept beside it."""
    made = await bench.app()
    place = bench.account, made.id
    await bench.store.tell_answers({place: LastAnswer(at=NOW, status=200, succeeded=NOW)})
    await bench.store.tell_answers({place: LastAnswer(at=NOW + 2, status=410, reason="Unregistered")})
    await bench.store.tell_answers({place: LastAnswer(at=NOW + 1, status=200, succeeded=NOW + 1)})
    last = LastAnswer(at=NOW + 2, status=410, reason="Unregistered", succeeded=NOW + 1)
    assert await standing(bench, made.id) == Standing(answer=last)


async def test_an_answer_without_a_success_says_so(bench: Bench) -> None:
    """Of a credential that never worked, nothing is made up."""
    made = await bench.app()
    await bench.store.tell_answers({(bench.account, made.id): LastAnswer(at=NOW, status=403, reason="Bad\0Word")})
    assert await standing(bench, made.id) == Standing(answer=LastAnswer(at=NOW, status=403, reason="BadWord"))


async def test_a_credential_that_is_gone_is_passed_over(bench: Bench) -> None:
    """And what was said of it goes with it."""
    made, gone = await bench.app("one"), await bench.app("two")
    places = [(bench.account, each.id) for each in (made, gone)]
    for _ in range(2):
        await bench.store.tell_troubles(ONE, dict.fromkeys(places, refused(NOW)), NOW)
        await bench.store.tell_answers(dict.fromkeys(places, LastAnswer(at=NOW, status=200, succeeded=NOW)))
        assert await standing(bench, made.id) is not None
        await bench.store.delete_credential(bench.account, gone.id, NOW)
        assert await standing(bench, gone.id) is None
