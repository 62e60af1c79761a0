"""`Client.send` by its twin in C: the same jobs, books and errors as in Python, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import weakref
from collections import deque
from typing import Any

import pytest
from apns.test_twins import PARTS, shown
from hypothesis import given, settings
from hypothesis import strategies as st
from support.apns_server import ApnsServer
from support.sends import FINE, HELLO, TOKEN, client_of, loops, queued, running
from support.tls import Authority
from support.twins import native_only

from heliogram.apns import Accepted, Client, Listener, Notification, Outcome, SigningKey
from heliogram.apns.job import DONE

pytestmark = native_only

SENT = st.tuples(
    PARTS, st.sampled_from([None, None, 5.0, 0, -1.0, float("nan"), "soon"]), st.sampled_from(["", "done", "refuse"])
)


@settings(max_examples=80, deadline=None)
@given(st.lists(SENT, max_size=8), st.booleans(), st.booleans())
def test_a_send_is_the_same_both_ways(signing_key: SigningKey, pushes: list[Any], heard: bool, closed: bool) -> None:
    """The same jobs in the same books, ids in the same order, and the same error with the same text."""

    async def sent(native: bool) -> object:
        client = client_of(signing_key, native=native, listener=Listener() if heard else None)
        client._clock.monotonic = lambda: 5.0  # type: ignore[method-assign]
        seen: list[object] = []
        for (token, note, apns_id, _, topic), timeout, then in pushes:
            if then == "refuse":
                client.pool._refusing = "no"
            try:
                future = client.send(token, note, apns_id=apns_id, topic=topic, timeout=timeout)
            except Exception as error:
                seen.append((type(error), str(error)))
            else:
                seen.append((isinstance(future, asyncio.Future), future.done() and future.result()))
            if then == "done" and queued(client):
                queued(client)[0].state = DONE
        deadlines = client.pool.deadlines
        jobs = [(*shown(job)[:6], *shown(job)[8:]) for job in queued(client)]
        return seen, jobs, len(deadlines.fifo), len(deadlines._heap), client.pool._turns.asked

    def alone(native: bool) -> object:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(sent(native))
        finally:
            loop.close()

    copied = [((p[0], copy(p[1]), *p[2:]), t, then) for p, t, then in pushes]
    one = alone(True)
    pushes = copied
    assert alone(False) == one


def copy(note: object) -> object:
    if not isinstance(note, Notification):
        return note
    return Notification(**{name: getattr(note, name) for name in Notification.__struct_fields__})


def test_books_when_thousands_are_open(signing_key: SigningKey, run: Any) -> None:
    """Ended pushes leave the deadlines in order, both ways, also where there are more than are looked over singly."""

    async def books(native: bool) -> list[int]:
        client = client_of(signing_key, native=native)
        seen = []
        for number in range(12_000):
            client.send(TOKEN, HELLO)
            if number % 3 == 0:
                queued_now = client.pool._queue.ready
                queued_now.popleft().state = DONE
            if number % 1000 == 0:
                seen.append(len(client.pool.deadlines))
        return seen

    async def both() -> None:
        assert await books(True) == await books(False)

    run(both())


def test_without_a_loop(signing_key: SigningKey) -> None:
    """Sending outside of an event loop is the same RuntimeError both ways, also after there was one."""
    client = client_of(signing_key)

    async def once() -> None:
        client.send(TOKEN, HELLO)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="no running event loop"):
            client.send(TOKEN, HELLO)
        asyncio.run(once())


def test_the_future_belongs_to_the_loop_that_runs(signing_key: SigningKey) -> None:
    """A client used in one event loop after another makes futures of each, on asyncio and uvloop."""
    client = client_of(signing_key)

    async def once() -> None:
        for _ in range(3):
            future = client.send(TOKEN, HELLO)
            assert future.get_loop() is asyncio.get_running_loop()
            asyncio.get_running_loop().call_soon(future.set_result, FINE)
            assert await future == FINE

    for factory in loops() * 2:
        with running(factory) as runner:
            runner.run(once())


def test_a_child_of_a_process_has_no_loop() -> None:
    """After a fork in the midst of a loop, sending says that none runs."""
    script = """
import asyncio, os
from cryptography.hazmat.primitives.asymmetric import ec
from heliogram.apns import Client, Notification, SigningKey
key = SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id="ABC123DEFG", team_id="DEF123GHIJ")
client = Client(key, topic="com.example.app", endpoint="127.0.0.1:1")
async def main():
    client.send("ab" * 32, Notification(alert="x"))
    child = os.fork()
    if not child:
        try:
            client.send("ab" * 32, Notification(alert="x"))
        except RuntimeError as error:
            os._exit(7 if "no running event loop" in str(error) else 1)
        os._exit(2)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=90)
    assert done.stdout.strip() == "7"


