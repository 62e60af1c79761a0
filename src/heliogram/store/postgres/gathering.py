"""One statement for what several do at the same moment: what comes while one is on its way goes with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from ..errors import StoreUnavailable

W = TypeVar("W")
A = TypeVar("A")


class Gathering(Generic[W, A]):
    """Gives many wishes at once to `ask`, which answers each, and is called by one task at a time. Where it fails for
    many, for another reason than that the database is away, each is asked for alone: one must not spoil the others.
    `at_rest` is called whenever all wishes are answered, whoever still waits for it."""

    def __init__(
        self,
        ask: Callable[[Sequence[W]], Awaitable[Sequence[A]]],
        most: int,
        at_rest: Callable[[], object] = lambda: None,
    ) -> None:
        self._ask, self._most, self._at_rest = ask, most, at_rest
        self._waiting: list[tuple[W, asyncio.Future[A]]] = []
        self._running: asyncio.Task[None] | None = None
        self.asked = self.calls = 0

    def __repr__(self) -> str:
        return f"Gathering(waiting={len(self._waiting)}, asked={self.asked}, calls={self.calls})"

    async def __call__(self, wish: W) -> A:
        """The answer to a wish. It goes on when nobody waits for it any more."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((wish, answer))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._answer(some)
        finally:
            self._running = None
            self._at_rest()

    async def _answer(self, some: Sequence[tuple[W, asyncio.Future[A]]]) -> None:
        self.asked += len(some)
        self.calls += 1
        try:
            answers = await self._ask([wish for wish, _ in some])
        except Exception as error:
            if len(some) > 1 and not isinstance(error, StoreUnavailable):
                for each in some:
                    await self._answer([each])
                return
            for _, future in some:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(some, answers, strict=True):
            if not future.done():
                future.set_result(answer)
