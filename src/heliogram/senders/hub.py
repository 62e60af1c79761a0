"""What reaches all processes: hints of new and cancelled work, credentials that fail and that work again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from ..delivery.breaker import Breakers
from ..delivery.refusal import Refusal
from ..domain.apps import Credential
from ..domain.operations import Lane
from ..observe.engine import Engine
from ..observe.tally import Digest
from ..ports import Clock, LeaseStore
from ..queue.db import DbQueue
from .desk import Desk
from .messages import Alarm, Canceled, LetGo, Measured, Mended, Refused, Saw, ToSender, Wake


class Switchboard:
    """Passes on what one process has to say to the others. `breakers` and `queue` are the serving process's own, and
    `heard` is told what senders saw, `engine` how theirs is."""

    def __init__(
        self,
        breakers: Breakers,
        alarm: Callable[[Credential, str], object],
        heard: Callable[[Digest], object] = lambda _: None,
        engine: Engine | None = None,
    ) -> None:
        self.desks: set[Desk] = set()
        self.queue: HubQueue | None = None
        self._breakers, self._alarm, self._heard = breakers, alarm, heard
        self._engine = engine
        breakers.tell = self._tell

    @property
    def senders(self) -> int:
        """How many senders there are."""
        return len(self.desks)

    def __repr__(self) -> str:
        return f"Switchboard(desks={len(self.desks)})"

    def hint(self, message: ToSender, *, but: Desk | None = None) -> None:
        """Tells every sender what it would find out by itself."""
        for desk in self.desks:
            if desk is not but:
                desk.hint(message)

    def wake(self, lanes: Iterable[Lane]) -> None:
        """Something fell due in these lanes."""
        for lane in lanes:
            if self.queue is not None:
                self.queue.wake(lane)

    def refusals(self) -> list[Refusal]:
        """Everything that fails now."""
        return self._breakers.refusals()

    def _tell(self, refusal: Refusal) -> None:
        self.hint(Refused(refusal))

    # ---- from senders

    async def let_go(self, message: LetGo, sender: Desk) -> int:
        """A sender found that a credential works again, or is another now; how many chunks are due."""
        account, credential_id = message.account, message.credential_id
        if message.most is None:
            self._breakers.reset(account, credential_id)
            self.hint(Mended(account, credential_id), but=sender)
        return 0 if self.queue is None else await self.queue.let_go_here(account, credential_id, most=message.most)

    def refused(self, message: Refused, sender: Desk) -> None:
        """A sender met a refusal."""
        self._breakers.hear(message.refusal)
        self.hint(message, but=sender)

    def alarm(self, message: Alarm) -> None:
        """A sender met a refusal that the account should know of."""
        self._alarm(message.credential, message.reason)

    def saw(self, message: Saw) -> None:
        """A sender wrote outcomes."""
        self._heard(message.digest)

    def measured(self, message: Measured, sender: Desk) -> None:
        """A sender tells how its engine is."""
        if self._engine is not None:
            self._engine.told(id(sender), message.samples)

    def left(self, sender: Desk) -> None:
        """A sender is gone."""
        self.desks.discard(sender)
        if self._engine is not None:
            self._engine.gone(id(sender))


class HubQueue(DbQueue):
    """The serving process's queue: what it is told, senders hear, too. `lanes` are theirs."""

    def __init__(
        self, store: LeaseStore, clock: Clock, worker: str, *, switchboard: Switchboard, lanes: Collection[Lane]
    ) -> None:
        super().__init__(store, clock, worker)
        self._switchboard, self._theirs = switchboard, frozenset(lanes)
        switchboard.queue = self

    def wake(self, lane: Lane, shard: int | None = None) -> None:
        """A hint that something was put into the lane."""
        super().wake(lane, shard)
        if lane in self._theirs:
            self._switchboard.hint(Wake(lane))

    def canceled(self, operation_id: bytes) -> None:
        """A hint that an operation was cancelled."""
        super().canceled(operation_id)
        self._switchboard.hint(Canceled(operation_id))

    async def let_go(self, account: bytes, credential_id: bytes, *, most: int | None = None) -> int:
        """What waits for a credential is due now; how many chunks that were. When it is all, the credential works for
        senders, too."""
        chunks = await super().let_go(account, credential_id, most=most)
        if most is None:
            self._switchboard.hint(Mended(account, credential_id))
        return chunks

    async def let_go_here(self, account: bytes, credential_id: bytes, *, most: int | None = None) -> int:
        """As `let_go`, for what senders know by another way."""
        chunks = await super().let_go(account, credential_id, most=most)
        for lane in self._theirs if chunks else ():
            self._switchboard.hint(Wake(lane))
        return chunks
