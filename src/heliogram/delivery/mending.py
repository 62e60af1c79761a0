"""What waits for a failing credential goes on when the credential is another one: rotated, reconnected, revoked,
deleted, or no longer the one its app sends with. And somebody tries it when it is time to, also when what was to do so
has been cancelled."""

from __future__ import annotations

import structlog

from ..domain import ids
from ..domain.apps import Credential
from ..ports import OneAppStore, WorkQueue
from .breaker import Breakers

log = structlog.get_logger(__name__)


class Mender:
    """Compares the credentials that fail with how they stand in the store."""

    def __init__(self, store: OneAppStore, queue: WorkQueue, breakers: Breakers) -> None:
        self._store, self._queue, self._breakers = store, queue, breakers

    def __repr__(self) -> str:
        return f"Mender({self._breakers!r})"

    async def look(self, now: int) -> None:
        """Looks once, at this moment (ms)."""
        for account, credential_id, refused in self._breakers.open():
            stands = await self._store.get_credential(account, credential_id)
            if stands is None or refused is None or _state(stands) != _state(refused):
                self._breakers.reset(account, credential_id)
                chunks = await self._queue.let_go(account, credential_id)
                log.info("credential.changed", credential=ids.encode(ids.CREDENTIAL, credential_id), chunks=chunks)
        for account, credential_id in self._breakers.call_others(now):
            await self._queue.let_go(account, credential_id, most=1)


def _state(credential: Credential) -> tuple[object, ...]:
    return credential.revision, credential.epoch, credential.revoked, credential.is_default
