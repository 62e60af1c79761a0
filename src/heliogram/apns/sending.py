"""How `Client.send` is done in one call: by its twin in C, where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from heliogram import _accel

from .batch import Maker
from .deadlines import Deadlines
from .job import DONE, Job
from .notification import Notification
from .outcomes import Outcome
from .pool import Pool
from .turns import Turns


class Sender(Protocol):
    """Sends a push with the client's own time-out; None when Python has to."""

    def __call__(
        self, device_token: str, notification: Notification, apns_id: str | None, topic: str | None, /
    ) -> asyncio.Future[Outcome] | None:
        """See `Client.send`."""


def sender(make: Maker, pool: Pool, now: Callable[[], float], timeout: float) -> Sender | None:
    """The twin of `Client.send`, if `make` is one as well.

    Its future is an `asyncio.Future` of a class of its own. While nobody but one task waits for it, the event loop
    wakes that task together with the others whose answers came in the same read, in one call.
    """
    loop = (asyncio.get_running_loop, asyncio.Future)
    books = (*pool.parts(), pool.deadlines, pool.deadlines.fifo, Turns, Deadlines)
    twin: Sender | None = _accel.twin("send", make, Job, DONE, now, *loop, timeout, _complain, *books)
    return twin


def _complain(loop: asyncio.AbstractEventLoop, callback: object, error: BaseException) -> None:
    """What the event loop does with what a callback raises."""
    loop.call_exception_handler({"message": f"Exception in callback {callback!r}", "exception": error})
