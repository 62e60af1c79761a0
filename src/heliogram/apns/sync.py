"""The engine for programs without an event loop: scripts, Django, Celery.

The same client, run by a thread of its own. Any number of threads may use one client; iterables are consumed in the
thread that gave them, so that what they hold (a database cursor, say) stays where it belongs.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import queue
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from .batch import Item
from .client import Client as AsyncClient
from .entitlements import Credential
from .listener import Stats
from .notification import Notification
from .outcomes import Outcome

P = ParamSpec("P")
T = TypeVar("T")

_TAKE = 500
"""Pushes that cross to the engine's thread at once, and outcomes that come back."""


class Client:
    """`heliogram.apns.Client` with plain calls. Takes the same arguments.

    Close it, or use it in a `with`: then every push has its outcome. After a fork the child needs a client of its own;
    its parent's raises `RuntimeError` there, and closing that one does nothing.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._client = AsyncClient(*args, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="heliogram-apns", daemon=True)
        self._closing = threading.Lock()
        self._thread.start()
        _open_clients.add(self)

    def __repr__(self) -> str:
        state = "closed" if self._loop.is_closed() else "open"
        return f"<sync.Client {state}, {self._client!r}>"

    def send(
        self,
        device_token: str,
        notification: Notification,
        *,
        apns_id: str | None = None,
        topic: str | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        """Sends one push and waits for its outcome. Raises as `heliogram.apns.Client.send` does."""

        async def work() -> Outcome:
            return await self._client.send(device_token, notification, apns_id=apns_id, topic=topic, timeout=timeout)

        return self._ask(work()).result()

    def send_many(self, items: Iterable[Item], *, concurrency: int | None = None) -> Iterator[Outcome]:
        """Sends pushes from an iterable; yields outcomes in the order of their coming.

        At most `concurrency` pushes (default: 1,000 for each allowed connection) are on their way, and no more
        outcomes are kept. An exception of `items` is raised after the last outcome.
        """
        return _Bulk(self._client, self._call, concurrency).outcomes(iter(items))

    def stats(self) -> Stats:
        """How many connections there are, and how many pushes are on their way."""
        return self._client.stats()

    def reconnect(self) -> None:
        """Replaces all connections in peace (TOK-14)."""
        self._call(self._client.reconnect)

    def rotate(self, credential: Credential) -> float:
        """Changes the credential in peace; the seconds until then. See `heliogram.apns.Client.rotate`."""

        async def work() -> float:
            return self._client.rotate(credential)

        return self._ask(work()).result()

    def revoke(self) -> None:
        """Closes every connection at once. See `heliogram.apns.Client.revoke`."""

        async def work() -> None:
            self._client.revoke()

        self._ask(work()).result()

    def close(self) -> None:
        """Lets what is on its way finish, and ends the thread. May be called more than once, from any thread."""
        if not self._thread.is_alive():
            return  # closed, or the parent's: its loop shares what it listens to with the parent, so it stays open
        with self._closing:
            if self._loop.is_closed():
                return
            self._ask(self._client.close()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        _open_clients.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _ask(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            if threading.current_thread() is self._thread:
                raise RuntimeError("called from the engine's own thread: use heliogram.apns.Client there")
            self._check()
        except RuntimeError:
            work.close()
            raise
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _check(self) -> None:
        if self._loop.is_closed():
            raise RuntimeError("this client is closed; make another one")
        if not self._thread.is_alive():  # a fork takes along the thread that calls it and no other
            raise RuntimeError("this client's thread does not run in this process; make another one after a fork")

    def _call(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        self._check()
        self._loop.call_soon_threadsafe(lambda: function(*args, **kwargs))


_open_clients: weakref.WeakSet[Client] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """A program that forgot to close still lets its last pushes go."""
    for client in list(_open_clients):
        client.close()


class _Bulk:
    """One `send_many`: chunks of pushes go to the engine's thread, lists of outcomes come back."""

    def __init__(self, client: AsyncClient, call: Callable[..., None], concurrency: int | None) -> None:
        self._batch = client.batch(concurrency)
        self._call = call
        self._came: queue.SimpleQueue[list[Outcome]] = queue.SimpleQueue()
        self._on_their_way = 0
        self._pump: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<_Bulk {self._on_their_way} on their way>"

    def outcomes(self, items: Iterator[Item]) -> Iterator[Outcome]:
        """Feeds and yields, in the caller's thread."""
        error: Exception | None = None
        more = True
        try:
            while more or self._on_their_way:
                while more and self._on_their_way < self._batch.limit:
                    chunk: list[Item] = []
                    try:
                        chunk.extend(itertools.islice(items, min(_TAKE, self._batch.limit - self._on_their_way)))
                        more = bool(chunk)
                    except Exception as failure:
                        error, more = failure, False
                    self._on_their_way += len(chunk)
                    if chunk:
                        self._call(self._add, chunk)
                if self._on_their_way:
                    came = self._came.get()
                    self._on_their_way -= len(came)
                    yield from came
            if error is not None:
                raise error
        finally:
            self._call(self._stop)

    # ---- in the engine's thread

    def _add(self, chunk: list[Item]) -> None:
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_task(self._hand_over_all(), name="heliogram-apns-outcomes")
        self._batch.add(chunk)
        self._hand_over()  # what could not be sent has its outcome already

    def _stop(self) -> None:
        self._batch.close()
        if self._pump is not None:
            self._pump.cancel()

    async def _hand_over_all(self) -> None:
        while True:
            await self._batch.wait()
            self._hand_over()

    def _hand_over(self) -> None:
        """Whatever outcomes there are go to the caller as one list."""
        done = self._batch.outcomes
        if done:
            came = list(done)
            done.clear()
            self._came.put(came)
