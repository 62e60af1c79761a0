"""References that were put aside for want of a slot: whose turn it is, and what looking costs those that go past."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliogram.domain.operations import Lane
from heliogram.ports import ChunkRef
from heliogram.queue.nats.aside import Aside, Delivered

ACCOUNT, OTHER = b"a" * 16, b"b" * 16


def message(number: int, flow: bytes, at: float | None = None) -> Delivered:
    ref = ChunkRef(id=number.to_bytes(16, "big"), lane=Lane.TX, shard=0, flow=flow, attempt=1)
    return Delivered(ref, f"$JS.ACK.{number}", number if at is None else at)


def short_of(*names: bytes) -> Callable[[Delivered], bytes | None]:
    """What has all that it may have: accounts before queues, as where slots are counted."""

    def is_short(each: Delivered) -> bytes | None:
        return next((name for name in (each.ref.flow[:16], each.ref.flow) if name in names), None)

    return is_short


def test_of_those_that_may_go_the_first_goes() -> None:
    """Whatever they were put aside for; those of a queue in their order, and those that may not stay."""
    aside, shop, news, theirs = Aside(), ACCOUNT + b"shop", ACCOUNT + b"news", OTHER + b"shop"
    for number, (flow, short) in enumerate([(shop, shop), (news, ACCOUNT), (theirs, theirs), (shop, ACCOUNT)]):
        aside.add(message(number, flow), short)
    taken = []
    while (found := aside.take(short_of(news))) is not None:
        taken.append(found.at)
    assert taken == [0, 2, 3]
    assert aside.take(short_of(ACCOUNT)) is None
    assert len(aside) == 1
    assert repr(aside) == "Aside(1, short=1)"
    assert aside.take(short_of()) == message(1, news)
    assert not aside
    assert aside.oldest() is None


def test_an_account_without_slots_is_asked_about_once() -> None:
    """However many of its queues wait: what is another's goes past thousands for every push. So is a queue."""
    aside, asked = Aside(), 0
    for number in range(1_000):
        aside.add(message(number, ACCOUNT + b"app%d" % number), ACCOUNT)
        aside.add(message(1_000 + number, OTHER + b"shop"), OTHER + b"shop")
    is_short = short_of(ACCOUNT, OTHER + b"shop")

    def counted(each: Delivered) -> bytes | None:
        nonlocal asked
        asked += 1
        return is_short(each)

    assert aside.take(counted) is None
    assert asked == 2


def test_what_is_taken_out_in_its_time_is_waited_for_no_more() -> None:
    """The oldest first, of whichever account; and who waits is known by what is short."""
    aside = Aside()
    aside.add(message(1, ACCOUNT + b"shop"), ACCOUNT)
    aside.add(message(2, OTHER + b"shop"), OTHER + b"shop")
    aside.add(message(3, ACCOUNT + b"news"), ACCOUNT)
    assert aside.oldest() == message(1, ACCOUNT + b"shop")
    assert aside.has(ACCOUNT + b"shop", ACCOUNT)
    assert not aside.has(OTHER)
    assert [aside.pop() for _ in range(2)] == [
        (message(1, ACCOUNT + b"shop"), ACCOUNT),
        (message(2, OTHER + b"shop"), OTHER + b"shop"),
    ]
    assert not aside.has(OTHER + b"shop", OTHER)
    assert aside.clear() == [message(3, ACCOUNT + b"news")]
    assert not aside.has(ACCOUNT)
    with pytest.raises(StopIteration):
        aside.pop()
