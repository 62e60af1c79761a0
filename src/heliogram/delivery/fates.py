"""What the provider's answers say of device tokens, done to them once a chunk's outcomes are on disk."""

from __future__ import annotations

import structlog

from ..ports import DeviceFate, LeasedChunk, PushResult, RegistrationStore
from .plan import Target

log = structlog.get_logger(__name__)

GRACE_WITHOUT_TIMESTAMP_MS = 24 * 3600 * 1000
"""A 410 without a time ends a token only if its app has been silent for a day (ERR-2)."""


class Fates:
    """Collects what answers to one chunk said of tokens: dead ones are removed, wrong ones quarantined."""

    def __init__(self, chunk: LeasedChunk, store: RegistrationStore) -> None:
        self._account, self._app_name = chunk.account_id, chunk.spec.app_name
        self._store = store
        self._waiting: list[tuple[Target, PushResult]] = []

    def __repr__(self) -> str:
        return f"Fates(waiting={len(self._waiting)})"

    def take(self, target: Target, result: PushResult) -> None:
        """Notes an answer, if it says anything of the token."""
        if result.device is not DeviceFate.KEEP:
            self._waiting.append((target, result))

    async def settle(self, now: int) -> None:
        """Does to the tokens what was said of them; `now` in ms."""
        store, account, app_name = self._store, self._account, self._app_name
        for target, result in self._waiting:
            if result.device is DeviceFate.REMOVE:
                since = result.timestamp
                if since is None:
                    since = now - GRACE_WITHOUT_TIMESTAMP_MS
                done = await store.remove_device(account, app_name, target.provider, target.token, dead_since=since)
                log.info("device.removed" if done else "device.kept", app=app_name, reason=result.reason, since=since)
            else:
                await store.quarantine_device(
                    account, app_name, target.provider, target.token, reason=result.reason, at=now
                )
                log.info("device.quarantined", app=app_name, reason=result.reason)
        self._waiting.clear()
