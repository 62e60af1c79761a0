"""The last minutes of all nodes together, as they tell each other by the store they share."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import msgspec
import structlog

from ..once import Once
from ..pacing import pause, turn
from ..ports import ActivityStore, Clock, LaneDepth, SecondOf, SeenOutcomes, ToldActivity, Wanted
from ..ports.activity import MAX_TOLD, WINDOW_SECONDS
from .activity import Lanes
from .recent import Recent
from .telling import Telling, Told

log = structlog.get_logger(__name__)

WANTED_MS = 60_000
"""An account is wanted for so long after somebody looked,"""
RENEW_SECONDS = 20.0
"""and whoever goes on looking says so again this often."""
READ_SECONDS = 0.5
"""What was told is read no more often than this."""
WAIT_SECONDS = 2.0
"""Who looks first waits so long at most until all nodes that send have told what they know."""
ASK_SECONDS = 0.1
SLICE = 4
"""Rows that are read into in one slice of the event loop's time."""
MAX_VIEWS = 100
"""Accounts whose last minutes are kept in memory; of more, the one nobody looked at for longest is read anew."""


class _View:
    """What was read of an account."""

    __slots__ = ("again", "heard", "names", "recent", "renew", "turn")

    def __init__(self) -> None:
        self.recent = Recent()
        self.turn = 0
        self.names: dict[str, float] = {}
        self.heard: dict[bytes, int] = {}
        self.again = self.renew = 0.0


class AllNodes:
    """`ports.ActivityBook`: what all nodes tell, this one too; each numbers outcomes alike."""

    def __init__(
        self, store: ActivityStore, clock: Clock, lanes: Lanes, *, node: str, telling: Telling | None = None
    ) -> None:
        self._store, self._clock, self._lanes = store, clock, lanes
        self._node, self._telling = node, telling
        self._views: OrderedDict[bytes, _View] = OrderedDict()
        self._asking = Once[bytes, None]()

    def __repr__(self) -> str:
        return f"AllNodes({self._node!r}, views={len(self._views)})"

    @property
    def node(self) -> str:
        """See the port."""
        return self._node

    @property
    def sends(self) -> bool:
        """See the port: it hears of those that do."""
        return True

    async def refresh(self, account: bytes) -> None:
        """Reads what was told since it was read last; who looks first waits until those that send have told it, two
        seconds at most. Raises `StoreError`."""
        await self._asking.ask(account, partial(self._refresh, account))

    async def _refresh(self, account: bytes) -> None:
        view = self._view(account)
        now = self._clock.monotonic()
        if now < view.again:
            return
        wanted: Wanted | None = None
        if now >= view.renew:
            wanted = await self._store.want_activity(account, WANTED_MS)
            if wanted.turn < view.turn:  # the database has lost what was told: it was no more than that
                view = self._views[account] = _View()
            view.renew = now + RENEW_SECONDS
        await self._read(account, view)
        if wanted is not None and wanted.fresh:
            await self._wait(account, view, wanted)
        view.again = self._clock.monotonic() + READ_SECONDS

    def _view(self, account: bytes) -> _View:
        view = self._views.setdefault(account, _View())
        self._views.move_to_end(account)
        if len(self._views) > MAX_VIEWS:
            self._views.popitem(last=False)
        return view

    async def _wait(self, account: bytes, view: _View, wanted: Wanted) -> None:
        """Until everybody who sends has told what there is."""
        if self._telling is not None:
            self._telling.poke()
        until = self._clock.monotonic() + WAIT_SECONDS
        while self._clock.monotonic() < until:
            if all(view.heard.get(node, 0) > wanted.turn for node in wanted.senders):
                return
            await pause(self._clock, ASK_SECONDS)
            await self._read(account, view)

    async def _read(self, account: bytes, view: _View) -> None:
        more = True
        while more:
            rows = await self._store.told_activity(account, view.turn)
            for number, row in enumerate(rows, 1):
                self._add(view, row)
                if number % SLICE == 0:
                    await turn(is_request=True)
            more = len(rows) == MAX_TOLD
        now = self._clock.time()
        view.recent.forget(int(now) - WINDOW_SECONDS)
        view.names = {name: at for name, at in view.names.items() if at >= now - WINDOW_SECONDS}

    def _add(self, view: _View, row: ToldActivity) -> None:
        view.turn, view.recent.last = row.turn, row.last
        view.heard[row.node] = row.turn
        now = self._clock.time()
        view.names[row.name] = max(view.names.get(row.name, 0.0), now - row.age / 1000)
        try:
            told = msgspec.msgpack.decode(row.body, type=Told)
        except msgspec.MsgspecError as error:  # of a later version
            log.debug("activity.not_understood", node=row.name, error=str(error))
            return
        for second in told.seconds:
            at = min(second.at, int(now) + 1)  # of another node's clock
            if at >= int(now) - WINDOW_SECONDS:
                view.recent.second(at).add(second.counts, second.answers, second.reasons)
        before = row.last - row.outcomes
        view.recent.outcomes.extend((before + place, row.name, ended) for place, ended in told.outcomes)

    def nodes(self, account: bytes) -> list[str]:
        """See the port: those that told something in the last five minutes, if only that they are there."""
        return sorted(self._known(account).names)

    def seconds(self, account: bytes) -> list[SecondOf]:
        """See the port."""
        return self._known(account).recent.told()

    def reasons(self, account: bytes) -> list[tuple[str, int]]:
        """See the port; at most 50."""
        return self._known(account).recent.reasons()

    def outcomes(self, account: bytes, *, after: int | None, limit: int) -> SeenOutcomes:
        """See the port."""
        return self._known(account).recent.seen(after, limit)

    async def lanes(self, account: bytes) -> list[LaneDepth]:
        """See the port."""
        return await self._lanes.of(account)

    def _known(self, account: bytes) -> _View:
        return self._views.get(account) or _View()
