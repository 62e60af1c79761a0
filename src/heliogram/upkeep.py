"""What is to be done again and again beside sending: forgetting what is over, in slices that keep nobody waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from .domain import ids
from .pacing import first_of, pause
from .ports import Clock, Store
from .ports.health import SILENT_MS
from .security import forget_old

log = structlog.get_logger(__name__)

MINUTE = 60.0
FIRST_SECONDS = 10.0
"""After the start, before the first of it."""
PAUSE_SECONDS = 0.01
"""Between two slices: whatever there is to remove, most of the writer's time is left to others."""
DAY_MS = 86_400_000


class Step(msgspec.Struct, frozen=True):
    """What one slice did: how many things, and whether there is more."""

    done: int
    more: bool


class Chore(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do every so many seconds: `slice` after slice, until one says that there is no more."""

    name: str
    every: float
    slice: Callable[[], Awaitable[Step]]


class Upkeep:
    """One task that does the chores, one after another. One that fails is told and tried again at its next time; it
    stops no other."""

    def __init__(
        self,
        chores: Sequence[Chore],
        clock: Clock,
        *,
        first: float = FIRST_SECONDS,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self._chores = tuple(chores)
        self._clock = clock
        self._pause_seconds = pause
        self._next = dict.fromkeys(range(len(self._chores)), clock.monotonic() + first)
        self._stopped = asyncio.Event()

    def __repr__(self) -> str:
        return f"Upkeep(chores={len(self._chores)}, stopped={self._stopped.is_set()})"

    async def run(self) -> None:
        """Does what is due until `stop`; returns when the slice under way has ended."""
        while self._chores and not self._stopped.is_set():
            number = min(self._next, key=self._next.__getitem__)
            await self._wait(self._next[number] - self._clock.monotonic())
            if not self._stopped.is_set():
                chore = self._chores[number]
                await self._do(chore)
                self._next[number] = self._clock.monotonic() + chore.every

    def stop(self) -> None:
        """Ends `run` after the slice under way."""
        self._stopped.set()

    async def _do(self, chore: Chore) -> None:
        begin, done, slices = self._clock.monotonic(), 0, 0
        try:
            while not self._stopped.is_set():
                step = await chore.slice()
                done, slices = done + step.done, slices + 1
                if not step.more:
                    break
                await self._wait(self._pause_seconds)
        except Exception:
            log.exception("upkeep.failed", chore=chore.name, done=done)
            return
        if done:
            seconds = round(self._clock.monotonic() - begin, 3)
            log.info("upkeep.done", chore=chore.name, done=done, slices=slices, seconds=seconds)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0 and not self._stopped.is_set():
            await first_of(pause(self._clock, seconds), self._stopped.wait())


class _Ended:
    """Removing operations that ended long ago."""

    def __init__(self, store: Store, clock: Clock, days: int) -> None:
        self._store, self._clock, self._kept = store, clock, days * DAY_MS
        self._place: bytes | None = None

    async def slice(self) -> Step:
        now = int(self._clock.time() * 1000)
        removal = await self._store.remove_ended(now - self._kept, now, after=self._place)
        self._place = removal.next
        return Step(removal.rows, self._place is not None)


def chores_of(store: Store, clock: Clock, *, retention_days: int, history_days: int) -> list[Chore]:
    """The chores of a service: operations and deleted users go after `retention_days`, what happened to devices after
    `history_days`, what is left of removed apps at once, the audit log and ended API keys after 400 days, idempotency
    keys and refused tokens after 24 hours, ended sessions when they would have ended; of certificates that end soon is
    told. What waits for webhooks is the pump's to bound."""

    def now() -> int:
        return int(clock.time() * 1000)

    async def users() -> Step:
        gone = await store.remove_deleted_users(now() - retention_days * DAY_MS)
        return Step(gone, gone > 0)

    async def apps() -> Step:
        gone = await store.remove_leaving_apps()
        return Step(gone, gone > 0)

    async def keys() -> Step:
        gone = await store.forget_idempotency(now())
        return Step(gone, gone > 0)

    async def tokens() -> Step:
        gone = await store.forget_refused(now())
        return Step(gone, gone > 0)

    async def history() -> Step:
        gone = await store.forget_history(now() - history_days * DAY_MS)
        return Step(gone, gone > 0)

    async def sessions() -> Step:
        gone = await store.forget_sessions(now())
        return Step(gone, gone > 0)

    async def troubles() -> Step:
        return Step(await store.forget_troubles(now() - SILENT_MS), more=False)

    async def audit() -> Step:
        return Step(await forget_old(store, store, store, now()), more=False)

    async def certificates() -> Step:
        ending = await store.warn_of_ending_credentials(now())
        for credential, days in ending:
            shown = ids.encode(ids.CREDENTIAL, credential.id)
            log.warning("credential.expiring", credential=shown, app=credential.app_name, days=days)
        return Step(len(ending), more=False)

    async def space() -> Step:
        pages = await store.compact()
        if not pages:
            await store.checkpoint()
        return Step(pages, pages > 0)

    return [
        Chore(name="operations", every=MINUTE, slice=_Ended(store, clock, retention_days).slice),
        Chore(name="apps", every=MINUTE, slice=apps),
        Chore(name="users", every=10 * MINUTE, slice=users),
        Chore(name="idempotency", every=10 * MINUTE, slice=keys),
        Chore(name="tokens", every=10 * MINUTE, slice=tokens),
        Chore(name="history", every=10 * MINUTE, slice=history),
        Chore(name="sessions", every=10 * MINUTE, slice=sessions),
        Chore(name="troubles", every=10 * MINUTE, slice=troubles),
        Chore(name="certificates", every=60 * MINUTE, slice=certificates),
        Chore(name="audit", every=24 * 60 * MINUTE, slice=audit),
        Chore(name="space", every=10 * MINUTE, slice=space),
    ]
