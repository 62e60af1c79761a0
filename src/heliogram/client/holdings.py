"""What an account has: apps and their credentials and channels, users and their devices."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from .enums import CredentialType, DeviceState, Environment, KeyScope, Provider, StoragePolicy, TokenKind
from .outcomes import Pagination
from .structs import Given, Told


class DefaultCredential(Told, frozen=True, kw_only=True):
    """The credential used for a type when a send names none."""

    credential_type: CredentialType
    id: str


class AppCounts(Told, frozen=True, kw_only=True):
    """How much there is of an app: credentials, revoked ones too, and users with devices in it, counted to 10,000."""

    credentials: int
    users: int


class App(Told, frozen=True, kw_only=True):
    """An app. Lists leave `counts` out."""

    name: str
    is_default: bool
    default_credentials: list[DefaultCredential]
    created_at: datetime
    updated_at: datetime
    counts: AppCounts | UnsetType = UNSET


class AppPage(Told, frozen=True, kw_only=True):
    """A page of apps, newest first."""

    apps: list[App]
    pagination: Pagination


class DefaultFlag(Given, frozen=True, kw_only=True):
    """`true` makes it the default, in place of the one before. There is always one, so `false` is refused for the
    default itself, and changes nothing for any other."""

    is_default: bool


class Failing(Told, frozen=True, kw_only=True):
    """Why notifications wait for a credential. `reason` is APNs' word, or begins with `CertificateExpired`,
    `CredentialNotOpened` or, when APNs cannot be reached with it, `Unreachable`. `waiting` counts the recipients of
    whom something waits. At `probeAt` or soon after one push is tried; when it is taken, or the credential is rotated,
    reconnected or replaced, all of them go on."""

    reason: str
    since: datetime
    probe_at: datetime
    waiting: int


class LastAnswer(Told, frozen=True, kw_only=True):
    """APNs' last answer to a push with the credential, of whichever node: its status and, unless it took the push, its
    reason."""

    at: datetime
    status: int
    reason: str | None


class LastCheck(Told, frozen=True, kw_only=True):
    """What APNs said when the credential was last checked; its fields as those of the check itself."""

    ok: bool
    checked_at: datetime
    reason: str | None
    message: str


class Credential(Told, frozen=True, kw_only=True):
    """A credential. `content` holds what is not secret: `form` (token or certificate), key id, team id, bundle id,
    key scope, topics, a certificate's fingerprint and `notAfter`.

    `revision` counts its contents. `expiresAt` is the end of a certificate's life, `expiresInDays` the whole days until
    then (negative afterwards); keys have none. Since `revokedAt` it sends nothing. `failing` is null unless APNs
    refuses it or cannot be reached with it."""

    id: str
    credential_type: CredentialType
    is_default: bool
    app_name: str
    content: dict[str, Any]
    revision: int
    expires_at: datetime | None
    expires_in_days: int | None
    revoked_at: datetime | None
    created_at: datetime
    updated_at: datetime
    failing: Failing | None
    last_answer: LastAnswer | None
    last_success_at: datetime | None
    last_check: LastCheck | None


class CredentialPage(Told, frozen=True, kw_only=True):
    """A page of credentials, newest first."""

    credentials: list[Credential]
    pagination: Pagination


class CredentialContent(Given, frozen=True, kw_only=True):
    """One of three forms: a signing key (`signingKey`: the .p8 text or its base64) with its ids, a certificate and its
    private key (each base64 of the PEM text, or the PEM itself), or both together in a .p12 file (`pkcs12`: base64 of
    it) with its `password`.

    `keyScope` is what was chosen in the portal when the key was made: `team` for every topic of the team in one
    environment, `topic` for the `topics` listed. Leave it out for a key from before keys had one.
    `relatedCredentialId` is the credential of a topic key's related key."""

    hidden: ClassVar[frozenset[str]] = frozenset({"signing_key", "private_key", "pkcs12", "password"})

    signing_key: str | None = None
    key_id: str | None = None
    team_id: str | None = None
    bundle_id: str | None = None
    key_scope: KeyScope | None = None
    topics: list[str] | None = None
    related_credential_id: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    pkcs12: str | None = None
    password: str | None = None


class CreateCredential(Given, frozen=True, kw_only=True):
    """A new credential. An unknown `appName` makes the app; without it the default app is meant."""

    credential_type: CredentialType
    content: CredentialContent
    app_name: str | None = None
    is_default: bool = False
    """The app's default of its type. The first one is so whatever is said."""


