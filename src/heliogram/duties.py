"""What one node of all does: telling webhooks, and removing what is over. Whoever has the office does both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from .domain.errors import Unavailable
from .pacing import first_of, pause
from .ports import Clock
from .upkeep import Chore, Upkeep
from .webhooks.courier import Tools
from .webhooks.pump import Pump

log = structlog.get_logger(__name__)

TRY_SECONDS = 1.0
"""How often a node without the office asks for it: so long nobody may have it when the one who had it is gone."""


class Term(Protocol):
    """A node's time in office."""

    @property
    def lost(self) -> asyncio.Event:
        """Set when another node may have it: what is under way stops at once."""

    async def end(self) -> None:
        """Gives it back."""


class Office(Protocol):
    """What at most one node has at a time."""

    async def claim(self) -> Term | None:
        """Takes it, unless another node has it. Raises `Unavailable` when nobody can be asked."""


class _ForGood:
    def __init__(self) -> None:
        self.lost = asyncio.Event()

    async def end(self) -> None:
        """There is nobody to give it to."""


class OnlyNode:
    """The office of a node that is alone on its store."""

    async def claim(self) -> Term | None:
        """It is this one's, for good."""
        return _ForGood()


class Duties:
    """Asks for the office until it has it, and does what goes with it until `stop` or until it is lost."""

    def __init__(self, tools: Tools, chores: Callable[[], Sequence[Chore]], clock: Clock, office: Office) -> None:
        self._tools, self._chores, self._clock, self._office = tools, chores, clock, office
        self._stopping = asyncio.Event()
        self._term: Term | None = None
        self._pump: Pump | None = None
        self._upkeep: Upkeep | None = None
        self._telling: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.terms = 0

    def __repr__(self) -> str:
        return f"Duties(in_office={self._term is not None}, terms={self.terms}, {self._pump!r})"

    def wake(self) -> None:
        """A hint that there is something to tell."""
        if self._pump is not None:
            self._pump.wake()

    async def run(self) -> None:
        """Works until `stop`; what is under way then is `finish`'s to end."""
        while not self._stopping.is_set():
            term = await self._claim()
            if term is None:
                await first_of(pause(self._clock, TRY_SECONDS), self._stopping.wait())
                continue
            self._begin(term)
            await first_of(term.lost.wait(), self._stopping.wait())
            if term.lost.is_set():
                log.warning("duties.lost", advice="another node may have them now; this one asks for them again")
                await self._leave(0)

    def stop(self) -> None:
        """Begins nothing more: `run` returns."""
        self._stopping.set()
        if self._upkeep is not None:
            self._upkeep.stop()

    async def finish(self, seconds: float) -> None:
        """After `run`: lets receivers of webhooks answer for so long, and gives the office back."""
        if self._term is not None:
            await self._leave(seconds)

    async def _claim(self) -> Term | None:
        try:
            return await self._office.claim()
        except Unavailable as error:
            log.warning("duties.unknown", error=str(error))
        except Exception:
            log.exception("duties.claim_failed")
        return None

    def _begin(self, term: Term) -> None:
        self.terms += 1
        self._term, self._pump = term, Pump(self._tools)
        self._upkeep = Upkeep(self._chores(), self._clock)
        self._telling = asyncio.create_task(self._pump.run())
        self._keeping = asyncio.create_task(self._upkeep.run())

    async def _leave(self, seconds: float) -> None:
        term, pump, upkeep, telling, keeping = self._term, self._pump, self._upkeep, self._telling, self._keeping
        if term is None or pump is None or upkeep is None or telling is None or keeping is None:
            return
        upkeep.stop()
        await keeping
        pump.drain()
        await asyncio.wait([telling], timeout=max(0.0, seconds))
        await pump.stop()
        await telling
        self._term = self._pump = self._upkeep = None
        await term.end()