def test_debug_mode_has_asyncios_own_futures(signing_key: SigningKey) -> None:
    """They know where they were made."""

    async def made() -> str:
        client = client_of(signing_key)
        return type(client.send(TOKEN, HELLO)).__name__

    assert asyncio.run(made(), debug=True) == "Future"
    assert asyncio.run(made()) == "Sending"


# ---- memory


def test_nothing_is_kept_of_a_send(signing_key: SigningKey, run: Any) -> None:
    """References are given back, whether it was answered, refused, cancelled or made an ordinary future."""

    async def main() -> None:
        client = client_of(signing_key)
        note = Notification(alert="hello", custom={"k": "v"})
        token = "cd" * 32
        fine = Accepted(token, "id")
        client.send(token, note).cancel()
        gc.collect()
        watched = (note, note.prepare(), token, asyncio.get_running_loop(), fine)
        client.pool._queue.ready.clear()
        client.pool.deadlines.fifo.clear()
        kept: deque[object] = deque(maxlen=1)
        before = [sys.getrefcount(one) for one in watched]
        for number in range(600):
            future = client.send(token, note)
            match number % 5:
                case 0:
                    future.cancel()
                case 1:
                    repr(future)
                case 2:
                    future.add_done_callback(kept.append, context=contextvars.copy_context())
                case 3:
                    with pytest.raises(Exception, match="token"):
                        client.send("zz" + token, note)
            client.pool.ends.finish(client.pool._queue.ready.pop(), fine)
            await asyncio.sleep(0)
        del future
        kept.clear()
        await asyncio.sleep(0)
        client.pool.deadlines.fifo.clear()
        gc.collect()
        assert [sys.getrefcount(one) for one in watched] == before

    run(main())


def test_a_future_in_a_circle_is_collected(signing_key: SigningKey, run: Any) -> None:
    """The collector sees through it, be it ordinary or not."""

    async def main() -> None:
        client = client_of(signing_key)
        gone = []
        for ordinary in (False, True):
            future = client.send(TOKEN, HELLO)
            gone.append(weakref.ref(future))
            if ordinary:
                assert future.exception is not None
            holder: Any = deque([future])
            future.add_done_callback(holder.append, context=contextvars.copy_context())
            future.set_result(FINE)
            holder.append(holder)
            future.remark = holder  # type: ignore[attr-defined]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            del future, holder
        client.pool._queue.ready.clear()
        client.pool.deadlines.fifo.clear()
        gc.collect()
        assert [one() for one in gone] == [None, None]

    run(main())


def test_plain_notifications_are_no_work_for_the_collector(signing_key: SigningKey, run: Any) -> None:
    """Those that lead nowhere are let go of; those that hold a container of containers are not."""

    async def main() -> None:
        client = client_of(signing_key)
        plain = Notification(alert="hello", custom={"order": 5})
        deep = Notification(alert="hello", custom={"order": [5]})
        assert gc.is_tracked(plain)
        client.send(TOKEN, plain)
        client.send(TOKEN, deep)
        assert (gc.is_tracked(plain), gc.is_tracked(deep)) == (False, True)

    run(main())


# ---- over the wire


def test_every_wait_has_its_outcome_over_the_wire(signing_key: SigningKey, authority: Authority, run: Any) -> None:
    """Awaited, gathered, given up with a time-out or cancelled: each push has its one answer, and others theirs."""

    async def main() -> None:
        async with ApnsServer(authority.server_context()) as server:
            options: Any = {"endpoint": server.endpoint, "cafile": authority.cafile, "topic": "com.example.app"}
            async with Client(signing_key, **options) as client:
                assert (await client.send(TOKEN, HELLO)).ok
                first = client.send(TOKEN, HELLO)
                given_up = asyncio.create_task(outcome_of(client))
                await asyncio.sleep(0)
                given_up.cancel()
                several = await asyncio.gather(first, *(client.send(TOKEN, HELLO) for _ in range(50)))
                assert all(one.ok for one in several)
                tasks = await asyncio.gather(*(outcome_of(client) for _ in range(500)))
                assert all(one.ok for one in tasks)
                assert (await asyncio.wait_for(client.send(TOKEN, HELLO), 90)).ok
                assert (await client.send(TOKEN, HELLO, timeout=90)).ok
                assert given_up.cancelled()
            closed = await client.send(TOKEN, HELLO)
            assert not closed.ok
            assert len(server.requests) >= 553

    run(main())


async def outcome_of(client: Client) -> Outcome:
    return await client.send(TOKEN, HELLO)
