"""Who carries pushes to devices."""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ..domain.apps import CredentialType, OpenedCredential, ParsedCredential, ProviderName
from ..domain.notifications import Outcome


class Push(msgspec.Struct, gc=False, kw_only=True):
    """One push for a provider. `tag` comes back in the answer. `expiration` is in seconds since 1970."""

    tag: Any
    token: bytes
    apns_id: str
    payload: bytes
    push_type: str = "alert"
    priority: int = 10
    expiration: int | None = None
    collapse_id: str | None = None


class Retry(enum.Enum):
    """Whether a push that was not accepted may be tried again, and on what terms."""

    NEVER = enum.auto()
    ONCE = enum.auto()
    """Its fate is unknown: once more, with the same id."""
    SOON = enum.auto()
    """It provably never reached the provider, or a fresh connection will do."""
    LATER = enum.auto()
    """The provider has trouble: back off."""
    DEVICE = enum.auto()
    """Too many to this one device: back off for it alone."""


class DeviceFate(enum.Enum):
    """What an answer says about the device token."""

    KEEP = enum.auto()
    REMOVE = enum.auto()
    QUARANTINE = enum.auto()


class PushResult(msgspec.Struct, gc=False, kw_only=True):
    """How one push ended. `timestamp` is the provider's, in ms; `reason` its word, or the cause of no answer."""

    tag: Any
    outcome: Outcome
    status: int = 0
    reason: str = ""
    timestamp: int | None = None
    unique_id: str = ""
    wire_ms: int = 0
    retry_after: float | None = None
    retry: Retry = Retry.NEVER
    device: DeviceFate = DeviceFate.KEEP


class Provider(Protocol):
    """Someone who carries pushes to devices."""

    name: ProviderName

    def parse_credential(self, type: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:  # noqa: A002
        """Reads an uploaded credential. Raises `Invalid` with paths below `$.content`, never quoting a secret."""

    def payload_limit(self, push_type: str) -> int:
        """The most bytes a payload may have (SIZE-1)."""

    def send(self, credential: OpenedCredential, pushes: Sequence[Push]) -> AsyncGenerator[PushResult, None]:
        """Sends, and yields exactly one result per push as they come."""

    async def close(self) -> None:
        """Drains and closes every connection."""


Providers = Mapping[ProviderName, Provider]
