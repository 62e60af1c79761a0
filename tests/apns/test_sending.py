"""`Client.send` by its twin in C: the same jobs, books and errors as in Python, and a future like any of asyncio's."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import subprocess
import sys
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from apns.test_twins import PARTS, shown
from hypothesis import given, settings
from hypothesis import strategies as st
from support.apns_server import ApnsServer
from support.tls import Authority
from support.twins import native_only

from heliogram.apns import Accepted, Client, Listener, Notification, Outcome, SigningKey
from heliogram.apns.job import DONE, Job

pytestmark = native_only

TOKEN = "ab" * 32
HELLO = Notification(alert="hello")
FINE = Accepted(TOKEN, "id")


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    found: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
    try:
        import uvloop
    except ImportError:
        return found
    return [*found, uvloop.new_event_loop]


@contextmanager
def running(factory: Callable[[], asyncio.AbstractEventLoop]) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


def client_of(key: SigningKey, *, native: bool = True, **options: Any) -> Client:
    """One that may open no connection."""
    client = Client(key, topic="com.example.app", endpoint="127.0.0.1:1", rng=random.Random(7), **options)
    client.revoke()
    assert client._send is not None
    if not native:
        client._send = None
    return client


def queued(client: Client) -> list[Job]:
    return list(client.pool._queue.ready)


@pytest.fixture(params=loops(), ids=lambda factory: factory.__module__.split(".")[0])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    with running(request.param) as runner:
        yield runner.run


# ---- the call

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
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "7"


def test_debug_mode_has_asyncios_own_futures(signing_key: SigningKey) -> None:
    """They know where they were made."""

    async def made() -> str:
        client = client_of(signing_key)
        return type(client.send(TOKEN, HELLO)).__name__

    assert asyncio.run(made(), debug=True) == "Future"
    assert asyncio.run(made()) == "Sending"


# ---- the future

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
    "wait_for": lambda future: asyncio.wait_for(future, 60),
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


# ---- waking


async def waiting(client: Client, count: int, seen: list[object]) -> list[asyncio.Task[None]]:
    """Tasks that each wait for one push."""
    number: contextvars.ContextVar[int] = contextvars.ContextVar("number")

    async def one(n: int) -> None:
        number.set(n)
        outcome = await client.send(TOKEN, HELLO)
        seen.append((n, number.get(), outcome.ok))

    tasks = [asyncio.create_task(one(n)) for n in range(count)]
    await asyncio.sleep(0)
    return tasks


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
                assert (await asyncio.wait_for(client.send(TOKEN, HELLO), 60)).ok
                assert (await client.send(TOKEN, HELLO, timeout=60)).ok
                assert given_up.cancelled()
            closed = await client.send(TOKEN, HELLO)
            assert not closed.ok
            assert len(server.requests) >= 553

    run(main())


async def outcome_of(client: Client) -> Outcome:
    return await client.send(TOKEN, HELLO)
