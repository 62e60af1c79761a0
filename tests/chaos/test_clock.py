"""The clock on the wall is set on and back under the whole service: nothing is lost, doubled or put off by the step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.live import Live, living
from support.oracle import Received

from heliogram.delivery.worker import Worker
from heliogram.domain.operations import Lane

pytestmark = pytest.mark.anyio

HOUR = 3600.0
DAY = 24 * HOUR
REFUSED = "InvalidProviderToken"


class Working:
    """The service with a worker, whose clock is moved by the test."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.clock = live.clock
        self.worker = Worker(live.tools, [Lane.TX], slots=4)
        self.task = asyncio.create_task(self.worker.run())

    async def pass_by(self, seconds: float) -> None:
        """Time passes, in steps in which everything gets its turn."""
        while seconds > 0:
            self.clock.advance(min(1.0, seconds))
            seconds -= 1.0
            await self.rest()

    async def rest(self) -> None:
        """Until the worker waits for the clock again, and nothing is on disk's or the wire's side."""
        for _ in range(2):
            await self.live.service.store.forget_idempotency(0)  # waits its turn with all writes, and forgets nothing
            await asyncio.to_thread(lambda: None)

    async def until_sent(self, operation: str, seconds: int) -> None:
        """Lets time pass until all of it is SENT, at most so long."""
        for _ in range(seconds):
            if await self.is_sent(operation, looks=2):
                return
            await self.pass_by(1)
        assert await self.is_sent(operation), repr(await self.live.deliveries(operation))

    async def is_sent(self, operation: str, *, looks: int = 500) -> bool:
        for _ in range(looks):  # what the last second made due is on its way
            stats = (await self.live.get(f"/Operations/{operation}"))["stats"]
            if stats["sent"] == stats["recipients"]:
                return True
            await self.rest()
        return False

    def received(self) -> Received:
        return Received().look(self.live.simulator)

    async def stop(self) -> None:
        self.worker.drain()
        await self.live.service.queue.close()
        await self.task


@pytest.fixture
async def working(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Working]:
    async with living(tmp_path) as live:
        await live.credential()
        made = Working(live)
        yield made
        await made.stop()


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


@pytest.mark.parametrize("step", [HOUR, 29 * DAY, -HOUR, -29 * DAY])
async def test_what_is_on_the_wire_is_not_sent_again(working: Working, step: float) -> None:
    """The lease of a chunk that is under way seems to be over, or to hold for a month: its worker keeps it."""
    live = working.live
    tokens = [live.phone()[1] for _ in range(20)]
    await working.until_sent(await live.send(tokens[0]), 5)  # the connection is there, and all may use it
    live.simulator.faults.add(delay_ms=1_000)
    operation = await live.send(*tokens)
    await live.until(lambda: _open_streams(live) == len(tokens) or working.received().accepted.total() > 1)
    working.clock.step(step)
    await working.pass_by(3)
    await live.until(lambda: not _open_streams(live))
    await working.until_sent(operation, 5)
    assert {delivery["attempt"] for delivery in await live.deliveries(operation)} == {1}
    assert (working.received().accepted.total(), working.received().duplicates) == (len(tokens) + 1, {})


@pytest.mark.parametrize("step", [-30, -HOUR, -29 * DAY])
async def test_a_retry_is_not_put_off_by_a_step_back(working: Working, step: float) -> None:
    """APNs asked for 30 s: it is tried again once these, or at most as many again, have passed."""
    live = working.live
    _, token = live.phone()
    live.simulator.faults.add(status=503, reason="ServiceUnavailable", next=1, retry_after="30")
    operation = await live.send(token)
    await live.until(lambda: working.received().refused)
    await working.pass_by(1)
    working.clock.step(step)
    await working.until_sent(operation, 60)
    (delivery,) = await live.deliveries(operation)
    assert delivery["attempt"] == 2


async def test_a_probe_is_not_put_off_by_a_step_back(working: Working) -> None:
    """What waits for a credential is tried when it was to be."""
    live = working.live
    _, token = live.phone()
    live.simulator.faults.add(reason=REFUSED)
    operation = await live.send(token)
    await live.until(lambda: working.received().refused.total() == 2)
    await working.pass_by(1)
    live.simulator.faults.clear()
    working.clock.step(-HOUR)
    await working.until_sent(operation, 60)


@pytest.mark.parametrize("step", [-HOUR, -29 * DAY])
async def test_what_comes_after_a_step_back_leaves_at_once(working: Working, step: float) -> None:
    """And under an id of its own."""
    live = working.live
    _, token = live.phone()
    before = await live.send(token)
    await working.until_sent(before, 5)
    working.clock.step(step)
    after = await live.send(token)
    await working.until_sent(after, 5)
    assert before != after
    assert (working.received().accepted.total(), working.received().duplicates) == (2, {})


async def test_what_is_scheduled_goes_by_the_wall(working: Working) -> None:
    """A step on brings its time, a step back takes it away, and it is sent once."""
    live = working.live
    _, token = live.phone()
    at = working.clock.time() + 2 * HOUR
    operation = await live.send(token, schedule={"sendAt": [moment(at)]})
    working.clock.step(HOUR)
    await working.pass_by(2)
    assert not working.received().accepted
    working.clock.step(-HOUR)
    working.clock.step(2 * HOUR)
    await working.until_sent(operation, 5)
    working.clock.step(-2 * HOUR)
    await working.pass_by(5)
    assert working.received().accepted.total() == 1


async def test_unfinished_work_is_kept_however_far_the_clock_is_set_on(working: Working) -> None:
    """29 days on, retention takes what has ended, and nothing that waits."""
    live = working.live
    _, token = live.phone()
    ended = await live.send(token)
    await working.until_sent(ended, 5)
    waiting = await live.send(token, schedule={"sendAt": [moment(working.clock.time() + 30 * DAY - 60)]})
    working.clock.step(29 * DAY)
    now = working.clock.ms
    place: bytes | None = None
    while True:
        removal = await live.service.store.remove_ended(now - 7 * 86_400_000, now, after=place)
        place = removal.next
        if place is None:
            break
    await live.get(f"/Operations/{ended}", expect=404)
    assert (await live.get(f"/Operations/{waiting}"))["stats"]["scheduled"] == 1


async def test_a_request_that_comes_again_is_not_done_twice(working: Working) -> None:
    """An idempotency key stands for its request when the clock was set back, too."""
    live = working.live
    _, token = live.phone()
    body = {"to": [{"token": token, "provider": "APN"}], "content": {"body": "Hello"}}

    async def send() -> Any:
        answer = await live.service.client.post("/v1/PushNotifications", json=body, headers={"Idempotency-Key": "once"})
        assert answer.status_code == 202, answer.text
        return answer.json()["operationId"]

    first = await send()
    working.clock.step(-HOUR)
    assert await send() == first
    working.clock.step(2 * HOUR)
    assert await send() == first


def _open_streams(live: Live) -> int:
    return sum(each.wire.open_streams for each in live.simulator.listeners["production"].connections)
