"""How `Client.send`'s twin wakes those who wait: all of one read's answers at once, each as if it were alone."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest
from support.sends import FINE, HELLO, TOKEN, client_of, loops, queued, waiting
from support.twins import native_only

from heliogram.apns import Client, SigningKey
from heliogram.apns.job import DONE

pytestmark = native_only


def test_all_wake_in_order_in_their_own_context(signing_key: SigningKey, run: Any) -> None:
    """One pass after their answers, each with its own context variables."""

    async def main() -> None:
        client, seen = client_of(signing_key), []  # type: ignore[var-annotated]
        await waiting(client, 1000, seen)
        for job in queued(client):
            client.pool.ends.finish(job, FINE)
        assert seen == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == [(n, n, True) for n in range(1000)]

    run(main())


def test_tasks_cancelled_between_answer_and_waking(signing_key: SigningKey, run: Any) -> None:
    """Before its answer the future is cancelled with its task; after it the task alone is."""

    async def main() -> None:
        client, seen = client_of(signing_key), []  # type: ignore[var-annotated]
        tasks = await waiting(client, 4, seen)
        jobs = queued(client)
        tasks[0].cancel()
        for job in jobs:
            client.pool.ends.finish(job, FINE)
        tasks[2].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one).__name__ for one in done] == ["CancelledError", "NoneType", "CancelledError", "NoneType"]
        assert [one[0] for one in seen] == [1, 3]
        assert [job.state for job in jobs] == [DONE] * 4

    run(main())


@pytest.mark.parametrize("factory", loops())
def test_control_c_in_a_task_leaves_the_others_to_wake(
    signing_key: SigningKey, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The loop stops with it; when it goes on, those behind it get their outcomes."""
    seen: list[object] = []

    async def stop(client: Client) -> None:
        await client.send(TOKEN, HELLO)
        raise KeyboardInterrupt

    async def begin() -> tuple[Client, list[asyncio.Task[None]]]:
        client = client_of(signing_key)
        tasks = await waiting(client, 2, seen)
        tasks.append(asyncio.create_task(stop(client)))
        await asyncio.sleep(0)
        tasks += await waiting(client, 3, seen)
        return client, tasks

    loop = factory()
    client, tasks = loop.run_until_complete(begin())
    for job in queued(client):
        client.pool.ends.finish(job, FINE)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(ended(tasks))
    assert len(seen) >= 2  # uvloop runs what was ready before it stops
    with pytest.raises(KeyboardInterrupt):
        tasks[2].result()
    loop.run_until_complete(ended(tasks[3:]))
    assert len(seen) == 5
    loop.close()


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


def test_what_a_callback_raises_goes_to_the_loops_handler(signing_key: SigningKey, run: Any) -> None:
    """And harms no other."""

    async def main() -> None:
        client, said = client_of(signing_key), []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        empty: list[object] = []
        first, second = client.send(TOKEN, HELLO), client.send(TOKEN, HELLO)
        first.add_done_callback(empty.remove, context=contextvars.copy_context())
        seen: list[object] = []
        second.add_done_callback(seen.append, context=contextvars.copy_context())
        for job in queued(client):
            client.pool.ends.finish(job, FINE)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen == [second]
        assert [type(one["exception"]) for one in said] == [ValueError]
        assert said[0]["message"].startswith("Exception in callback <built-in method remove")

    run(main())


def test_an_answer_after_the_loop_was_closed_harms_no_other_loop(signing_key: SigningKey) -> None:
    """Whoever waits in the next loop is woken."""
    client = client_of(signing_key)
    old = asyncio.new_event_loop()
    tasks = old.run_until_complete(waiting(client, 1, []))
    for job in queued(client):
        client.pool.ends.finish(job, FINE)
    old._ready.clear()  # type: ignore[attr-defined]  # as if it had been stopped for good
    client.pool._queue.ready.clear()

    async def main() -> None:
        seen: list[object] = []
        new = await waiting(client, 3, seen)
        for job in queued(client):
            client.pool.ends.finish(job, FINE)
        await asyncio.wait(new)
        assert len(seen) == 3

    asyncio.run(main())
    tasks[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    old.close()
