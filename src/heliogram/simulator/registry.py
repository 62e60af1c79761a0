"""Virtual devices, the apps on them, and the device tokens APNs has given those apps (rule book, section 7)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from .errors import Conflict, Invalid, Missing
from .lockscreen import Arrival, LockScreen
from .names import check_bundle_id
from .tables import ENVIRONMENTS, PLATFORMS, SUFFIXES, Environment, Platform

NAME_LIMIT = 100

ENTITLEMENT = "aps-environment"
MACOS_ENTITLEMENT = "com.apple.developer.aps-environment"


class DeviceToken(msgspec.Struct, eq=False, kw_only=True):
    """A token as APNs keeps it. ``ended_at``: milliseconds since the epoch, when it is not active (RESP-6)."""

    value: bytes
    device: Device
    environment: Environment
    topic: bytes
    state: Literal["active", "unregistered", "expired"] = "active"
    ended_at: int = 0
    window: float = 0.0
    taken: int = 0

    def __repr__(self) -> str:
        return f"<DeviceToken {self.value[:8].decode()}… {self.environment} {self.state}>"


class Forward(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where an app hands its token: ``url``, and one of ``registration_token`` or ``api_key`` (``keyId:secret``)."""

    url: str
    registration_token: str | None = None
    api_key: str | None = None
    user_id: str | None = None
    app_name: str | None = None

    def __repr__(self) -> str:
        return f"Forward(url={self.url!r}, user_id={self.user_id!r}, app_name={self.app_name!r})"


class App(msgspec.Struct, eq=False, kw_only=True):
    """An installed app. ``entitlement``: True for the platform's own, False for none, or the name it is signed with."""

    bundle_id: str
    environment: Environment
    entitlement: bool | str = True
    forward: Forward | None = None
    token_bytes: int = 32
    token: DeviceToken | None = None
    forward_pending: bool = False

    def __repr__(self) -> str:
        return f"<App {self.bundle_id} {self.environment} registered={self.token is not None}>"


