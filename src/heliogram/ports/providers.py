"""Who carries pushes to devices."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ..domain.apps import CredentialState, CredentialType, OpenedCredential, ParsedCredential, ProviderName
from ..domain.channels import Channel, StoragePolicy
from ..domain.notifications import Outcome


class Push(msgspec.Struct, gc=False, kw_only=True):
    """One push for a provider. `tag` comes back in the answer. `expiration` is in seconds since 1970.

    With a `channel` (base64, as APNs gives it) it is a broadcast, and `token` is not looked at. `topic` is another one
    than the credential's.
    """

    tag: Any
    token: bytes
    apns_id: str
    payload: bytes
    push_type: str = "alert"
    priority: int = 10
    expiration: int | None = None
    collapse_id: str | None = None
    channel: str | None = None
    topic: str | None = None


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
    CREDENTIAL = enum.auto()
    """The credential is refused, or cannot be used: when it works again."""
    TOPIC = enum.auto()
    """The credential is good, but not for the topic that its own pushes have: when it is."""
    FORBIDDEN = enum.auto()
    """Never this one; and the credential is refused, so others wait."""
    UNREACHABLE = enum.auto()
    """The provider cannot be reached with this credential: when it can."""


class DeviceFate(enum.Enum):
    """What an answer says about the device token."""

    KEEP = enum.auto()
    REMOVE = enum.auto()
    QUARANTINE = enum.auto()


class PushResult(msgspec.Struct, gc=False, kw_only=True):
    """How one push ended. `timestamp` is the provider's, in ms; `reason` its word, or the cause of no answer. `works`
    says that the provider took the credential and its topic, whatever it said of the rest."""

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
    works: bool = False


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a credential works. `reason` is the provider's word, empty when it gave none; `message` says in words
    what is wrong, and what to do."""

    ok: bool
    reason: str = ""
    message: str


class ChannelRefused(Exception):
    """The provider did not do what was asked of its channels.

    `reason` is its word, empty when no answer came. `unknown_channel` says that there is no such channel, `later` that
    the same may work at another time, `perhaps_done` that it may have happened all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        unknown_channel: bool = False,
        later: bool = False,
        perhaps_done: bool = False,
    ) -> None:
        self.reason, self.unknown_channel, self.later, self.perhaps_done = reason, unknown_channel, later, perhaps_done
        super().__init__(message)


class Channels(Protocol):
    """Broadcast channels. Every call may raise `ChannelRefused`."""

    async def create_channel(self, credential: OpenedCredential, policy: StoragePolicy) -> str:
        """Makes a channel; its id."""

    async def read_channel(self, credential: OpenedCredential, channel_id: str) -> Channel:
        """What a channel is like."""

    async def list_channels(self, credential: OpenedCredential) -> list[str]:
        """The ids of all channels of the credential's app in its environment."""

    async def delete_channel(self, credential: OpenedCredential, channel_id: str) -> None:
        """Removes a channel for good."""


class Provider(Channels, Protocol):
    """Someone who carries pushes to devices."""

    name: ProviderName

    def parse_credential(self, type: CredentialType, content: Mapping[str, Any]) -> ParsedCredential:  # noqa: A002
        """Reads an uploaded credential. Raises `Invalid` with paths below `$.content`, never quoting a secret.

        `content` has the fields of the API; of a related credential the key id, too: `relatedKeyId`."""

    def payload_limit(self, push_type: str) -> int:
        """The most bytes a payload may have (SIZE-1); `broadcast` counts as a push type here."""

    def topic(self, base: str, push_type: str) -> str:
        """The topic of a push type for an app's bundle id, or for a topic that a send names (4.2)."""

    def topic_key(self, push_type: str) -> str:
        """What push types have in common that share a topic of a credential; `broadcast` counts as a push type here."""

    def send(
        self,
        credential: OpenedCredential,
        pushes: Sequence[Push],
        *,
        stop: asyncio.Future[None] | None = None,
        fresh: bool = False,
    ) -> AsyncGenerator[list[PushResult], None]:
        """Sends, and yields exactly one result per push as they come, many at a time. What the credential cannot send
        is said before anything leaves. With a revoked credential nothing leaves. Once `stop` is done nothing more
        leaves, and what had not left by then has no result. `fresh` asks for new connections: what was used so far met
        trouble."""

    async def send_one(
        self,
        credential: OpenedCredential,
        push: Push,
        *,
        stop: asyncio.Future[None] | None = None,
        fresh: bool = False,
    ) -> PushResult | None:
        """As `send`, for one push: its result, None when `stop` was done before it left."""

    async def check(self, credential: OpenedCredential, *, seconds: float = 10.0) -> CheckResult:
        """Proves a credential with a push to a device that is not there, within so many seconds."""

    def held(self) -> list[tuple[bytes, bytes, CredentialState]]:
        """Account, id and state of the credentials that have connections."""

    def follow(self, credential: OpenedCredential) -> None:
        """Brings the connections of a credential to its revision and epoch, if it has any: old ones finish what is
        open on them."""

    def end(self, credential_id: bytes) -> None:
        """Closes every connection of a revoked or deleted credential at once: nothing leaves with it any more."""

    async def close(self) -> None:
        """Drains and closes every connection."""


Providers = Mapping[ProviderName, Provider]
