"""The protocols the service depends on; `app.py` fills them with adapters.

Every store method takes the account first: there is no look-up by a bare id, except of an API key, by which the
account is found. Times are milliseconds since 1970, ids are 16 raw bytes.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from .domain.accounts import Account, ApiKey, Principal
from .domain.apps import (
    App,
    Credential,
    CredentialType,
    Environment,
    OpenedCredential,
    ParsedCredential,
    ProviderName,
)
from .domain.devices import Device, DeviceRegistration, NewDevice, Registered
from .domain.notifications import (
    DeliveryRecord,
    Notification,
    NotificationStatus,
    Outcome,
    Recipient,
    SendSpec,
)
from .domain.operations import Counts, Lane, NewChunk, Operation, OperationStatus


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Forget it."""


class Clock(Protocol):
    """Time as a parameter: tests bring their own."""

    def time(self) -> float:
        """Seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds that never step."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Calls back once, `delay` seconds from now."""


class Sealer(Protocol):
    """Keeps secrets closed at rest. What is sealed opens only in its own place."""

    def seal(self, plain: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The sealed bytes."""

    def open(self, sealed: bytes, *, table: str, column: str, row: bytes, account: bytes) -> bytes:
        """The plain bytes; raises `ValueError` when the place or the key is another."""


class Authenticator(Protocol):
    """Tells who is calling."""

    async def authenticate(self, key_id: str, secret: str) -> Principal | None:
        """The principal of a key id and its secret; None for anything wrong. Revocation acts within a second."""


T = TypeVar("T")


class Listed(msgspec.Struct, Generic[T], frozen=True):
    """One page, newest first. `next` is an opaque cursor of the store, None on the last page."""

    items: tuple[T, ...]
    next: bytes | None = None


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a list that is wanted: `after` a cursor, at most `limit` items, made in [start, end)."""

    limit: int = 50
    after: bytes | None = None
    start: int | None = None
    end: int | None = None


class KeyStore(Protocol):
    """Accounts and API keys."""

    async def default_account(self) -> Account:
        """The account that the first start of an instance made."""

    async def create_api_key(self, account: bytes, key: ApiKey) -> None:
        """Keeps a new key."""

    async def list_api_keys(self, account: bytes) -> list[ApiKey]:
        """All keys of the account, newest first, revoked ones too."""

    async def revoke_api_key(self, account: bytes, key_id: bytes, at: int) -> bool:
        """Ends a key; False when the account has no such key that was still good."""

    async def find_api_key(self, key_id: bytes) -> ApiKey | None:
        """The key with this id, of whichever account."""


class AppStore(Protocol):
    """Apps and credentials."""

    async def create_credential(self, account: bytes, credential: Credential, sealed: bytes) -> Credential:
        """Keeps a credential, and makes its app if this is the first. The first of a type becomes the default of it;
        `is_default` makes it so. Raises `LimitReached` at 10 apps an account or 10 credentials an app."""

    async def get_credential(self, account: bytes, credential_id: bytes) -> Credential | None:
        """A credential without its secret."""

    async def sealed_credential(self, account: bytes, credential_id: bytes) -> tuple[Credential, bytes] | None:
        """A credential and its sealed secret."""

    async def list_credentials(
        self,
        account: bytes,
        window: Window,
        *,
        app_name: str | None = None,
        type: CredentialType | None = None,  # noqa: A002 - the name callers know
        is_default: bool | None = None,
    ) -> Listed[Credential]:
        """Credentials, newest first."""

    async def delete_credential(self, account: bytes, credential_id: bytes, at: int) -> bool:
        """Removes it; with an app's last credential go the app and its device registrations. When a default goes, the
        oldest credential left of its type becomes the default. When the default app goes, the oldest app left does."""

    async def get_app(self, account: bytes, name: str) -> App | None:
        """An app."""

    async def default_app(self, account: bytes) -> App | None:
        """The account's default app, None while it has none."""

    async def list_apps(self, account: bytes, window: Window, *, is_default: bool | None = None) -> Listed[App]:
        """Apps, newest first."""


class RegistrationStore(Protocol):
    """Users and their devices."""

    async def register_device(self, account: bytes, device: NewDevice, at: int) -> Registered:
        """Adds a device to a user's registration, or renews it. Idempotent: the same token again renews
        `registered_at` and revives a quarantined one; a token of another user of the app moves to this one.
        The 51st device displaces the least recently registered.
        Raises `NotFound` for an unknown app or user."""

    async def get_registration(self, account: bytes, registration_id: bytes) -> DeviceRegistration | None:
        """A registration with its devices."""

    async def list_registrations(
        self, account: bytes, window: Window, *, user_id: bytes, app_name: str | None = None
    ) -> Listed[DeviceRegistration]:
        """A user's registrations, newest first."""

    async def delete_registration(self, account: bytes, registration_id: bytes) -> bool:
        """Removes a registration and all its devices."""

    async def missing_users(self, account: bytes, user_ids: Iterable[bytes]) -> set[bytes]:
        """Which of these the account does not have (deleted ones count as missing)."""

    async def devices_of_users(
        self, account: bytes, app_name: str, user_ids: Iterable[bytes]
    ) -> dict[bytes, list[Device]]:
        """The devices of users in an app, in one query, quarantined ones left out."""

    async def token_environments(
        self, account: bytes, app_name: str, tokens: Iterable[bytes]
    ) -> dict[bytes, Environment]:
        """For APNs tokens known under the app with an environment: which."""

    async def remove_device(
        self, account: bytes, app_name: str, provider: ProviderName, token: bytes, *, dead_since: int | None
    ) -> bool:
        """Removes a token that the provider called dead, but only if the app registered it before `dead_since` (ms,
        ERR-1); without a time always. False when it was registered later, or is not there."""

    async def quarantine_device(
        self, account: bytes, app_name: str, provider: ProviderName, token: bytes, *, reason: str, at: int
    ) -> bool:
        """Stops sending to a token, keeping it and the reason, until it is registered anew."""


class NotificationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of notifications is narrowed to."""

    operation_id: bytes | None = None
    status: NotificationStatus | None = None
    user_id: bytes | None = None
    provider: ProviderName | None = None


class OperationStore(Protocol):
    """Accepted sends, as callers see them."""

    async def accept(self, account: bytes, operation: Operation, chunks: Sequence[NewChunk], *, shard: int = 0) -> None:
        """Makes an operation and its chunks durable, all or nothing: when this returns, they are on disk."""

    async def get_operation(self, account: bytes, operation_id: bytes) -> Operation | None:
        """An operation with its counters."""

    async def list_operations(
        self, account: bytes, window: Window, *, status: OperationStatus | None = None
    ) -> Listed[Operation]:
        """Operations, newest first."""

    async def get_notification(self, account: bytes, notification_id: bytes) -> Notification | None:
        """The notification with this id, whichever slot the id carries."""

    async def list_notifications(
        self, account: bytes, window: Window, wanted: NotificationFilter
    ) -> Listed[Notification]:
        """Notifications, newest operation first, within it in the order of recipients."""


class LeasedChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk handed to a worker until `until`. `attempt` fences every later write: a write of an older attempt changes
    nothing. `records` is what earlier attempts wrote; `first` the sequence of the first recipient."""

    account_id: bytes
    id: bytes
    operation_id: bytes
    lane: Lane
    shard: int
    attempt: int
    until: int
    first: int
    recipients: list[Recipient]
    records: list[DeliveryRecord]
    spec: SendSpec
    created: int

    def __repr__(self) -> str:
        return f"LeasedChunk({self.id.hex()}, attempt={self.attempt}, recipients={len(self.recipients)})"


class WorkStore(Protocol):
    """The queue's side of the store."""

    async def claim(
        self, lane: Lane, shard: int, *, limit: int, now: int, until: int, worker: str
    ) -> list[LeasedChunk]:
        """Takes due chunks of one shard, the longest due first: neither leased nor done, or with an expired lease."""

    async def next_due(self, lane: Lane, shard: int) -> int | None:
        """When the next chunk falls due (or its lease expires), None when none waits."""

    async def extend(self, chunk: LeasedChunk, until: int) -> bool:
        """Keeps a lease alive; False when another attempt holds the chunk."""

    async def append_records(self, chunk: LeasedChunk, records: Sequence[DeliveryRecord], counts: Counts) -> bool:
        """Appends a result part. `counts` are the chunk's counters with it, in whole. False when fenced off."""

    async def finish(self, chunk: LeasedChunk, at: int) -> bool:
        """The chunk is done; the operation is COMPLETED with its last chunk. False when fenced off."""

    async def release(self, chunk: LeasedChunk, due: int) -> bool:
        """Gives the chunk back, to be claimed again from `due` on. False when fenced off."""

    async def release_all(self, now: int) -> int:
        """Makes every leased chunk due now and tells how many. Only for a process that knows it is alone on the store:
        what a crash left leased goes on at once."""


class Store(KeyStore, AppStore, RegistrationStore, OperationStore, WorkStore, Protocol):
    """The truth. Adapters: `store.sqlite` and, later, `store.postgres`; one conformance suite for both."""

    async def close(self) -> None:
        """Finishes what was begun and closes."""


class WorkQueue(Protocol):
    """Where workers get chunks from."""

    async def lease(self, lanes: Sequence[Lane], limit: int) -> list[LeasedChunk]:
        """Waits until at least one chunk of these lanes is due and leases up to `limit`, earlier lanes first.
        Returns an empty list when the queue is closed."""

    def wake(self, lane: Lane) -> None:
        """A hint that something was put into the lane."""

    async def extend(self, chunk: LeasedChunk) -> bool:
        """Renews the lease."""

    async def done(self, chunk: LeasedChunk) -> bool:
        """The chunk is finished."""

    async def retry(self, chunk: LeasedChunk, due: int) -> bool:
        """The chunk goes back until `due` (ms)."""

    async def close(self) -> None:
        """No more leases; waiting `lease` calls return."""


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
