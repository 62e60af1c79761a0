"""What the control API reads and writes of devices and apps."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from ..deliverylog import DeliveryRecord
from ..device import LogLine
from ..forward import Forwarded
from ..kinds import Permission
from ..lockscreen import Notification
from ..registry import App, Device, Forward, Launch
from ..tables import Environment, Platform

BundleId = Annotated[str, Meta(description="The app's bundle id", examples=["com.example.app"])]


class DeviceIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A virtual device to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=100, examples=["Anna's iPhone"])]
    platform: Platform = "ios"


class DeviceChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What is not given stays as it is."""

    online: bool | UnsetType = UNSET
    awake: bool | UnsetType = UNSET


class RestoreIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The new device; name and platform are the old one's if not given."""

    name: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    platform: Platform | None = None


class DeviceQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many devices")] = 1000
    skip: Annotated[int, Meta(ge=0, le=1_000_000_000, description="How many to leave out first")] = 0


class DeliveryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many of the latest pushes")] = 100


class Network(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Whether devices can reach APNs."""

    reachable: bool


class ForwardIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Where the app hands its token at each launch; exactly one of registrationToken and apiKey."""

    url: Annotated[
        str, Meta(max_length=2048, examples=["http://127.0.0.1:8080/v1/PushNotifications/DeviceRegistrations"])
    ]
    registration_token: Annotated[str, Meta(max_length=4096)] | None = None
    api_key: Annotated[str, Meta(max_length=4096, description="keyId:secret")] | None = None
    user_id: Annotated[str, Meta(max_length=200)] | None = None
    app_name: Annotated[str, Meta(max_length=200, description="Default: the bundle id")] | None = None

    def __repr__(self) -> str:
        return f"ForwardIn(url={self.url!r})"

    def build(self) -> Forward:
        return Forward(
            url=self.url,
            registration_token=self.registration_token,
            api_key=self.api_key,
            user_id=self.user_id,
            app_name=self.app_name,
        )


class AppIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """An app to be installed.

    ``entitlement``: true, false, or the name of the one it is signed with. ``signedFor``: the environment that one
    names, when it is another than the app believes and tells its server (LIFE-4).
    """

    bundle_id: BundleId
    environment: Environment
    entitlement: bool | str = True
    signed_for: Environment | None = None
    token_bytes: Annotated[int, Meta(ge=8, le=200, description="How long its tokens are (REQ-7)")] = 32
    forward: ForwardIn | None = None


class ForwardOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the app forwards to; ``pending``: the last attempt failed and will be repeated."""

    url: str
    user_id: str | None
    app_name: str | None
    pending: bool


class AppOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """An installed app; no ``deviceToken`` before its first launch.

    ``registrationPending``: registration failed for want of a network, and is tried again when there is one.
    """

    bundle_id: str
    environment: Environment
    signed_for: Environment
    entitlement: bool | str
    permission: Permission
    registration_pending: bool
    device_token: str | None
    forward: ForwardOut | None

    @classmethod
    def of(cls, app: App) -> AppOut:
        forward = app.forward
        return cls(
            bundle_id=app.bundle_id,
            environment=app.environment,
            signed_for=app.signed_for,
            entitlement=app.entitlement,
            permission=app.permission,
            registration_pending=app.registration_pending,
            device_token=None if app.token is None else app.token.value.decode("ascii"),
            forward=None
            if forward is None
            else ForwardOut(
                url=forward.url, user_id=forward.user_id, app_name=forward.app_name, pending=app.forward_pending
            ),
        )


class DeviceOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device, its apps, how many notifications have reached it and how many wait for it at APNs."""

    id: str
    name: str
    platform: Platform
    online: bool
    awake: bool
    notifications: int
    stored: int
    activities: int
    apps: list[AppOut]

    @classmethod
    def of(cls, device: Device) -> DeviceOut:
        return cls(
            id=device.id,
            name=device.name,
            platform=device.platform,
            online=device.online,
            awake=device.awake,
            notifications=device.notification_count,
            stored=device.waiting,
            activities=len(device.activities or ()),
            apps=[AppOut.of(app) for app in device.apps.values()],
        )


class DeviceList(Struct, frozen=True):
    devices: list[DeviceOut]


class LaunchOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """What registration answered: ``deviceToken`` or ``error``; ``forwarded`` when the app forwards its token."""

    device_token: str | UnsetType = UNSET
    error: str | UnsetType = UNSET
    forwarded: Forwarded | UnsetType = UNSET

    @classmethod
    def of(cls, launch: Launch, forwarded: Forwarded | None) -> LaunchOut:
        return cls(
            device_token=UNSET if launch.device_token is None else launch.device_token,
            error=UNSET if launch.error is None else launch.error,
            forwarded=UNSET if forwarded is None else forwarded,
        )


class NotificationList(Struct, frozen=True):
    """Oldest first."""

    notifications: list[Notification]


class DeliveryList(Struct, frozen=True):
    """Newest first."""

    deliveries: list[DeliveryRecord]


class LogLines(Struct, frozen=True):
    """Oldest first."""

    lines: list[LogLine]
