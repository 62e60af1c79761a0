"""Idempotency keys in the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stores import FACTORIES, Bench, opened

from heliogram.domain.accounts import Account
from heliogram.ports import KeptAnswer, KeyTaken, Reserved
from heliogram.store.sqlite import idempotency

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
Found = Reserved | KeptAnswer | KeyTaken


async def reserve(bench: Bench, ident: bytes, key: str = "k", fingerprint: bytes = b"f", hold: int = 1000) -> Found:
    now = bench.clock.ms
    return await bench.store.reserve_key(bench.account, key, fingerprint, ident=ident, now=now, until=now + hold)


def answer(ident: bytes, status: int = 202) -> KeptAnswer:
    return KeptAnswer(ident=ident, status=status, headers=[("location", "there")], sealed=b"closed")


async def test_a_key_is_taken_once(bench: Bench) -> None:
    """While its request is being handled, and for another request ever after."""
    ident, other = bench.ids.new(), bench.ids.new()
    assert await reserve(bench, ident) == Reserved(ident=ident)
    assert await reserve(bench, other) is KeyTaken.IN_USE
    assert await reserve(bench, other, fingerprint=b"g") is KeyTaken.REUSED
    assert await reserve(bench, other, key="another") == Reserved(ident=other)


async def test_the_answer_comes_back_for_a_day(bench: Bench) -> None:
    """Up to the millisecond before 24 hours after the first request."""
    ident, other = bench.ids.new(), bench.ids.new()
    await reserve(bench, ident)
    await bench.store.keep_answer(bench.account, "k", answer(ident))
    bench.clock.advance(DAY - 0.001)
    assert await reserve(bench, other) == answer(ident)
    assert await reserve(bench, other, fingerprint=b"g") is KeyTaken.REUSED
    bench.clock.advance(0.001)
    assert await reserve(bench, other, fingerprint=b"g") == Reserved(ident=other)


async def test_a_request_that_fell_silent_is_taken_over_with_its_id(bench: Bench) -> None:
    """When its time to be handled is over, and not before."""
    ident, other = bench.ids.new(), bench.ids.new()
    await reserve(bench, ident)
    bench.clock.advance(0.999)
    assert await reserve(bench, other) is KeyTaken.IN_USE
    bench.clock.advance(0.001)
    assert await reserve(bench, other) == Reserved(ident=ident, again=True, owner=other.hex())
    assert await reserve(bench, other) is KeyTaken.IN_USE


async def test_a_restart_lets_go_of_every_key(tmp_path: Path, anyio_backend: str) -> None:
    """What a crash left behind need not be waited for, and stays known."""
    for factory in FACTORIES.values():
        async with opened(tmp_path, factory) as bench:
            ident, done = bench.ids.new(), bench.ids.new()
            await reserve(bench, ident)
            await reserve(bench, done, key="done")
            await bench.store.keep_answer(bench.account, "done", answer(done))
        async with opened(tmp_path, factory, bench.clock) as again:
            await again.store.release_all(again.clock.ms)
            assert await reserve(again, again.ids.new(), fingerprint=b"g") is KeyTaken.REUSED
            new = again.ids.new()
            assert await reserve(again, new) == Reserved(ident=ident, again=True, owner=new.hex())
            assert await reserve(again, again.ids.new(), key="done") == answer(done)


async def test_a_key_that_is_freed_is_anybodys(bench: Bench) -> None:
    """The same request gets the same id, in case it was done all the same; another gets its own."""
    ident, other = bench.ids.new(), bench.ids.new()
    await reserve(bench, ident)
    await bench.store.free_key(bench.account, "k", ident)
    assert await reserve(bench, other) == Reserved(ident=ident, again=True, owner=other.hex())
    await bench.store.free_key(bench.account, "k", ident, owner=other.hex())
    assert await reserve(bench, other, fingerprint=b"g") == Reserved(ident=other)


async def test_a_request_that_was_taken_over_says_nothing(bench: Bench) -> None:
    """Neither an answer nor the end of an earlier owner of the key counts."""
    ident, other = bench.ids.new(), bench.ids.new()
    await reserve(bench, ident)
    await bench.store.free_key(bench.account, "k", ident)
    await reserve(bench, other, fingerprint=b"g")
    await bench.store.keep_answer(bench.account, "k", answer(ident))
    await bench.store.free_key(bench.account, "k", ident)
    assert await reserve(bench, ident, fingerprint=b"g") is KeyTaken.IN_USE
    await bench.store.keep_answer(bench.account, "k", answer(other))
    await bench.store.keep_answer(bench.account, "k", answer(other, 400))
    assert await reserve(bench, ident, fingerprint=b"g") == answer(other)


async def test_whoever_was_taken_over_from_says_nothing_of_the_same_request(bench: Bench) -> None:
    """However late its answer comes, and whatever became of the clock: that of the one who took over is kept, once."""
    ident, second, third = (bench.ids.new() for _ in range(3))
    store, account = bench.store, bench.account
    await reserve(bench, ident)
    bench.clock.advance(1)
    await reserve(bench, second)
    assert not await store.keep_answer(account, "k", answer(ident, 400))
    await store.free_key(account, "k", ident)
    assert await reserve(bench, third) is KeyTaken.IN_USE
    bench.clock.advance(1)
    await reserve(bench, third)
    for owner in ("", second.hex()):
        assert not await store.keep_answer(account, "k", answer(ident, 400), owner=owner)
        await store.free_key(account, "k", ident, owner=owner)
    assert await reserve(bench, bench.ids.new()) is KeyTaken.IN_USE
    for _ in range(2):  # as when the connection to the database was lost
        assert await store.keep_answer(account, "k", answer(ident), owner=third.hex())
    late = KeptAnswer(ident=ident, status=400, headers=[], sealed=b"another")
    assert not await store.keep_answer(account, "k", late, owner=second.hex())
    assert await reserve(bench, bench.ids.new()) == answer(ident)


async def test_accounts_have_keys_of_their_own(bench: Bench) -> None:
    """The same text is another key there."""
    made = Account(id=bench.ids.new(), name="other", created=bench.clock.ms)
    await bench.store.create_account(made)
    await reserve(bench, bench.ids.new())
    ident, now = bench.ids.new(), bench.clock.ms
    found = await bench.store.reserve_key(made.id, "k", b"g", ident=ident, now=now, until=now + 1)
    assert found == Reserved(ident=ident)


async def test_old_keys_are_forgotten_a_few_at_a_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reservation takes more away than it adds; those that are still good stay."""
    monkeypatch.setattr(idempotency, "PRUNED", 2)
    for number in range(5):
        await reserve(bench, bench.ids.new(), key=f"old{number}")
        bench.clock.advance(1)
    bench.clock.advance(DAY - 3)  # old0, old1 and old2 are over
    pruned = []
    for number in range(3):
        await reserve(bench, bench.ids.new(), key=f"new{number}")
        counted = await bench.store._read(lambda c: c.execute("SELECT count(*) FROM idempotency").get)  # type: ignore[attr-defined] # no reader of this is worth a method
        pruned.append(counted)
    assert pruned == [4, 4, 5]
