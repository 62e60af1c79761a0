"""The push types of APNs and what each one demands (docs/reference/apns-rules.md 4.2)."""

from __future__ import annotations

import enum

import msgspec

from .devices import TokenKind


class PushType(enum.StrEnum):
    """What a push is for: the value of `apns-push-type`."""

    ALERT = "alert"
    BACKGROUND = "background"
    LOCATION = "location"
    VOIP = "voip"
    COMPLICATION = "complication"
    FILEPROVIDER = "fileprovider"
    MDM = "mdm"
    LIVEACTIVITY = "liveactivity"
    PUSHTOTALK = "pushtotalk"
    WIDGETS = "widgets"
    CONTROLS = "controls"


class PushTypeRule(msgspec.Struct, frozen=True):
    """What one push type demands."""

    kind: TokenKind
    """The kind of device token it goes to. A Live Activity's update goes to another kind than its start."""
    priorities: tuple[int, ...] = (10, 5, 1)
    """The values of `apns-priority` it may have; the first is used when nobody insists."""
    free: bool = False
    """Its payload has no `aps`."""


RULES: dict[PushType, PushTypeRule] = {
    PushType.ALERT: PushTypeRule(TokenKind.ALERT),
    PushType.BACKGROUND: PushTypeRule(TokenKind.ALERT, priorities=(5,)),
    PushType.LOCATION: PushTypeRule(TokenKind.LOCATION, priorities=(10, 5)),
    PushType.VOIP: PushTypeRule(TokenKind.VOIP),
    PushType.COMPLICATION: PushTypeRule(TokenKind.COMPLICATION),
    PushType.FILEPROVIDER: PushTypeRule(TokenKind.FILE_PROVIDER, free=True),
    PushType.MDM: PushTypeRule(TokenKind.ALERT, free=True),
    PushType.LIVEACTIVITY: PushTypeRule(TokenKind.LIVE_ACTIVITY_START, priorities=(10, 5)),
    PushType.PUSHTOTALK: PushTypeRule(TokenKind.PUSH_TO_TALK, priorities=(10,)),
    PushType.WIDGETS: PushTypeRule(TokenKind.WIDGETS),
    PushType.CONTROLS: PushTypeRule(TokenKind.CONTROLS),
}
