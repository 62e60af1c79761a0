"""Which shard of the queue a send goes through, where there are several: the sends of one team stay together."""

from __future__ import annotations

from ..domain.notifications import SendSpec
from ..domain.shards import Sharding, team_of
from ..ports import Clock, OneAppStore

KEPT_SECONDS = 60.0
"""How long the team of a sender is believed: a send on the wrong shard is delivered all the same."""
MOST = 10_000

_Sender = tuple[bytes, str | bytes]


class Shards:
    """Finds the team of whoever sends, and remembers it for a minute."""

    def __init__(self, sharding: Sharding, store: OneAppStore, clock: Clock) -> None:
        self._sharding, self._store, self._clock = sharding, store, clock
        self._teams: dict[_Sender, tuple[float, str]] = {}

    def __repr__(self) -> str:
        return f"Shards(of={self._sharding.count}, senders={len(self._teams)})"

    async def of(self, account: bytes, spec: SendSpec, operation: bytes) -> int:
        """The shard of a send."""
        if self._sharding.count == 1:
            return 0
        sender: _Sender = account, spec.app_name if spec.apn is None else spec.apn
        kept, now = self._teams.get(sender), self._clock.monotonic()
        if kept is None or now - kept[0] >= KEPT_SECONDS:
            if len(self._teams) >= MOST:
                self._teams.clear()
            kept = self._teams[sender] = now, await self._team(account, spec)
        return self._sharding.of(kept[1], operation)

    async def _team(self, account: bytes, spec: SendSpec) -> str:
        """The team of the credential that most of it will go through; without one, the account's own."""
        ident = spec.apn
        if ident is None:
            app = await self._store.get_app(account, spec.app_name)
            defaults = () if app is None else app.default_credentials
            ident = min(((each.type, each.id) for each in defaults), default=(None, None))[1]
        credential = None if ident is None else await self._store.get_credential(account, ident)
        return account.hex() if credential is None else team_of(credential)
