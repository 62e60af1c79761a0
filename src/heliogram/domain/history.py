"""What happened to devices: why one gets nothing, told from its registration to its end.

A device is known here by its place: a user's slot in an app, which an installation keeps when its token changes. No
token is in it: the ends of one, to be recognised by people, and a digest, to be found by who has it.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from .apps import Environment, ProviderName
from .devices import TokenKind, token_text
from .ids import time_of

KEPT = 20
"""Of each device so many entries are kept, the newest."""
DIGEST_BYTES = 8
_SHORT = 16


class DeviceEvent(enum.StrEnum):
    """What may happen to a device. Its first registration is told by the device itself as long as it is there."""

    REGISTERED = "REGISTERED"
    REVIVED = "REVIVED"
    """The app registered a quarantined token anew: it is sent to again."""
    MOVED_HERE = "MOVED_HERE"
    """The token, or the installation, was another user's."""
    MOVED_AWAY = "MOVED_AWAY"
    """Another user registered it."""
    TOKEN_CHANGED = "TOKEN_CHANGED"  # noqa: S105 - a name, no secret
    """The installation has another token now."""
    ENVIRONMENT_LEARNED = "ENVIRONMENT_LEARNED"
    REFUSED = "REFUSED"
    """The provider called the token dead since a moment before the app registered it last: it is kept."""
    QUARANTINED = "QUARANTINED"
    REMOVED = "REMOVED"
    """The provider called the token dead."""
    DISPLACED = "DISPLACED"
    """The user had as many devices as there may be, and this one was registered longest ago."""
    DELETED = "DELETED"
    """By request."""


ENDS = frozenset(
    {
        DeviceEvent.MOVED_AWAY,
        DeviceEvent.TOKEN_CHANGED,
        DeviceEvent.REMOVED,
        DeviceEvent.DISPLACED,
        DeviceEvent.DELETED,
    }
)
"""With these the user has the token no more."""


class TokenRefusal(msgspec.Struct, frozen=True):
    """The provider's answer about a token beside its reason: the HTTP status, and since when (ms) the token is dead,
    where it says so (ERR-1)."""

    status: int
    since: int | None = None


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a device; times in ms.

    `token` is its ends alone, `successor` those of the token that came in its place. `reason`, `status` and
    `invalid_since` are the provider's. Of a token that left, `first_registered` and `last_registered` say when the app
    handed it over.
    """

    id: bytes
    app_name: str
    user_id: bytes
    slot: int
    event: DeviceEvent
    token: str
    provider: ProviderName
    kind: TokenKind
    environment: Environment | None = None
    reason: str | None = None
    status: int | None = None
    invalid_since: int | None = None
    first_registered: int | None = None
    last_registered: int | None = None
    successor: str | None = None

    @property
    def at(self) -> int:
        """When it happened, in ms."""
        return time_of(self.id)


def ends_of(provider: ProviderName, token: bytes) -> str:
    """A token by its ends, for people; nothing of a short one, or of one that cannot be shown."""
    text = token_text(provider, token)
    return f"{text[:4]}…{text[-4:]}" if len(text) >= _SHORT and text.isprintable() else "…"


def digest_of(provider: ProviderName, token: bytes) -> bytes:
    """What a token's entries are found by; the token does not follow from it."""
    return hashlib.blake2b(token, digest_size=DIGEST_BYTES, person=provider.value.encode()).digest()
