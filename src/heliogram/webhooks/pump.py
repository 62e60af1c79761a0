"""All webhooks: looks for what is to be told, and sends couriers."""

from __future__ import annotations

import asyncio

import structlog

from ..domain.errors import Unavailable, Unreadable
from ..domain.webhooks import DOWN_AFTER
from ..ports import WebhookWork
from .courier import Courier, Tools

log = structlog.get_logger(__name__)

POLL_S = 0.5
SWEEP_S = 60.0
REST_S = 30.0
"""Before another courier for a webhook whose last one could not go on, such as one who could not write down what he had
told: he would tell it again."""
MAX_AT_ONCE = 256
"""Couriers under way at one moment; a slow receiver has one of them for itself alone."""


class Pump:
    """Tells webhooks what happens, at the latest about a second after it did.

    It is woken by hints and looks by itself every half second, for other processes write into the store too. With no
    webhook in the store that look is one query.
    """

    def __init__(self, tools: Tools, *, poll_seconds: float = POLL_S, at_once: int = MAX_AT_ONCE) -> None:
        self._tools = tools
        self._poll_seconds = poll_seconds
        self._at_once = at_once
        self._couriers: dict[bytes, tuple[Courier, asyncio.Task[None]]] = {}
        self._resting: dict[bytes, float] = {}
        self._woken = asyncio.Event()
        self._closing = False
        self._sweep_at = 0.0
        self._turn = 0
        self.posts = 0

    def __repr__(self) -> str:
        return f"Pump(couriers={len(self._couriers)}, posts={self.posts})"

    def wake(self) -> None:
        """A hint that there is something to tell."""
        self._woken.set()

    async def run(self) -> None:
        """Works until `drain`: returns when no courier is under way."""
        while not self._closing:
            self._woken.clear()
            try:
                await self.look()
            except (Unavailable, Unreadable):
                pass  # the store may be full or locked for a while, and tells so itself: places and batches stay there
            except Exception:
                log.exception("webhooks.look_failed")
            await self._pause()
        await self._settled()

    def drain(self) -> None:
        """Sends no more couriers; `run` returns when those under way have had their answer."""
        self._closing = True
        for courier, _ in self._couriers.values():
            courier.drain()
        self._woken.set()

    async def stop(self) -> None:
        """Ends couriers that are still waiting for an answer: what they carry is posted again at the next start."""
        self.drain()
        tasks = [task for _, task in self._couriers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Sends a courier to every webhook that has something to do and none on the way."""
        clock = self._tools.clock
        if clock.monotonic() >= self._sweep_at:
            self._sweep_at = clock.monotonic() + SWEEP_S
            while await self._tools.store.sweep_webhooks(self._tools.now()):
                pass
        found = await self._tools.store.webhook_work()
        now = self._tools.now()
        self._resting = {ident: until for ident, until in self._resting.items() if until > clock.monotonic()}
        self._turn += 1  # everyone comes first in its turn
        first = self._turn % len(found) if found else 0
        for work in (*found[first:], *found[:first]):
            if len(self._couriers) >= self._at_once or self._closing:
                return
            ident = work.webhook.id
            if ident not in self._couriers and ident not in self._resting and is_due(work, now):
                self._send(work)

    async def step(self) -> None:
        """One look, and all that comes of it, to the end."""
        await self.look()
        await self._settled()

    def _send(self, work: WebhookWork) -> None:
        ident = work.webhook.id
        courier = Courier(self._tools, work.webhook.account_id, ident)
        task = asyncio.create_task(courier.run())
        self._couriers[ident] = courier, task
        task.add_done_callback(lambda task: self._back(ident, task))

    def _back(self, ident: bytes, task: asyncio.Task[None]) -> None:
        courier, _ = self._couriers.pop(ident)
        self.posts += courier.posts
        if not task.cancelled() and (error := task.exception()) is not None:
            self._resting[ident] = self._tools.clock.monotonic() + REST_S
            if isinstance(error, Unavailable | Unreadable):
                log.warning("webhook.courier_failed", courier=repr(courier), error=str(error))
            else:
                log.error("webhook.courier_failed", courier=repr(courier), exc_info=error)
        elif courier.posts:
            self.wake()  # what came meanwhile is not left for the next poll

    async def _pause(self) -> None:
        timer = self._tools.clock.call_later(self._poll_seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()

    async def _settled(self) -> None:
        tasks = [task for _, task in self._couriers.values()]
        if tasks:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)  # their callbacks have run


def is_due(work: WebhookWork, now: int) -> bool:
    """Whether a courier would find something to do."""
    if now < work.held_until:
        return False
    if work.news:
        return True
    return work.due is not None and (work.due <= now or work.failures >= DOWN_AFTER)
