"""What the control API reads and writes of devices and apps."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from ..forward import Forwarded
from ..lockscreen import Notification
from ..registry import App, Device, Forward, Launch
from ..tables import Environment, Platform

BundleId = Annotated[str, Meta(description="The app's bundle id", examples=["com.example.app"])]


class DeviceIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A virtual device to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=100, examples=["Anna's iPhone"])]
    platform: Platform = "ios"


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
    """An app to be installed. ``entitlement``: true, false, or the name of the one it is signed with."""

    bundle_id: BundleId
    environment: Environment
    entitlement: bool | str = True
    forward: ForwardIn | None = None


class ForwardOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the app forwards to; ``pending``: the last attempt failed and will be repeated."""

    url: str
    user_id: str | None
    app_name: str | None
    pending: bool


class AppOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """An installed app; no ``deviceToken`` before its first launch."""

    bundle_id: str
    environment: Environment
    entitlement: bool | str
    device_token: str | None
    forward: ForwardOut | None

    @classmethod
    def of(cls, app: App) -> AppOut:
        forward = app.forward
        return cls(
            bundle_id=app.bundle_id,
            environment=app.environment,
            entitlement=app.entitlement,
            device_token=None if app.token is None else app.token.value.decode("ascii"),
            forward=None
            if forward is None
            else ForwardOut(
                url=forward.url, user_id=forward.user_id, app_name=forward.app_name, pending=app.forward_pending
            ),
        )


class DeviceOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device, its apps, and how many notifications it shows."""

    id: str
    name: str
    platform: Platform
    notifications: int
    apps: list[AppOut]

    @classmethod
    def of(cls, device: Device) -> DeviceOut:
        return cls(
            id=device.id,
            name=device.name,
            platform=device.platform,
            notifications=len(device.screen),
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
