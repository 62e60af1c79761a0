"""References on their way to the broker: each is sent at once, and the broker's word on it is heard later.

There is one of these for every small send, so nothing is made for one that can be shared: no task, no timer, no
subscription. What the broker does not say in time it may yet have got; it knows repeats.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ...ports import ChunkRef, Clock, Timer
from .broker import Broker
from .errors import QueueDown, QueueError
from .link import STATUS, TRY_SECONDS, nobody_for, refusal_of
from .references import message_id, pack

Told = Callable[[QueueError | None], object]
"""Called once: with None when the broker has it, `ApiRefused` when it did not take it, `QueueDown` when it did not
say."""

_ENDED = "NATS did not say whether it has this before it was time to end"


class _Sent(NamedTuple):
    """What is to be heard of: until when (s), where it was sent, whom to tell."""

    until: float
    subject: str
    told: Told


class Publisher:
    """Gives references to the broker, and tells what came of each within `TRY_SECONDS`."""

    def __init__(self, broker: Broker, clock: Clock) -> None:
        self._link, self._layout, self._clock = broker.link, broker.layout, clock
        self._inbox = self._link.new_inbox()
        self._subscription: Subscription | None = None
        self._opening: asyncio.Lock = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._sent: dict[int, _Sent] = {}  # the oldest first
        self._sweeper: Timer | None = None
        self._empty: asyncio.Future[None] | None = None
        self._closed = False
        self.published = 0

    def __repr__(self) -> str:
        return f"Publisher(published={self.published}, waiting={len(self._sent)})"

    async def send(self, ref: ChunkRef, told: Told) -> None:
        """Sends a reference. `told` may be called before this returns, and is once this is closed: it is sent then,
        but not heard of."""
        if self._subscription is None and not self._closed:
            try:
                await self._open()
            except QueueDown as closed:
                told(closed)
                return
        number, subject = next(self._numbers), self._layout.subject(ref.lane, ref.shard)
        self._sent[number] = _Sent(self._clock.monotonic() + TRY_SECONDS, subject, told)
        if self._sweeper is None and not self._closed:
            self._sweeper = self._clock.call_later(TRY_SECONDS, self._sweep)
        headers = {"Nats-Msg-Id": message_id(ref)}
        error = await self._link.try_publish(subject, pack(ref), reply=f"{self._inbox}.{number}", headers=headers)
        if error is None and self._closed:
            error = QueueDown(_ENDED)
        if error is not None:
            self._tell(number, error)

    async def send_all(self, refs: Sequence[ChunkRef]) -> list[QueueError | None]:
        """Sends references, and waits for what the broker says of each."""
        said: list[QueueError | None] = [None] * len(refs)
        over, left = asyncio.get_running_loop().create_future(), len(refs)

        def told(place: int, error: QueueError | None) -> None:
            nonlocal left
            said[place] = error
            left -= 1
            if not left and not over.done():
                over.set_result(None)

        for place, ref in enumerate(refs):
            await self.send(ref, partial(told, place))
        if refs:
            await over
        return said

    async def close(self) -> None:
        """Waits a moment for what is yet to be heard. What was not is told as such."""
        if self._sent:
            self._empty = asyncio.get_running_loop().create_future()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty, TRY_SECONDS)
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for number in list(self._sent):
            self._tell(number, QueueDown(_ENDED))
        if self._subscription is not None:
            await self._link.unsubscribe(self._subscription)

    async def _open(self) -> None:
        async with self._opening:
            if self._subscription is None:
                self._subscription = await self._link.subscribe(f"{self._inbox}.*", self._heard)

    async def _heard(self, msg: Msg) -> None:
        number = int(msg.subject.rpartition(".")[2])
        sent = self._sent.get(number)
        if sent is None:  # it came too late
            return
        error: QueueError | None = None
        if msg.headers is not None and msg.headers.get(STATUS) == "503":
            error = nobody_for(sent.subject)
        elif b'"error"' in msg.data:  # else it has but names and numbers
            error = refusal_of(sent.subject, json.loads(msg.data))
        self._tell(number, error)

    def _tell(self, number: int, error: QueueError | None) -> None:
        sent = self._sent.pop(number, None)
        if sent is not None:
            self.published += error is None
            sent.told(error)
        if not self._sent and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def _sweep(self) -> None:
        """What was sent first is waited for first."""
        self._sweeper, now = None, self._clock.monotonic()
        late = list(itertools.takewhile(lambda number: self._sent[number].until <= now, self._sent))
        for number in late:
            subject = self._sent[number].subject
            self._tell(number, QueueDown(f"NATS does not answer ({subject}, {TRY_SECONDS:g} s)"))
        if self._sent and self._sweeper is None:
            oldest = next(iter(self._sent.values()))
            self._sweeper = self._clock.call_later(max(0.01, oldest.until - now), self._sweep)
