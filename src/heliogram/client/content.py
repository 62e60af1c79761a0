"""What is sent, to whom, when and by whom."""

from __future__ import annotations

from typing import Any

import msgspec

from .enums import ActivityEvent, Environment, InterruptionLevel, Priority, Provider, PushType
from .structs import Given


class Sound(Given, frozen=True, kw_only=True):
    """A sound with its loudness. `critical` plays it even when the phone is muted, if the app has Apple's entitlement
    for critical alerts."""

    name: str = "default"
    """A sound file in the app, or `default`."""
    critical: bool = False
    volume: float | None = None


class LiveActivity(Given, frozen=True, kw_only=True):
    """A push that starts, updates or ends a Live Activity (apns-rules 4.5). A start goes to devices registered with
    kind `liveActivityStart`, the others to those with `liveActivityUpdate`."""

    event: ActivityEvent
    content_state: dict[str, Any]
    """The activity's state, as the app's `ContentState` decodes it. An end has the last."""
    attributes_type: str | None = None
    attributes: dict[str, Any] | None = None
    stale_date: int | str | None = None
    dismissal_date: int | str | None = None
    timestamp: int | str | None = None
    activity_id: str | None = None
    input_push_token: bool = False
    """A start asks the phone for a token to update the activity with (iOS 18)."""
    input_push_channel: str | None = None


class ApnHeaders(Given, frozen=True, kw_only=True, rename="kebab"):
    """Headers for APNs (apns-rules 4.1). `apns-id` and `authorization` are the service's own."""

    apns_priority: str | int | None = None
    apns_push_type: PushType | None = None
    apns_collapse_id: str | None = None
    apns_expiration: int | str | None = None
    apns_topic: str | None = None


class ApnOverride(Given, frozen=True, kw_only=True):
    """Exactly what APNs gets. `payload` replaces everything the other fields would make, and is not a template;
    `headers` go before the fields that say the same."""

    payload: dict[str, Any] | None = None
    headers: ApnHeaders | None = None


class Content(Given, frozen=True, kw_only=True):
    """What the notification says and does. `title`, `subtitle`, `body`, the `…LocArgs`, `image` and the texts within
    `data` may hold Liquid, filled from each recipient's `variables`; a text has at most 16,384 characters with it.
    What the phone does with each field is in docs/howto/what-the-phone-shows.md."""

    body: str | None = None
    title: str | None = None
    subtitle: str | None = None
    badge: int | None = None
    sound: str | Sound | None = None
    thread_id: str | None = None
    category: str | None = None
    interruption_level: InterruptionLevel | None = None
    relevance_score: float | None = None
    image: str | None = None
    data: dict[str, Any] | None = None
    collapse_id: str | None = None
    mutable_content: bool = False
    """The app's notification service extension may change it before it is shown."""
    content_available: bool = False
    """Wakes the app in the background too. Background pushes always have it."""
    title_loc_key: str | None = None
    title_loc_args: list[str] | None = None
    subtitle_loc_key: str | None = None
    subtitle_loc_args: list[str] | None = None
    loc_key: str | None = None
    loc_args: list[str] | None = None
    launch_image: str | None = None
    target_content_id: str | None = None
    filter_criteria: str | None = None
    push_type: PushType | None = None
    live_activity: LiveActivity | None = None
    apn: ApnOverride | None = None


class Recipient(Given, frozen=True, kw_only=True):
    """One recipient: `token` and `provider`, or `userId`, or the user's `externalId`. `variables` fill the templates
    for this one alone: up to 100 texts (16,384 characters), numbers, Booleans, and lists (1,000 items) and objects of
    them, two levels deep."""

    token: str | None = None
    provider: Provider | None = None
    user_id: str | None = None
    external_id: str | None = None
    variables: dict[str, Any] | None = None

    @classmethod
    def for_token(cls, token: str, variables: dict[str, Any] | None = None, *, provider: str = "APN") -> Recipient:
        """One device, by its token."""
        return cls(token=token, provider=Provider(provider), variables=variables)

    @classmethod
    def for_user(cls, user_id: str, variables: dict[str, Any] | None = None) -> Recipient:
        """Every device of a user, by the id the service gave it."""
        return cls(user_id=user_id, variables=variables)

    @classmethod
    def for_external_id(cls, external_id: str, variables: dict[str, Any] | None = None) -> Recipient:
        """Every device of a user, by your own name for it."""
        return cls(external_id=external_id, variables=variables)


class Sender(Given, frozen=True, kw_only=True):
    """`appName`, or a credential per provider: `apn` (an APN or APN_SANDBOX one), `fcm`."""

    app_name: str | None = None
    apn: str | None = None
    fcm: str | None = None


class Schedule(Given, frozen=True, kw_only=True):
    """When to send. `sendAt` holds exactly one date-time with its offset, such as `2026-03-19T09:30:00+01:00`, at most
    30 days ahead. One that passed no more than 5 seconds ago is sent at once."""

    send_at: list[str]


class SendRequest(Given, frozen=True, kw_only=True):
    """A send to 1 to 10,000 recipients. Without `from` the account's default app sends, without `schedule` at once."""

    to: list[Recipient]
    """Device tokens and users, mixed at will. One that is named twice gets it twice."""
    content: Content
    sender: Sender | None = msgspec.field(name="from", default=None)
    priority: Priority | None = None
    """HIGH at once, LOW when it suits the battery. Default: HIGH, where the push type allows it."""
    sound: str | None = None
    schedule: Schedule | None = None
    ttl: int | None = None
    expires_at: str | None = None
    tags: dict[str, str] | None = None
    validate_only: bool = False
    """Check and render everything, keep and send nothing; answers 200."""


class BroadcastRequest(Given, frozen=True, kw_only=True):
    """A broadcast. `content.liveActivity` updates or ends the activities that follow the channel (a broadcast starts
    none); `content.apn.payload` may say the same in Apple's own words. Nobody is named, so templates have no variables.

    Without `ttl` or `expiresAt` APNs makes one attempt and stores nothing, which a channel of `NO_MESSAGE_STORED` asks
    for: any other expiry is refused there (`BadExpirationDate`)."""

    content: Content
    environment: Environment | None = None
    """Where the channel lives: channels do not cross. Default: production."""
    priority: Priority | None = None
    """HIGH at once, LOW when it suits the battery. Default: HIGH."""
    schedule: Schedule | None = None
    ttl: int | None = None
    expires_at: str | None = None
    tags: dict[str, str] | None = None
    validate_only: bool = False