class RotateCredential(Given, frozen=True, kw_only=True):
    """New content of the same form: a key of the same team and bundle id, or a certificate of the same topic."""

    content: CredentialContent


class CredentialCheck(Told, frozen=True, kw_only=True):
    """Whether APNs accepts a credential. `reason` is APNs' word, null when it gave none (`BadDeviceToken` is the usual
    one of a good credential); `message` says what is wrong and what to do."""

    ok: bool
    checked_at: datetime
    environment: Environment
    reason: str | None
    message: str


class ChannelItem(Told, frozen=True, kw_only=True):
    """A channel in a list. `id` is what stands in paths, `channelId` what apps and Live Activities take."""

    id: str
    channel_id: str


class Channel(Told, frozen=True, kw_only=True):
    """A channel. `id` is what stands in paths, `channelId` what apps and Live Activities take; `pushType` is APNs'."""

    id: str
    channel_id: str
    app_name: str
    environment: Environment
    storage_policy: StoragePolicy
    push_type: str


class ChannelPage(Told, frozen=True, kw_only=True):
    """A page of channels, in the order of their ids. `count` is how many there are, `limit` how many there may be."""

    channels: list[ChannelItem]
    environment: Environment
    count: int
    limit: int
    pagination: Pagination


class CreateChannel(Given, frozen=True, kw_only=True):
    """A channel to make. The policy cannot be changed later: `NO_MESSAGE_STORED` allows more frequent updates,
    `MOST_RECENT_MESSAGE_STORED` keeps the latest for devices that are away, for at most 8 hours."""

    storage_policy: StoragePolicy
    environment: Environment | None = None
    """Where the channel lives: channels do not cross. Default: production."""


class Device(Told, frozen=True, kw_only=True):
    """A device. A quarantined one gets nothing until it is registered anew; `stateReason` says why.
    `environmentLearned`: the app did not say the environment, APNs' answers told it."""

    token: str
    provider: Provider
    kind: TokenKind
    state: DeviceState
    created_at: datetime
    registered_at: datetime
    environment: Environment | None = None
    environment_learned: bool = False
    state_reason: str | None = None
    installation_id: str | None = None
    activity_id: str | None = None
    app_version: str | None = None
    locale: str | None = None
    time_zone: str | None = None


class Related(Told, frozen=True, kw_only=True):
    """A pointer to an associated resource."""

    name: str
    id: str
    uri: str


class Registration(Told, frozen=True, kw_only=True):
    """A user's devices in an app, at most 50."""

    id: str
    app_name: str
    user_id: str
    devices: list[Device]
    related: list[Related]
    created_at: datetime
    updated_at: datetime


class RegistrationPage(Told, frozen=True, kw_only=True):
    """A page of device registrations, newest first."""

    device_registrations: list[Registration]
    pagination: Pagination


class RegisterDevice(Given, frozen=True, kw_only=True):
    """One device to register. `externalId` names the user, or makes one with it; with neither it nor `userId` the
    user stays who has the token or the installation, and otherwise one is made. `environment` is for APNs: the app
    knows its entitlement. What is left out and known of the token already is kept."""

    app_name: str
    """The app's name is its id."""
    token: str
    """APNs: 16 to 400 hexadecimal digits, two for each byte. FCM: the registration token."""
    provider: Provider
    user_id: str | None = None
    external_id: str | None = None
    environment: Environment | None = None
    kind: TokenKind = TokenKind.ALERT
    activity_id: str | None = None
    installation_id: str | None = None
    app_version: str | None = None
    locale: str | None = None
    time_zone: str | None = None


class CreateRegistrationToken(Given, frozen=True, kw_only=True):
    """Whose devices may be registered in which app, and for how many seconds. Give `userId` or `externalId`, not both;
    an `externalId` that no user has makes a user."""

    app_name: str
    """The app's name is its id."""
    user_id: str | None = None
    external_id: str | None = None
    expires_in: int = 3600


class RegistrationToken(Told, frozen=True, kw_only=True):
    """A registration token. It is kept nowhere."""

    hidden: ClassVar[frozenset[str]] = frozenset({"registration_token"})

    registration_token: str
    expires_at: datetime
    user_id: str
    app_name: str


class User(Told, frozen=True, kw_only=True):
    """A user. `deletedAt` is null as long as it is not deleted, `externalId` as long as it has none."""

    id: str
    external_id: str | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class UserPage(Told, frozen=True, kw_only=True):
    """A page of users, newest first."""

    users: list[User]
    pagination: Pagination


class UpdateUser(Given, frozen=True, kw_only=True):
    """The user's new external id; null takes it away."""

    external_id: str | None
