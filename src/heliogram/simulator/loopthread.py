"""An event loop on a thread of its own, for callers that have none, or whose own must not be needed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class LoopThread:
    """Runs things one after the other on its loop, for whichever thread asks; the asking thread waits."""

    def __init__(self, name: str) -> None:
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()

    def __repr__(self) -> str:
        return f"<LoopThread {self._thread.name} alive={self._thread.is_alive()}>"

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a plain function on the loop's thread; what it returns or raises comes back."""

        async def called() -> T:
            return function(*args, **kwargs)

        return self.run(called())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end. Raises RuntimeError when the thread has stopped, or is the one that asks."""
        if threading.current_thread() is self._thread or not self._thread.is_alive():
            work.close()
            raise RuntimeError(f"{self._thread.name} cannot wait for itself, and does nothing after its end")
        answer: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result()
        except BaseException:
            answer.cancel()  # the asking thread was interrupted: what it asked for goes with it
            raise

    def stop(self) -> None:
        """End the loop and wait for the thread; harmless twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _main(self) -> None:
        # Whatever event loop the tests prefer, this one needs to know nothing of it.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._stop.wait()
