"""The sender processes of a service: started, restarted when they die, drained with it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping

import msgspec
import structlog

from ..delivery.providers.apns import ApnsEndpoints
from ..domain.operations import Lane
from ..pacing import first_of, pause
from ..ports import Clock
from ..security.masterkey import ENVIRONMENT
from .desk import Desk, PackedStore
from .hub import Switchboard
from .messages import Begin, Drain

log = structlog.get_logger(__name__)

START_SECONDS = 60.0
"""The longest a sender may take until it works: on a busy machine Python takes its time."""
LATE_SECONDS = 5.0
"""What a sender gets beyond the time to drain, to close its connections, before it is killed."""
LAST_WORD = 1.0
"""What a sender gets to exit once it has closed its socket."""
FIRST_PAUSE = 0.1
MAX_PAUSE = 30.0
GOOD_LIFE = 60.0
"""A sender that died is started again after `FIRST_PAUSE` seconds, then after twice that and so on up to `MAX_PAUSE`,
until one has lived so long."""


class SenderFailed(Exception):
    """A sender did not start."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How many senders, and what each is told. `keys` gives the master keys; `lock` is the handle of the data
    directory's lock, which holds as long as any process with it lives."""

    senders: int
    database: str
    keys: Callable[[], list[bytes]]
    endpoints: ApnsEndpoints
    slots: Mapping[Lane, int]
    log_level: str
    log_format: str = "auto"
    lock: int | None = None


class Fleet:
    """All senders of a service."""

    def __init__(self, plan: Plan, store: PackedStore, switchboard: Switchboard, clock: Clock) -> None:
        self._seats = [_Seat(n, plan, store, switchboard, clock) for n in range(1, plan.senders + 1)]
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"Fleet({self._seats})"

    async def start(self) -> None:
        """Returns when every sender works. Raises `SenderFailed` when one dies first."""
        self._tasks = [asyncio.create_task(seat.keep()) for seat in self._seats]
        try:
            await asyncio.gather(*(seat.works for seat in self._seats))
        except SenderFailed:
            await self.drain(0)
            raise

    async def drain(self, seconds: float) -> None:
        """Has every sender take nothing more and end what is under way, for at most so long. What one held is given
        back."""
        for seat in self._seats:
            seat.drain(seconds)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds + LATE_SECONDS)
            for seat in self._seats if late else ():
                seat.kill()
            await asyncio.gather(*self._tasks)


class _Seat:
    """The place of one sender, whichever process sits there."""

    def __init__(self, number: int, plan: Plan, store: PackedStore, switchboard: Switchboard, clock: Clock) -> None:
        self._number, self._plan, self._store = number, plan, store
        self._switchboard, self._clock = switchboard, clock
        self._closing = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._desk: Desk | None = None
        self.works: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first process works; fails when it dies before."""

    def __repr__(self) -> str:
        pid = None if self._process is None else self._process.pid
        return f"Seat({self._number}, pid={pid}, {self._desk!r})"

    async def keep(self) -> None:
        """Has a process sit here until `drain`."""
        rest = FIRST_PAUSE
        while not self._closing.is_set():
            began = self._clock.monotonic()
            code, given = await self._try()
            if not self.works.done():
                self.works.set_exception(SenderFailed(f"sender {self._number} ended with code {code} as it started"))
                return
            if self._closing.is_set():
                break
            rest = FIRST_PAUSE if self._clock.monotonic() - began >= GOOD_LIFE else rest
            log.error("sender.died", sender=self._number, code=code, chunks=given, again_in=rest)
            await first_of(pause(self._clock, rest), self._closing.wait())
            rest = min(rest * 2, MAX_PAUSE)

    def drain(self, seconds: float) -> None:
        """Has the process end, and no other follow."""
        self._closing.set()
        if self._desk is not None:
            self._desk.send(Drain(seconds))

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _try(self) -> tuple[int | None, int]:
        """As `_live`; no exit code when the machine has no room for a process just now."""
        try:
            return await self._live()
        except Exception:
            log.exception("sender.not_started", sender=self._number)
            self.kill()
            return None, 0

    async def _live(self) -> tuple[int, int]:
        """One process, from start to end: its exit code, and how many chunks it left behind."""
        worker = f"{socket.gethostname()}:{os.getpid()}:{self._number}"
        desk = Desk(self._store, self._switchboard, self._clock, worker)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = process = await self._spawn(theirs.fileno())
            except BaseException:
                ours.close()
                raise
        await asyncio.get_running_loop().create_unix_connection(lambda: desk.wire, sock=ours)
        self._desk = desk
        desk.send(self._begin())
        self._switchboard.desks.add(desk)
        log.info("sender.started", sender=self._number, pid=process.pid)
        try:
            await self._see_through(process, desk)
        finally:
            self._switchboard.left(desk)
            self._desk = None
        given = await desk.give_back()
        if given:
            self._switchboard.wake(self._plan.slots)
        return await process.wait(), given

    async def _see_through(self, process: asyncio.subprocess.Process, desk: Desk) -> None:
        """Until the process is gone. One that closed its socket, or does not begin to work, is killed: what it held is
        given back, and two must not send the same."""
        late = self._clock.call_later(START_SECONDS, lambda: None if desk.ready.is_set() else self.kill())
        ready, exited = asyncio.create_task(desk.ready.wait()), asyncio.create_task(process.wait())
        ended = asyncio.create_task(desk.ended.wait())
        await asyncio.wait([ready, exited, ended], return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and not self.works.done():
            self.works.set_result(None)
        if self._closing.is_set():
            desk.send(Drain(0))  # it came too late to hear of it
        await asyncio.wait([exited, ended], return_when=asyncio.FIRST_COMPLETED)
        if not exited.done():
            await asyncio.wait([exited], timeout=LAST_WORD)
            self.kill()
        await asyncio.wait([exited, ended])
        late.cancel()
        ready.cancel()

    async def _spawn(self, handle: int) -> asyncio.subprocess.Process:
        handles = [handle] if self._plan.lock is None else [handle, self._plan.lock]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "heliogram.senders", str(handle), str(self._number)),
            pass_fds=handles,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name != ENVIRONMENT},
        )

    def _begin(self) -> Begin:
        return Begin(
            database=self._plan.database,
            keys=self._plan.keys(),
            endpoints=self._plan.endpoints,
            slots=dict(self._plan.slots),
            parent=os.getpid(),
            refusals=self._switchboard.refusals(),
            log_level=self._plan.log_level,
            log_format=self._plan.log_format,
        )
