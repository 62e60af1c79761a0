"""What a send says, as callers write it and as it is kept: the content of Twilio's contract and what Apple adds.

Its structs are the API's own: a content is stored and shown as it was sent. Rows of every version must stay readable:
fields may be added, and bounds may grow, never shrink.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .pushtypes import PushType

MAX_TEXT = 16_384
"""Characters of a text as sent to us: four times what a payload holds, the rest being tags."""
MAX_NAME = 255
MAX_COLLAPSE_ID = 64
"""Bytes of UTF-8 (apns-rules 4.1)."""
MAX_BADGE = 2**31 - 1
MAX_IMAGE_URL = 2_048
IMAGE_URL = r"^https://[!-~][^\x00-\x1f\x7f]*$"
"""How an image's address looks. Spaces may stand in its templates."""
MAX_ARGUMENTS = 32
MAX_INSTANT = 2**53 - 1
DEFAULT_SOUND = "default"

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Arguments = Annotated[list[str], Meta(max_length=MAX_ARGUMENTS)]
Instant = Annotated[int, Meta(ge=0, le=MAX_INSTANT)] | Annotated[str, Meta(min_length=1, max_length=64)]
"""Seconds since 1970, or an ISO 8601 date-time (UTC unless it says otherwise)."""


def _by_default(struct: msgspec.Struct, *fields: tuple[str, Any]) -> None:
    """Puts the default where null was given: null says what leaving out says, and is neither kept nor shown."""
    for name, default in fields:
        if getattr(struct, name) is None:
            msgspec.structs.force_setattr(struct, name, default)


def _text(description: str) -> Meta:
    """A text's description; that it is too long is said with a code of its own, so only the document has the bound."""
    return Meta(description=description, extra_json_schema={"maxLength": MAX_TEXT})


class InterruptionLevel(enum.StrEnum):
    """How much a notification may disturb."""

    PASSIVE = "passive"
    ACTIVE = "active"
    TIME_SENSITIVE = "time-sensitive"
    CRITICAL = "critical"


class Sound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True):
    """A sound with its loudness. `critical` plays it even when the phone is muted, if the app has Apple's entitlement
    for critical alerts."""

    name: Annotated[Name, Meta(description="A sound file in the app, or `default`.")] | None = DEFAULT_SOUND
    critical: bool | None = False
    volume: Annotated[float, Meta(ge=0, le=1, description="Of a critical sound: 0 is silent, 1 full.")] | None = None

    def __post_init__(self) -> None:
        _by_default(self, ("name", DEFAULT_SOUND), ("critical", False))


class ActivityEvent(enum.StrEnum):
    """What a push does to a Live Activity."""

    START = "start"
    UPDATE = "update"
    END = "end"


class LiveActivity(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True
):
    """A push that starts, updates or ends a Live Activity (apns-rules 4.5). A start goes to devices registered with
    kind `liveActivityStart`, the others to those with `liveActivityUpdate`."""

    event: ActivityEvent
    content_state: Annotated[
        dict[str, Any],
        Meta(description="The activity's state, as the app's `ContentState` decodes it. An end has the last."),
    ]
    attributes_type: (
        Annotated[Name, Meta(description="Name of the app's attributes type. A start needs it.")] | None
    ) = None
    attributes: (
        Annotated[dict[str, Any], Meta(description="What does not change while the activity runs. A start needs it.")]
        | None
    ) = None
    stale_date: (
        Annotated[Instant, Meta(description="From then on the system marks the activity as out of date.")] | None
    ) = None
    dismissal_date: (
        Annotated[
            Instant,
            Meta(
                description="Of an end: when it leaves the lock screen, a past time at once. Default: within 4 hours."
            ),
        ]
        | None
    ) = None
    timestamp: (
        Annotated[
            Instant,
            Meta(description="The system drops what is older than what it shows. Default: when the send leaves."),
        ]
        | None
    ) = None
    activity_id: (
        Annotated[
            Name,
            Meta(description="Only devices registered with this `activityId`. Default: every activity of the user."),
        ]
        | None
    ) = None
    input_push_token: (
        Annotated[bool, Meta(description="A start asks the phone for a token to update the activity with (iOS 18).")]
        | None
    ) = False
    input_push_channel: (
        Annotated[Name, Meta(description="A start makes the activity follow this broadcast channel (iOS 18).")] | None
    ) = None

    def __post_init__(self) -> None:
        _by_default(self, ("input_push_token", False))


class ApnHeaders(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="kebab", forbid_unknown_fields=True
):
    """Headers for APNs (apns-rules 4.1). `apns-id` and `authorization` are the service's own."""

    apns_priority: (
        Annotated[
            Literal["1", "5", "10", 1, 5, 10],
            Meta(description="10 at once, 5 when it suits the battery, 1 never wakes."),
        ]
        | None
    ) = None
    apns_push_type: PushType | None = None
    apns_collapse_id: (
        Annotated[
            Annotated[str, Meta(min_length=1, max_length=MAX_COLLAPSE_ID)],
            Meta(description="At most 64 bytes; a later notification with the same one takes its place."),
        ]
        | None
    ) = None
    apns_expiration: (
        Annotated[
            Annotated[int, Meta(ge=0, le=MAX_INSTANT)] | Annotated[str, Meta(pattern=r"^[0-9]{1,15}$(?!\n)")],
            Meta(description="Seconds since 1970 until which APNs may keep it; 0: one attempt, not kept."),
        ]
        | None
    ) = None
    apns_topic: (
        Annotated[
            Annotated[str, Meta(pattern=r"^[!-~]{1,255}$(?!\n)")],
            Meta(description="Instead of the credential's bundle id; the push type's suffix is added if it lacks."),
        ]
        | None
    ) = None


