"""How credentials do, and how this process does."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that the provider refuses: with which reason, since when, and when a push is tried with it next
    (both ms)."""

    reason: str
    since: int
    probe_at: int


class Health(Protocol):
    """Which credentials fail, as far as this process knows."""

    def failing(self, account: bytes, credential_id: bytes) -> Failing | None:
        """What is wrong with a credential; None when nothing is known to be."""


class Healthy:
    """Where nothing is sent, nothing fails."""

    def failing(self, account: bytes, credential_id: bytes) -> Failing | None:
        """None."""
        return None


class Readiness(Protocol):
    """Whether this process can do what it is there for."""

    async def missing(self) -> list[str]:
        """What keeps it from that, each in a few words that name no secret; nothing when all is well."""


class Ready:
    """Nothing is ever missing."""

    async def missing(self) -> list[str]:
        """Nothing."""
        return []
