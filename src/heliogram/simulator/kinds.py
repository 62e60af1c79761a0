"""The kinds of token an app can have, each with its own topic (rule book, 4.2 and LIFE-3)."""

from __future__ import annotations

from typing import Literal

import msgspec

from .tables import PLATFORMS, Platform

TokenKind = Literal[
    "device",
    "voip",
    "complication",
    "fileProvider",
    "location",
    "pushToTalk",
    "liveActivityStart",
    "liveActivity",
    "widget",
    "control",
]

Permission = Literal["authorized", "provisional", "denied", "notDetermined"]
PERMISSIONS: tuple[Permission, ...] = ("authorized", "provisional", "denied", "notDetermined")

ACTIVITY_TOKEN_BYTES = 80
"""The length of a Live Activity's token as it was seen (REQ-7)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind. ``push_type``: what is sent to it; ``named``: an app may have several, told apart by a name."""

    push_type: str
    suffix: str = ""
    platforms: tuple[Platform, ...] = PLATFORMS
    named: bool = False


_PHONES: tuple[Platform, ...] = ("ios", "ipados")
_NO_WATCH: tuple[Platform, ...] = tuple(each for each in PLATFORMS if each != "watchos")

KINDS: dict[TokenKind, Kind] = {
    "device": Kind(push_type="alert"),
    "voip": Kind(push_type="voip", suffix=".voip", platforms=_NO_WATCH),
    "complication": Kind(push_type="complication", suffix=".complication", platforms=("ios", "watchos")),
    "fileProvider": Kind(push_type="fileprovider", suffix=".pushkit.fileprovider", platforms=_NO_WATCH),
    "location": Kind(push_type="location", suffix=".location-query", platforms=_PHONES),
    "pushToTalk": Kind(push_type="pushtotalk", suffix=".voip-ptt", platforms=_PHONES, named=True),
    "liveActivityStart": Kind(
        push_type="liveactivity", suffix=".push-type.liveactivity", platforms=_PHONES, named=True
    ),
    "liveActivity": Kind(push_type="liveactivity", suffix=".push-type.liveactivity", platforms=_PHONES, named=True),
    "widget": Kind(push_type="widgets", suffix=".push-type.widgets"),
    "control": Kind(push_type="controls", suffix=".push-type.controls", platforms=_PHONES, named=True),
}
"""By name. ``named``: a push-to-talk token for each channel joined, one for each control, for each Live Activity, and
a push-to-start token for each type of activity (LIFE-3, LA-4)."""