class ApnOverride(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True
):
    """Exactly what APNs gets. `payload` replaces everything the other fields would make, and is not a template;
    `headers` go before the fields that say the same."""

    payload: (
        Annotated[dict[str, Any], Meta(description="The whole JSON object, `aps` and all, sent as it is.")] | None
    ) = None
    headers: ApnHeaders | None = None


class Content(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", forbid_unknown_fields=True
):
    """What the notification says and does. `title`, `subtitle`, `body`, the `…LocArgs`, `image` and the texts within
    `data` may hold Liquid, filled from each recipient's `variables`; a text has at most 16,384 characters with it.
    What the phone does with each field is in docs/howto/what-the-phone-shows.md."""

    body: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="The text. Required for alerts, unless `locKey` or `apn.payload` is there.",
                extra_json_schema={"maxLength": MAX_TEXT},
            ),
        ]
        | None
    ) = None
    title: Annotated[str, _text("The bold first line.")] | None = None
    subtitle: Annotated[str, _text("The line below the title.")] | None = None
    badge: (
        Annotated[
            int,
            Meta(
                ge=0, le=MAX_BADGE, description="The number on the app's icon; 0 takes it away. It is set, not added."
            ),
        ]
        | None
    ) = None
    sound: (
        Annotated[
            Name | Sound,
            Meta(description="Name of a sound file in the app, or `default`. Goes before the top-level `sound`."),
        ]
        | None
    ) = None
    thread_id: Annotated[Name, Meta(description="Notifications with the same one are shown as a group.")] | None = None
    category: Annotated[Name, Meta(description="The category the app registered: which buttons there are.")] | None = (
        None
    )
    interruption_level: (
        Annotated[
            InterruptionLevel,
            Meta(
                description="`passive`: into the list, no sound; `active`: as usual; `time-sensitive`: through Focus;"
                " `critical`: though muted, with Apple's entitlement."
            ),
        ]
        | None
    ) = None
    relevance_score: (
        Annotated[
            float,
            Meta(ge=0, le=100, description="Which notification leads a summary: 0 to 1. Of Live Activities: 0 to 100."),
        ]
        | None
    ) = None
    image: (
        Annotated[
            str,
            Meta(
                max_length=MAX_IMAGE_URL,
                extra_json_schema={"pattern": IMAGE_URL},
                description="An https address, sent as the custom key `image` with `mutable-content`: the app's"
                " notification service extension fetches and attaches it.",
            ),
        ]
        | None
    ) = None
    data: (
        Annotated[
            dict[str, Any], Meta(description="The app's own keys, beside `aps`: any JSON object without the key `aps`.")
        ]
        | None
    ) = None
    collapse_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=MAX_COLLAPSE_ID,
                description="At most 64 bytes of UTF-8: a later notification with the same one takes its place.",
            ),
        ]
        | None
    ) = None
    mutable_content: (
        Annotated[bool, Meta(description="The app's notification service extension may change it before it is shown.")]
        | None
    ) = False
    content_available: (
        Annotated[bool, Meta(description="Wakes the app in the background too. Background pushes always have it.")]
        | None
    ) = False
    title_loc_key: Annotated[Name, Meta(description="Key of a title in the app's own strings.")] | None = None
    title_loc_args: Arguments | None = None
    subtitle_loc_key: Annotated[Name, Meta(description="Key of a subtitle in the app's own strings.")] | None = None
    subtitle_loc_args: Arguments | None = None
    loc_key: Annotated[Name, Meta(description="Key of a body in the app's own strings.")] | None = None
    loc_args: Arguments | None = None
    launch_image: Annotated[Name, Meta(description="Image or storyboard to show while the app starts.")] | None = None
    target_content_id: Annotated[Name, Meta(description="Which window of the app comes forward.")] | None = None
    filter_criteria: Annotated[Name, Meta(description="What the app's Focus filter compares.")] | None = None
    push_type: (
        Annotated[
            PushType, Meta(description="What the push is for. Default: `alert`, or `liveactivity` with `liveActivity`.")
        ]
        | None
    ) = None
    live_activity: LiveActivity | None = None
    apn: (
        Annotated[ApnOverride, Meta(description="Payload and headers as APNs gets them, before all other fields.")]
        | None
    ) = None

    def __post_init__(self) -> None:
        _by_default(self, ("mutable_content", False), ("content_available", False))

    @property
    def payload(self) -> dict[str, Any] | None:
        """The payload that replaces all fields, when there is one."""
        return None if self.apn is None else self.apn.payload

    @property
    def headers(self) -> ApnHeaders:
        """The headers that were named."""
        return _NO_HEADERS if self.apn is None else self.apn.headers or _NO_HEADERS

    @property
    def effective_push_type(self) -> PushType:
        """What the push is for, after all precedence."""
        named = None if self.apn is None else self.headers.apns_push_type
        return named or self.push_type or (_ALERT if self.live_activity is None else PushType.LIVEACTIVITY)

    @property
    def is_plain(self) -> bool:
        """Whether it is texts alone, as most are: what is asked of all else need not be asked."""
        return self == Content(title=self.title, subtitle=self.subtitle, body=self.body)

    @property
    def effective_collapse_id(self) -> str | None:
        """The collapse id, after all precedence."""
        return self.headers.apns_collapse_id or self.collapse_id


_NO_HEADERS = ApnHeaders()
_ALERT = PushType.ALERT
