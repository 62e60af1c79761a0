"""What is not even tried: devices that are left alone after a 429, and tokens that APNs refused (section 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.live import Live, living

from heliogram.delivery.resting import MOST, Resting

pytestmark = pytest.mark.anyio

ACCOUNT = b"a" * 16


def number(n: int) -> bytes:
    return n.to_bytes(4, "big")


def test_so_many_devices_are_kept_in_mind_and_no_more() -> None:
    """At the bound all are; one past it the one that was said longest ago is forgotten."""
    resting = Resting()
    for n in range(MOST):
        resting.rest(ACCOUNT, number(n), 200, 100)
    assert (len(resting), resting.until(ACCOUNT, number(0), 100)) == (MOST, 200)
    resting.rest(ACCOUNT, number(MOST), 200, 100)
    assert (len(resting), resting.until(ACCOUNT, number(0), 100)) == (MOST, None)
    assert resting.until(ACCOUNT, number(1), 100) == resting.until(ACCOUNT, number(MOST), 100) == 200


def test_a_device_that_rests_again_is_the_youngest() -> None:
    """And counts once."""
    resting = Resting(most=2)
    for n in (0, 1, 0, 2):
        resting.rest(ACCOUNT, number(n), 200, 100)
    assert [resting.times(ACCOUNT, number(n)) for n in range(3)] == [2, 0, 1]


@pytest.fixture
async def live(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with living(tmp_path) as live:
        yield live


async def test_a_429_holds_every_push_to_the_device(live: Live) -> None:
    """`TooManyRequests`: what else is sent to it waits without being tried; other devices, and this one afterwards,
    get theirs."""
    await live.credential()
    (_, busy), (_, other) = live.phone(), live.phone()
    live.simulator.faults.add(reason="TooManyRequests", token=busy, next=1)
    first = await live.send(busy)
    await live.deliver()
    second, third = await live.send(busy), await live.send(other)
    wire = len(live.simulator.requests(100))
    await live.deliver()
    assert len(live.simulator.requests(100)) == wire + 1
    (waiting,), (gone,) = await live.deliveries(second), await live.deliveries(third)
    assert (waiting["outcome"], waiting["reason"], waiting["attempt"]) == ("NOT_SENT", "TooManyRequests", 0)
    assert gone["outcome"] == "ACCEPTED"
    live.clock.advance(30)
    await live.deliver()
    for operation in (first, second):
        (delivery,) = await live.deliveries(operation)
        assert delivery["outcome"] == "ACCEPTED"


async def test_a_token_refused_before_is_not_tried_again_until_it_is_registered(live: Live) -> None:
    """LIFE-9: whoever sends to it directly is told at once what APNs said; a registration ends that, and so does a
    day."""
    await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason="BadDeviceToken", token=token, next=1)
    await live.send(token)
    await live.deliver()
    wire = len(live.simulator.requests(100))
    again = await live.send(token)
    await live.deliver()
    (delivery,) = await live.deliveries(again)
    assert (delivery["outcome"], delivery["final"]) == ("NOT_SENT", True)
    assert delivery["reason"].startswith("RefusedBefore: ")
    assert "BadDeviceToken" in delivery["reason"]
    assert len(live.simulator.requests(100)) == wire
    body = {"appName": "shop", "token": token, "provider": "APN", "environment": "production"}
    await live.post("/DeviceRegistrations", body)
    sent = await live.send(token)
    await live.deliver()
    (delivery,) = await live.deliveries(sent)
    assert delivery["outcome"] == "ACCEPTED"


@pytest.mark.parametrize(("seconds", "outcome"), [(86_399, "NOT_SENT"), (86_400, "ACCEPTED")])
async def test_a_refusal_is_believed_for_a_day(live: Live, seconds: int, outcome: str) -> None:
    """LIFE-9: one push a day to a dead token does no harm; it may have been for a wrong topic, put right since."""
    await live.credential()
    _, token = live.phone()
    live.simulator.faults.add(reason="BadDeviceToken", token=token, next=1)
    await live.send(token)
    await live.deliver()
    live.clock.advance(seconds)
    operation = await live.send(token)
    await live.deliver()
    (delivery,) = await live.deliveries(operation)
    assert delivery["outcome"] == outcome
