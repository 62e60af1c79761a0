"""What a broadcast channel consists of: its broadcasts, its followers, the message it keeps (BC-2, BC-3)."""

from __future__ import annotations

from collections import deque

import msgspec

from .lockscreen import Arrival
from .registry import App, Device
from .tables import STORED_BROADCAST_LIFE, Environment

PUSH_TYPE = "LiveActivity"
TOPIC_SUFFIX = b".push-type.liveactivity"
NO_MESSAGE_STORED = 0
MOST_RECENT_MESSAGE_STORED = 1
POLICIES = (NO_MESSAGE_STORED, MOST_RECENT_MESSAGE_STORED)
HISTORY = 100
"""Broadcasts remembered for each channel."""


class Broadcast(msgspec.Struct, frozen=True, kw_only=True):
    """A broadcast APNs accepted. ``expires_at``: when what is stored of it goes; None: nothing is stored."""

    serial: int
    arrival: Arrival
    expiration: int
    expires_at: float | None
    reached: int
    missed: int
    findings: tuple[str, ...] = ()


class Subscription(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """An app on a device that follows a channel."""

    device: Device
    app: App

    def __repr__(self) -> str:
        return f"<Subscription {self.device.id} {self.app.bundle_id}>"

    @property
    def holds(self) -> bool:
        """Whether the app is on the device still, and the same one."""
        return self.device.apps.get(self.app.bundle_id) is self.app


class Channel(msgspec.Struct, eq=False, kw_only=True):
    """A channel of one app in one environment. ``deleted``: only what it has stored is left of it (BC-2).

    ``stored``: the message it keeps; ``owed``: ids of the devices that follow it and have not had that message.
    """

    id: str
    bundle_id: str
    environment: Environment
    policy: int
    created_at: float
    broadcasts: deque[Broadcast] = msgspec.field(default_factory=lambda: deque(maxlen=HISTORY))
    subscriptions: dict[tuple[str, str], Subscription] = {}
    stored: Broadcast | None = None
    owed: set[str] = set()
    serial: int = 0
    deleted: bool = False
    window: float = 0.0
    taken: int = 0

    def __repr__(self) -> str:
        return f"<Channel {self.id} {self.bundle_id} {self.environment} subscriptions={len(self.subscriptions)}>"


def expires_at(policy: int, received_at: float, expiration: int) -> float | None:
    """When a stored message goes: after 8 hours, earlier if it says so; None: it is not stored (BC-3)."""
    if policy == NO_MESSAGE_STORED or expiration <= received_at:
        return None
    return min(received_at + STORED_BROADCAST_LIFE, float(expiration))
