"""What the API stands on: ports, filled by whoever builds the application."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from ..domain.backlog import QueueBounds
from ..domain.ids import IdFactory
from ..ports import (
    Authenticator,
    Clock,
    Health,
    Healthy,
    KeyMaker,
    Providers,
    Readiness,
    Ready,
    Sealer,
    Store,
    Webhooks,
    WorkQueue,
)

MIB = 1024 * 1024


class ApiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`public_url` is the base of the addresses in answers (default: as the request came in), `queue`
    how many recipients may wait, `body_limit` the most bytes of a request body, `body_seconds` the time one may take to
    arrive."""

    public_url: str | None = None
    queue: QueueBounds = QueueBounds()
    body_limit: int = 16 * MIB
    body_seconds: float | None = 60.0


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
    settings: ApiSettings = field(default_factory=ApiSettings)

    def now(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock.time() * 1000)
