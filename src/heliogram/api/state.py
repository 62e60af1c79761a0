"""What the API stands on: ports, filled by whoever builds the application."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ..domain.backlog import QueueBounds
from ..domain.ids import IdFactory
from ..ports import (
    ActivityBook,
    Authenticator,
    Clock,
    Health,
    Healthy,
    KeyMaker,
    NoActivity,
    Providers,
    Readiness,
    Ready,
    Sealer,
    Store,
    Webhooks,
    WorkQueue,
)
from .shards import Shards

MIB = 1024 * 1024


HOLD_MS = 60_000
"""How long a request may take before another with the same key may take over, unless the settings say otherwise: of
several nodes one may have died with it. A send that is taken over too early is still done once: it has one id."""


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`public_url` is the base of the addresses in answers (default: as the request came in), `queue`
    how many recipients may wait, `body_limit` the most bytes of a request body, `body_seconds` the time one may take to
    arrive, `hold_ms` how long a request holds its Idempotency-Key at most."""

    public_url: str | None = None
    queue: QueueBounds = QueueBounds()
    body_limit: int = 16 * MIB
    body_seconds: float | None = 60.0
    hold_ms: int = HOLD_MS


@dataclass(frozen=True, kw_only=True)
class ApiState:
    """The adapters behind the API."""

    store: Store
    queue: WorkQueue
    providers: Providers
    sealer: Sealer = field(repr=False)
    authenticator: Authenticator = field(repr=False)
    key_maker: KeyMaker = field(repr=False)
    webhooks: Webhooks
    clock: Clock
    ids: IdFactory
    health: Health = field(default_factory=Healthy)
    readiness: Readiness = field(default_factory=Ready)
    shards: Shards | None = None
    activity: ActivityBook = field(default_factory=NoActivity)
    settings: ApiSettings = field(default_factory=ApiSettings)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock.time() * 1000)
