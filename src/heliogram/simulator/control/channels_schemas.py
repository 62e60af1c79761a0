"""What the control API reads and writes of broadcast channels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from ..channel import PUSH_TYPE, Broadcast, Channel, Subscription
from ..lockscreen import stamp
from ..tables import Environment

BundleId = Annotated[str, Meta(description="The app's bundle id, without a suffix", examples=["com.example.app"])]
ChannelId = Annotated[
    str, Meta(max_length=1024, description="The channel's id, base64", examples=["dHN0LXNyY2gtY2hubA=="])
]


class ChannelIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A channel to be made by hand, as the management API makes them."""

    bundle_id: BundleId
    environment: Environment = "production"
    message_storage_policy: Annotated[
        Literal[0, 1], Meta(description="0: no message stored; 1: the most recent one, for at most 8 hours")
    ] = 0


class ChannelQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which channels; all without a filter."""

    bundle_id: BundleId | None = None
    environment: Environment | None = None


class OneChannelQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Which channel."""

    channel_id: ChannelId


class SubscriptionIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An app on a device that is to follow a channel, or to follow it no longer."""

    channel_id: ChannelId
    device_id: Annotated[str, Meta(max_length=100)]
    bundle_id: BundleId


class SubscriptionOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """An app that follows the channel."""

    device_id: str
    bundle_id: str

    @classmethod
    def of(cls, subscription: Subscription) -> SubscriptionOut:
        return cls(device_id=subscription.device.id, bundle_id=subscription.app.bundle_id)


class BroadcastOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A broadcast APNs accepted: who got it at once (``reached``), who could not (``missed``).

    ``storedUntil`` is null when it was not stored. ``findings``: what a device will not make an update of (LA-1, LA-3).
    """

    serial: int
    request_id: str
    unique_id: str
    at: str
    priority: int
    expiration: int
    stored_until: str | None
    reached: int
    missed: int
    payload: Any
    findings: list[str]

    @classmethod
    def of(cls, broadcast: Broadcast) -> BroadcastOut:
        arrival = broadcast.arrival
        return cls(
            serial=broadcast.serial,
            request_id=arrival.apns_id.decode("ascii"),
            unique_id=(arrival.unique_id or b"").decode("ascii"),
            at=stamp(arrival.received_at),
            priority=int(arrival.priority or b"10"),
            expiration=broadcast.expiration,
            stored_until=None if broadcast.expires_at is None else stamp(broadcast.expires_at),
            reached=broadcast.reached,
            missed=broadcast.missed,
            payload=msgspec.json.decode(arrival.body),
            findings=list(broadcast.findings),
        )


class ChannelOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A channel. ``broadcasts``: how many it had; ``stored``: the serial of the message it keeps, null without one.

    ``owed``: the devices that follow it and could not be reached since that message.
    """

    channel_id: str
    bundle_id: str
    environment: Environment
    message_storage_policy: int
    push_type: str
    created_at: str
    broadcasts: int
    stored: int | None
    owed: list[str]
    subscriptions: list[SubscriptionOut]

    @classmethod
    def of(cls, channel: Channel, stored: Broadcast | None) -> ChannelOut:
        return cls(
            channel_id=channel.id,
            bundle_id=channel.bundle_id,
            environment=channel.environment,
            message_storage_policy=channel.policy,
            push_type=PUSH_TYPE,
            created_at=stamp(channel.created_at),
            broadcasts=channel.serial,
            stored=None if stored is None else stored.serial,
            owed=sorted(channel.owed),
            subscriptions=[SubscriptionOut.of(each) for each in channel.subscriptions.values() if each.holds],
        )


class ChannelList(Struct, frozen=True):
    channels: list[ChannelOut]


class BroadcastList(Struct, frozen=True):
    """The latest broadcasts of a channel, newest first."""

    broadcasts: list[BroadcastOut]


def channel_id(text: str) -> str:
    """An id out of a query, where a ``+`` nobody encoded has become a blank."""
    return text.replace(" ", "+")
