"""The future of `Client.send`'s twin: whatever is asked of it, it is like any of asyncio's."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.sends import HELLO, TOKEN, client_of, loops, running
from support.twins import native_only

from heliogram.apns import SigningKey

pytestmark = native_only

QUESTIONS: dict[str, Callable[[asyncio.Future[Any]], object]] = {
    "result": lambda future: future.result(),
    "exception": lambda future: future.exception(),
    "done": lambda future: future.done(),
    "cancelled": lambda future: future.cancelled(),
    "cancel": lambda future: future.cancel(),
    "message": lambda future: future.cancel(msg="enough"),
    "state": lambda future: (future._state, len(future._callbacks or ()), future._loop is future.get_loop()),
    "repr": lambda future: repr(future).split()[1].rstrip(">"),
    "loop": lambda future: (future.get_loop() is asyncio.get_running_loop(), asyncio.isfuture(future)),
    "blocking": lambda future: future._asyncio_future_blocking,
    "stop": lambda future: future.set_exception(StopIteration()),
}
CHANGES = ("add", "add twice", "add built-in", "remove", "set", "set a tuple", "fail")


def told(act: Callable[[], object]) -> object:
    try:
        answer = act()
    except BaseException as error:
        return type(error).__name__, str(error)
    return repr(answer) if isinstance(answer, BaseException) else answer


class Life:
    """What becomes of a future and of those who wait for it."""

    def __init__(self, future: asyncio.Future[Any]) -> None:
        self.future = future
        self.seen: list[object] = []
        self.tasks: list[asyncio.Task[None]] = []

    def called(self, future: asyncio.Future[Any]) -> None:
        self.seen.append(("called", future is self.future))

    async def wait(self, make: Callable[[], Awaitable[object]], name: str) -> None:
        try:
            self.seen.append((name, await make()))
        except BaseException as error:
            self.seen.append((name, type(error).__name__, str(error)))

    async def act(self, what: str) -> None:
        if what in WAITS:
            name = f"{what} {len(self.tasks)}"
            self.tasks.append(asyncio.create_task(self.wait(lambda: WAITS[what](self.future), name)))
        elif what == "cancel a task":
            self.seen.append([one.cancel() for one in self.tasks[:1]])
        elif what == "pass":
            await asyncio.sleep(0)
        elif what in QUESTIONS:
            self.seen.append((what, told(lambda: QUESTIONS[what](self.future))))
        else:
            self.change(what)

    def change(self, what: str) -> None:
        future, seen = self.future, self.seen
        match what:
            case "add":
                seen.append(told(lambda: future.add_done_callback(self.called)))
            case "add twice":
                future.add_done_callback(self.called, context=contextvars.copy_context())
                future.add_done_callback(self.called)
            case "add built-in":
                future.add_done_callback(BuiltIns(seen).append)
            case "remove":
                seen.append(future.remove_done_callback(self.called))
            case "set":
                seen.append(told(lambda: future.set_result(5)))
            case "set a tuple":
                seen.append(told(lambda: future.set_result(("tuple",))))
            case "fail":
                seen.append(told(lambda: future.set_exception(KeyError("x"))))
                told(future.exception)  # nobody has to be told that it was never retrieved

    async def through(self, acts: list[str]) -> list[object]:
        for what in acts:
            await self.act(what)
        for what in ("pass", "pass", "pass", "set", "pass", "pass", "pass", "pass"):
            await self.act(what)
        for one in self.tasks:
            one.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        told(self.future.exception)
        return self.seen


class BuiltIns(deque[object]):
    """Whose `append` is a built-in function, like the one that wakes a task."""

    def __init__(self, seen: list[object]) -> None:
        super().__init__()
        seen.append(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BuiltIns) and len(self) == len(other)

    __hash__ = None


async def gathered(future: asyncio.Future[Any]) -> object:
    return await asyncio.gather(future, return_exceptions=False)


async def shielded(future: asyncio.Future[Any]) -> object:
    return await asyncio.shield(future)


async def waited(future: asyncio.Future[Any]) -> object:
    done, pending = await asyncio.wait([future])
    return len(done), len(pending)


WAITS: dict[str, Callable[[asyncio.Future[Any]], Awaitable[object]]] = {
    "await": lambda future: future,
    "wait_for": lambda future: asyncio.wait_for(future, 90),
    "shield": shielded,
    "gather": gathered,
    "wait": waited,
}
ACTS = st.lists(st.sampled_from([*QUESTIONS, *CHANGES, *WAITS, *WAITS, "await", "cancel a task", "pass"]), max_size=12)


@settings(max_examples=120, deadline=None)
@given(ACTS, st.sampled_from(loops()))
def test_the_future_lives_like_one_of_asyncios(
    signing_key: SigningKey, acts: list[str], factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Whatever is asked of it in whatever order, by whomever it is awaited or cancelled."""

    async def lives() -> tuple[list[object], list[object]]:
        client = client_of(signing_key)
        sending = client.send(TOKEN, HELLO)
        assert type(sending).__name__ == "Sending"
        assert isinstance(sending, asyncio.Future)
        client.pool._queue.ready.clear()
        client.pool.deadlines.close()
        other: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return await Life(sending).through(acts), await Life(other).through(acts)

    with running(factory) as runner:
        loop_errors: list[Any] = []
        runner.get_loop().set_exception_handler(lambda loop, context: loop_errors.append(context["message"]))
        one, other = runner.run(lives())
        assert one == other
