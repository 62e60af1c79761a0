"""Users, their device registrations and device tokens."""

from __future__ import annotations

import enum
import re
import string

import msgspec

from .apps import Environment, ProviderName

MAX_DEVICES = 50
MIN_TOKEN_DIGITS = 16
MAX_TOKEN_DIGITS = 400
MAX_FCM_TOKEN = 4096
MAX_EXTERNAL_ID = 255
MAX_INSTALLATION_ID = 128
MAX_ACTIVITY_ID = 128
MAX_APP_VERSION = 64
MAX_LOCALE = 128
MAX_TIME_ZONE = 64

PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+$"
"""What a name of the caller's own may be made of: no control character, nothing that cannot be seen."""

_PRINTABLE = re.compile(PRINTABLE)
_HEX = frozenset(string.hexdigits)
_FCM = ProviderName.FCM  # named once: to ask the enumeration takes as long as all else that is done for a token
_DROP = str.maketrans("", "", "<> ")


class DeviceState(enum.StrEnum):
    """A quarantined token is kept, with the reason, and never sent to until it is registered anew."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"


class TokenKind(enum.StrEnum):
    """Each kind has tokens of its own (LIFE-3); a push goes to the kind that its push type is for."""

    ALERT = "alert"
    """What `registerForRemoteNotifications` gives: alerts and background pushes."""
    VOIP = "voip"
    COMPLICATION = "complication"
    FILE_PROVIDER = "fileProvider"
    LOCATION = "location"
    PUSH_TO_TALK = "pushToTalk"
    LIVE_ACTIVITY_START = "liveActivityStart"
    """The push-to-start token of an app."""
    LIVE_ACTIVITY_UPDATE = "liveActivityUpdate"
    """The token of one running Live Activity."""
    WIDGETS = "widgets"
    CONTROLS = "controls"


class InvalidDeviceToken(ValueError):
    """The text is no device token; the message says what one looks like."""


def normalize_token(provider: ProviderName, text: str) -> bytes:
    """A device token as stored: raw bytes for APNs (REQ-6, REQ-7), the text itself for FCM.

    Takes hexadecimal in either case, and the `<…>` and spaces of old `NSData` descriptions.
    Raises `InvalidDeviceToken` with what is wrong.
    """
    if provider is _FCM:
        if not text or len(text) > MAX_FCM_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
            raise InvalidDeviceToken(f"expected an FCM registration token: 1 to {MAX_FCM_TOKEN} characters")
        return text.encode("ascii")
    try:
        raw = bytes.fromhex(text)  # what apps send nowadays, several times as fast as looking closer
    except ValueError:
        raw = b""
    if len(raw) * 2 == len(text) and MIN_TOKEN_DIGITS <= len(text) <= MAX_TOKEN_DIGITS:
        return raw
    digits = text.translate(_DROP)
    if not _HEX.issuperset(digits):
        raise InvalidDeviceToken("expected hexadecimal digits: send each byte of the token as %02x")
    if len(digits) % 2 or not MIN_TOKEN_DIGITS <= len(digits) <= MAX_TOKEN_DIGITS:
        raise InvalidDeviceToken(
            f"expected an even number of hexadecimal digits, {MIN_TOKEN_DIGITS} to {MAX_TOKEN_DIGITS};"
            f" this has {len(digits)}"
        )
    return bytes.fromhex(digits)


def token_text(provider: ProviderName, raw: bytes) -> str:
    """A stored token as the API shows it: lower-case hexadecimal for APNs."""
    return raw.decode("ascii") if provider is ProviderName.FCM else raw.hex()


def name_problem(text: str, most: int) -> str | None:
    """What is wrong with a name that callers choose (an external id, an installation's id): 1 to `most` printable
    characters. None when nothing is."""
    if not 1 <= len(text) <= most:
        return f"expected 1 to {most} characters; this has {len(text)}"
    if _PRINTABLE.search(text) is None or text.endswith("\n"):
        return "expected printable characters: no control or invisible ones"
    return None


class Reached(msgspec.Struct, frozen=True, gc=False):
    """What sending needs of a device: thousands are read for one campaign.

    `slot` (1 to 63) is the device's place in its registration and in every `apns-id` sent to it.
    """

    slot: int
    token: bytes
    provider: ProviderName
    environment: Environment | None = None
    kind: TokenKind = TokenKind.ALERT


class Device(Reached, frozen=True, kw_only=True, gc=False):
    """One installation of an app on one device, known by its token.

    `registered_at` is when the app last handed us the token: a 410 counts only if it is later (ERR-1).
    `environment_learned`: the app did not name the environment, APNs' answers told it. `activity_id` is the Live
    Activity's that an update token is of; of one installation there is at most one token of a kind and activity.
    """

    state: DeviceState = DeviceState.ACTIVE
    state_reason: str | None = None
    registered_at: int = 0
    created: int = 0
    environment_learned: bool = False
    installation_id: str | None = None
    activity_id: str | None = None
    app_version: str | None = None
    locale: str | None = None
    time_zone: str | None = None


class DeviceRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """A user's devices in one app, at most 50."""

    account_id: bytes
    id: bytes
    app_name: str
    user_id: bytes
    devices: tuple[Device, ...]
    created: int
    updated: int


class NewDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device to be registered. `external_id` names the user, or makes one with it; with neither it nor `user_id`
    the user stays who has the token or the installation, and otherwise one is made. What is None here and known of
    the token already is kept."""

    app_name: str
    token: bytes
    provider: ProviderName
    user_id: bytes | None = None
    external_id: str | None = None
    environment: Environment | None = None
    kind: TokenKind = TokenKind.ALERT
    activity_id: str | None = None
    installation_id: str | None = None
    app_version: str | None = None
    locale: str | None = None
    time_zone: str | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What registering did. `displaced` is the token that left because the registration was full, `replaced` the older
    one of the same installation."""

    registration_id: bytes
    user_id: bytes
    slot: int
    created_user: bool = False
    displaced: bytes | None = None
    replaced: bytes | None = None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of an account's apps, made by registering a device. `external_id` is the caller's own name for it; a
    deleted user keeps its entry, and its `external_id` may be given to another."""

    account_id: bytes
    id: bytes
    created: int
    updated: int
    deleted: int | None = None
    external_id: str | None = None
