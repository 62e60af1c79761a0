"""When a key was last used: written at most once a minute, beside the requests."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from ..domain.accounts import ApiKey
from ..domain.errors import Unavailable
from ..ports import KeyStore

EVERY_MS = 60_000

_log = logging.getLogger("heliogram.security")


class LastUse:
    """Notes the use of keys. A note that fails is tried again with the next use after a minute: it is a convenience for
    people, and no request waits for it or fails with it."""

    def __init__(self, store: KeyStore, *, size: int) -> None:
        self._store = store
        self._size = size
        self._noted: OrderedDict[bytes, int] = OrderedDict()
        self._writing: dict[bytes, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"LastUse(keys={len(self._noted)}, writing={len(self._writing)})"

    def note(self, key: ApiKey, now: int) -> None:
        """`key` was used at `now` (ms)."""
        noted = self._noted.get(key.id)
        if noted is not None and now - noted < EVERY_MS:
            return
        self._noted[key.id] = now
        self._noted.move_to_end(key.id)
        while len(self._noted) > self._size:
            self._noted.popitem(last=False)
        if key.last_used is not None and now - key.last_used < EVERY_MS:
            self._noted[key.id] = key.last_used
        elif key.id not in self._writing:
            task = asyncio.get_running_loop().create_task(self._write(key, now))
            self._writing[key.id] = task
            task.add_done_callback(lambda _: self._writing.pop(key.id, None))

    async def _write(self, key: ApiKey, now: int) -> None:
        try:
            await self._store.touch_api_key(key.account_id, key.id, now)
        except Unavailable as error:
            _log.debug("the last use of a key was not written: %s", error)
