"""What the provider's answers say of device tokens, done to them once a chunk's outcomes are on disk."""

from __future__ import annotations

import structlog

from ..domain.apps import Environment
from ..domain.history import TokenRefusal
from ..domain.notifications import Outcome
from ..ports import DeviceFate, DeviceStore, LeasedChunk, NoTap, PushResult, Tap
from .plan import Target
from .refusals import OF_TOPIC

log = structlog.get_logger(__name__)

GRACE_WITHOUT_TIMESTAMP_MS = 24 * 3600 * 1000
"""A 410 without a time ends a token only if its app has been silent for a day (ERR-2)."""


class Fates:
    """Collects what answers to one chunk said of tokens: dead ones are removed, wrong ones quarantined, and where
    nobody knew a token's environment, the one that took it is remembered (LIFE-4)."""

    def __init__(self, chunk: LeasedChunk, store: DeviceStore, tap: Tap | None = None) -> None:
        self._chunk, self._tap = chunk, NoTap() if tap is None else tap
        self._account, self._app_name = chunk.account_id, chunk.spec.app_name
        self._kind, self._topic = chunk.spec.kind, chunk.spec.topic
        self._store = store
        self._waiting: list[tuple[Target, PushResult]] = []
        self._learned: dict[bytes, Environment] = {}

    def __repr__(self) -> str:
        return f"Fates(waiting={len(self._waiting)}, learned={len(self._learned)})"

    def __bool__(self) -> bool:
        return bool(self._waiting or self._learned)

    def take(self, target: Target, result: PushResult) -> None:
        """Notes an answer, if it says anything of the token."""
        if result.device is not DeviceFate.KEEP:
            if result.reason == OF_TOPIC and self._topic is not None:
                return  # the caller chose the topic: the token is as good as it was
            self._waiting.append((target, result))
        elif target.unsure and target.environment is not None and result.outcome is Outcome.ACCEPTED:
            self._learn(target, target.environment)

    def _learn(self, target: Target, environment: Environment) -> None:
        # A token that is sent to directly may not be registered: not worth a write unless it had to be looked for.
        if target.slot or target.other is None:
            self._learned[target.token] = environment

    async def settle(self, now: int) -> None:
        """Does to the tokens what was said of them; `now` in ms."""
        store, account, app_name = self._store, self._account, self._app_name
        if self._learned:
            learned = await store.learn_environments(account, app_name, self._learned)
            log.info("device.environment_learned", app=app_name, devices=learned)
            self._learned.clear()
        for target, result in self._waiting:
            refusal = TokenRefusal(result.status, result.timestamp)
            if result.device is DeviceFate.REMOVE:
                since = result.timestamp
                if since is None:
                    since = now - GRACE_WITHOUT_TIMESTAMP_MS
                done = await store.remove_device(
                    account,
                    app_name,
                    target.provider,
                    target.token,
                    dead_since=since,
                    environment=target.environment,
                    reason=result.reason,
                    kind=self._kind,
                    remember=target.credential,
                    refusal=refusal,
                )
                self._tap.pruned(self._chunk, removed=int(done), quarantined=0)
                log.info("device.removed" if done else "device.kept", app=app_name, reason=result.reason, since=since)
            else:
                done = await store.quarantine_device(
                    account,
                    app_name,
                    target.provider,
                    target.token,
                    reason=result.reason,
                    at=now,
                    environment=target.environment,
                    kind=self._kind,
                    remember=target.credential,
                    refusal=refusal,
                )
                self._tap.pruned(self._chunk, removed=0, quarantined=int(done))
                log.info("device.quarantined", app=app_name, reason=result.reason)
        self._waiting.clear()
