"""Broadcast channels: what the devices that run a Live Activity follow (BC-1 to BC-3)."""

from __future__ import annotations

import enum
import re

import msgspec

MAX_CHANNELS = 10_000
"""Channels an app may have in one environment (BC-2)."""
MAX_ID = 256
"""Characters of a channel id."""

_ID = re.compile(r"[A-Za-z0-9+/_-]+={0,2}").fullmatch
_TO_PATH = str.maketrans("+/", "-_")
_FROM_PATH = str.maketrans("-_", "+/")


class StoragePolicy(enum.StrEnum):
    """What APNs keeps for devices that are away. Fixed when the channel is made (BC-3)."""

    NO_MESSAGE_STORED = "NO_MESSAGE_STORED"
    """Nothing; allows more frequent updates."""
    MOST_RECENT_MESSAGE_STORED = "MOST_RECENT_MESSAGE_STORED"
    """The latest message, for at most 8 hours."""


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as APNs describes it. `channel_id` is base64, `push_type` as it came: `LiveActivity`."""

    channel_id: str
    policy: StoragePolicy
    push_type: str


def path_of(channel_id: str) -> str:
    """A channel's id as it stands in a path: base64url. The padding stays, for `=` is allowed in a path."""
    return channel_id.translate(_TO_PATH)


def channel_of(text: str) -> str | None:
    """The channel id (base64) of what stood in a path: base64url or base64, with its padding or without; None for what
    cannot be one."""
    if not _ID(text) or len(text) > MAX_ID:
        return None
    channel_id = text.translate(_FROM_PATH)
    return channel_id if channel_id.endswith("=") else channel_id + "=" * (-len(channel_id) % 4)