class Device(msgspec.Struct, eq=False, kw_only=True):
    """A virtual device."""

    id: str
    name: str
    platform: Platform
    screen: LockScreen
    apps: dict[str, App]

    def __repr__(self) -> str:
        return f"<Device {self.id} {self.platform} apps={len(self.apps)} notifications={len(self.screen)}>"

    def receive(self, arrival: Arrival) -> None:
        """A push reaches the device: the one door through which everything is delivered."""
        self.screen.add(arrival)


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What registration answered the app: a device token in hex, or the error its failure callback gets (LIFE-1)."""

    device_token: str | None
    error: str | None = None


class Registry:
    """Every device and every token ever given. Times come from ``clock`` (seconds since the epoch)."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        held: int = 1000,
    ) -> None:
        self.clock = clock
        self.devices: dict[str, Device] = {}
        self.tokens: dict[bytes, DeviceToken] = {}
        self._random = rng or random.SystemRandom()
        self._held = held

    def __repr__(self) -> str:
        return f"<Registry devices={len(self.devices)} tokens={len(self.tokens)}>"

    def add_device(self, name: str, platform: Platform) -> Device:
        """A new device. Raises Invalid naming the field."""
        if not name or len(name) > NAME_LIMIT:
            raise Invalid(f"name must have 1 to {NAME_LIMIT} characters", field="name")
        if platform not in PLATFORMS:
            raise Invalid(f"platform must be one of {', '.join(PLATFORMS)}", field="platform")
        device = Device(id=self._hex(6), name=name, platform=platform, screen=LockScreen(self._held), apps={})
        self.devices[device.id] = device
        return device

    def device(self, device_id: str) -> Device:
        """Raises Missing."""
        try:
            return self.devices[device_id]
        except KeyError:
            raise Missing(f"there is no device {device_id}; POST /devices makes one", field="id") from None

    def app(self, device_id: str, bundle_id: str) -> App:
        """Raises Missing."""
        try:
            return self.device(device_id).apps[bundle_id]
        except KeyError:
            raise Missing(f"{bundle_id} is not installed on device {device_id}", field="bundleId") from None

    def install(
        self,
        device_id: str,
        bundle_id: str,
        environment: Environment,
        *,
        entitlement: bool | str = True,
        forward: Forward | None = None,
        token_bytes: int = 32,
    ) -> App:
        """Put an app on a device; it has no token before its first launch (LIFE-1).

        ``token_bytes``: how long its tokens are, 8 to 200 (REQ-7). Raises Missing, Invalid, or Conflict when the app
        is there already.
        """
        device = self.device(device_id)
        check_bundle_id(bundle_id)
        if environment not in ENVIRONMENTS:
            raise Invalid("environment must be production or sandbox", field="environment")
        if not 8 <= token_bytes <= 200:
            raise Invalid("token_bytes must be 8 to 200", field="token_bytes")
        if forward is not None:
            check_forward(forward)
        if bundle_id in device.apps:
            raise Conflict(f"{bundle_id} is on device {device_id} already; reinstall or DELETE it", field="bundleId")
        app = App(
            bundle_id=bundle_id,
            environment=environment,
            entitlement=entitlement,
            forward=forward,
            token_bytes=token_bytes,
        )
        device.apps[bundle_id] = app
        return app

    def launch(self, device_id: str, bundle_id: str) -> Launch:
        """The app starts and asks for its token (LIFE-1): the old one unless it was installed anew (LIFE-2)."""
        device, app = self.device(device_id), self.app(device_id, bundle_id)
        wanted = MACOS_ENTITLEMENT if device.platform == "macos" else ENTITLEMENT
        if app.entitlement is not True and app.entitlement != wanted:
            return Launch(device_token=None, error=f"no valid “{wanted}” entitlement string found for application")
        if app.token is None or app.token.state != "active":
            app.token = DeviceToken(
                value=self._hex(app.token_bytes).encode("ascii"),
                device=device,
                environment=app.environment,
                topic=bundle_id.encode("ascii"),
            )
            self.tokens[app.token.value] = app.token
        return Launch(device_token=app.token.value.decode("ascii"))

    def reinstall(self, device_id: str, bundle_id: str) -> App:
        """Delete and install again: the old token is dead from now, the next launch gets a new one (LIFE-2)."""
        app = self.app(device_id, bundle_id)
        self._end(app, "unregistered")
        self._clear(device_id, bundle_id)
        return app

    def uninstall(self, device_id: str, bundle_id: str) -> None:
        """The app goes, its notifications with it, and its token answers 410 from now on."""
        app = self.app(device_id, bundle_id)
        self._end(app, "unregistered")
        self._clear(device_id, bundle_id)
        del self.devices[device_id].apps[bundle_id]

    def expire(self, device_id: str, bundle_id: str) -> None:
        """The app's token outlives its time: ``ExpiredToken`` from now on (LA-4)."""
        self._end(self.app(device_id, bundle_id), "expired")

    def clear(self) -> None:
        """No devices and no tokens; a token given earlier is unknown from now on."""
        self.devices.clear()
        self.tokens.clear()

    def _end(self, app: App, state: Literal["unregistered", "expired"]) -> None:
        if app.token is not None and app.token.state == "active":
            app.token.state = state
            app.token.ended_at = int(self.clock() * 1000)
        app.token = None

    def _clear(self, device_id: str, bundle_id: str) -> None:
        base = bundle_id.encode("ascii")
        own = {base, *(base + suffix for suffix in SUFFIXES)}
        self.devices[device_id].screen.remove(own.__contains__)

    def _hex(self, size: int) -> str:
        return f"{self._random.getrandbits(size * 8):0{size * 2}x}"


def check_forward(forward: Forward) -> None:
    """Raises Invalid naming the field."""
    if not forward.url.startswith(("http://", "https://")):
        raise Invalid("forward.url must start with http:// or https://", field="forward.url")
    if (forward.registration_token is None) == (forward.api_key is None):
        raise Invalid("forward needs exactly one of registrationToken and apiKey", field="forward")
    if forward.api_key is not None and not all(forward.api_key.partition(":")[::2]):
        raise Invalid("forward.apiKey must be keyId:secret", field="forward.apiKey")
    if forward.registration_token == "":
        raise Invalid("forward.registrationToken must not be empty", field="forward.registrationToken")
