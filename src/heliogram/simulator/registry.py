"""Every device, every app on them and every token APNs has given: made, ended and looked up here (section 7)."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import Protocol

from .activities import LiveActivities
from .agenda import Agenda
from .budget import Wakeups
from .delivering import hand_over
from .device import App, Device, DeviceToken, Forward, Launch, check_forward
from .errors import Conflict, Invalid, Missing
from .feed import Feed
from .kinds import KINDS, PERMISSIONS, Permission, TokenKind
from .names import check_bundle_id
from .tables import ENVIRONMENTS, PLATFORMS, SUFFIXES, Environment, Platform, Settings
from .tokens import Tokens

__all__ = [
    "ENTITLEMENT",
    "MACOS_ENTITLEMENT",
    "NAME_LIMIT",
    "App",
    "Device",
    "DeviceToken",
    "Forward",
    "Launch",
    "Registry",
    "check_forward",
]

NAME_LIMIT = 100
TOKENS_PER_APP = 1000
"""Tokens of other kinds that an app on a device may hold; the simulator's own bound."""

ENTITLEMENT = "aps-environment"
MACOS_ENTITLEMENT = "com.apple.developer.aps-environment"


class Followers(Protocol):
    """Is told what happens to those who follow broadcast channels (section 6)."""

    def joined(self, device: Device, bundle_id: str, channel_id: str, environment: Environment) -> None: ...

    def app_gone(self, device_id: str, bundle_id: str) -> None: ...

    def came_online(self, device: Device) -> None: ...

    def owed(self) -> list[Device]: ...


class Registry(Tokens):
    """Every device and every token ever given. Times come from ``clock`` (seconds since the epoch).

    ``portal`` tells why an App ID may not receive pushes, or None: it may. ``reachable``: whether devices can reach
    APNs at all; change it with `set_reachable`. ``waiting``: the devices for which something is stored,
    or whose apps could not register.
    ``followers``: who is told about those that follow channels; None: nobody.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        settings: Settings | None = None,
        feed: Feed | None = None,
        agenda: Agenda | None = None,
    ) -> None:
        settings = settings or Settings()
        super().__init__(clock, rng or random.SystemRandom(), settings, Agenda(clock) if agenda is None else agenda)
        self.feed = Feed() if feed is None else feed
        self.devices: dict[str, Device] = {}
        self.portal: Callable[[str], str | None] | None = None
        self.followers: Followers | None = None
        self.reachable = True
        self.waiting: dict[str, Device] = {}
        self.activities = LiveActivities(self)

    def __repr__(self) -> str:
        return f"<Registry devices={len(self.devices)} tokens={len(self.tokens)}>"

    # --- devices ---

    def add_device(self, name: str, platform: Platform, device_id: str | None = None) -> Device:
        """A new device; without an id it gets one. Raises Invalid naming the field, or Conflict for an id in use."""
        if not name or len(name) > NAME_LIMIT:
            raise Invalid(f"name must have 1 to {NAME_LIMIT} characters", field="name")
        if platform not in PLATFORMS:
            raise Invalid(f"platform must be one of {', '.join(PLATFORMS)}", field="platform")
        if device_id is not None and device_id in self.devices:
            raise Conflict(f"there is a device {device_id} already", field="id")
        device = Device(id=device_id or self.made_id(6), name=name, platform=platform, home=self, apps={})
        self.devices[device.id] = device
        device.changed("made")
        return device

    def device(self, device_id: str) -> Device:
        """Raises Missing. What has become due is done first, so that the device is as it is now."""
        self.agenda.look()
        try:
            return self.devices[device_id]
        except KeyError:
            raise Missing(f"there is no device {device_id}; POST /devices makes one", field="id") from None

    def remove_device(self, device_id: str) -> None:
        """Erase a device for good: its apps go as if uninstalled, what was stored for it is lost."""
        device = self.device(device_id)
        self._wipe(device)
        device.apps.clear()
        del self.devices[device_id]
        device.changed("gone")

    def restore(self, device_id: str, name: str | None = None, platform: Platform | None = None) -> Device:
        """Restore the device's backup to a new one: the same apps and permissions, new tokens at their next launch.

        The old device and its tokens stay as they are (LIFE-2). Raises Missing, Invalid.
        """
        old = self.device(device_id)
        new = self.add_device(old.name if name is None else name, platform or old.platform)
        for app in old.apps.values():
            copy = self.install(
                new.id,
                app.bundle_id,
                app.environment,
                entitlement=app.entitlement,
                forward=app.forward,
                token_bytes=app.token_bytes,
                signed_for=app.signed_for,
            )
            copy.permission = app.permission
        return new

    def reinstall_os(self, device_id: str) -> Device:
        """The system is installed anew, the backup put back: apps and permissions stay, every token ends (LIFE-2)."""
        device = self.device(device_id)
        self._wipe(device)
        device.note("the system was installed anew")
        device.changed()
        return device

    def set_reachable(self, reachable: bool) -> None:
        """Cut every device off from APNs, or let them reach it again: then they get what waits for them."""
        self.reachable = reachable
        if reachable:
            following = {device.id: device for device in self.devices.values() if device.activities is not None}
            if self.followers is not None:
                following |= {device.id: device for device in self.followers.owed()}
            for device in (self.waiting | following).values():
                device.catch_up()

    # --- apps ---

    def app(self, device_id: str, bundle_id: str) -> App:
        """Raises Missing."""
        return self.device(device_id).app(bundle_id)

    def install(
        self,
        device_id: str,
        bundle_id: str,
        environment: Environment,
        *,
        entitlement: bool | str = True,
        forward: Forward | None = None,
        token_bytes: int = 32,
        signed_for: Environment | None = None,
    ) -> App:
        """Put an app on a device; it has no token before its first launch (LIFE-1).

        ``token_bytes``: how long its tokens are, 8 to 200 (REQ-7). ``signed_for``: the environment its entitlement
        names, when the app believes another (LIFE-4). Raises Missing, Invalid, or Conflict when it is there already.
        """
        device = self.device(device_id)
        check_bundle_id(bundle_id)
        for field, value in (("environment", environment), ("signedFor", signed_for or environment)):
            if value not in ENVIRONMENTS:
                raise Invalid(f"{field} must be production or sandbox", field=field)
        if not 8 <= token_bytes <= 200:
            raise Invalid("token_bytes must be 8 to 200", field="token_bytes")
        if forward is not None:
            check_forward(forward)
        if bundle_id in device.apps:
            raise Conflict(f"{bundle_id} is on device {device_id} already; reinstall or DELETE it", field="bundleId")
        bundle_id = sys.intern(bundle_id)
        app = device.apps[bundle_id] = App(
            bundle_id=bundle_id,
            environment=environment,
            signed_for=signed_for or environment,
            entitlement=entitlement,
            forward=forward,
            token_bytes=token_bytes,
        )
        self._tell_app(device, app, "installed")
        return app

    def launch(self, device_id: str, bundle_id: str) -> Launch:
        """The app starts and asks for its token (LIFE-1): the old one unless it was installed anew (LIFE-2).

        It also gets the background push that was held for it (LIFE-8).
        """
        device = self.device(device_id)
        app = device.app(bundle_id)
        hand_over(device, app, self.clock(), launched=True)
        error = self._refusal(device, app)
        if error is None and app.token is None:
            app.token = self.issue(device, app)
        self._tell_app(device, app, "launched")
        return Launch(
            device_token=app.token.value.decode("ascii") if error is None and app.token else None, error=error
        )

    def register(self, device_id: str, bundle_id: str, kind: TokenKind, name: str = "") -> Launch:
        """The app asks for a token of another kind: PushKit, push-to-start, a widget's … (LIFE-3).

        ``name`` tells several of a kind apart: the channel joined, the control, the type of activity. The same one
        again gives the same token. Raises Missing, and Invalid for a kind its platform does not have.
        """
        device = self.device(device_id)
        app = device.app(bundle_id)
        if kind == "device":
            return self.launch(device_id, bundle_id)
        if kind not in KINDS or kind == "liveActivity":
            names = ", ".join(each for each in KINDS if each != "liveActivity")
            raise Invalid(f"kind must be one of {names}; starting an activity gives its token", field="kind")
        if device.platform not in KINDS[kind].platforms:
            raise Invalid(f"{device.platform} has no {kind} tokens", field="kind")
        if len(name) > NAME_LIMIT or (name and not KINDS[kind].named):
            raise Invalid(
                f"name must have at most {NAME_LIMIT} characters, and is for kinds with several", field="name"
            )
        error = self._refusal(device, app)
        if error is not None:
            return Launch(device_token=None, error=error)
        token = (app.others or {}).get((kind, name))
        if token is None:
            if len(app.others or ()) >= TOKENS_PER_APP:
                raise Conflict(f"{bundle_id} has {TOKENS_PER_APP} tokens already; give some up", field="kind")
            token = self.issue(device, app, kind, name=name)
        return Launch(device_token=token.value.decode("ascii"))

    def give_up(self, device_id: str, bundle_id: str, value: str) -> None:
        """The app unregisters, leaves the channel, removes the widget: this token of it ends. Raises Missing."""
        app = self.app(device_id, bundle_id)
        for token in app.tokens:
            if token.value == value.encode("utf-8", "replace"):
                self.end_token(token)
                if token is app.token:
                    app.token = None
                else:
                    (app.others or {}).pop((token.kind, token.name), None)
                return
        raise Missing(f"{bundle_id} on device {device_id} does not hold this token", field="deviceToken")

    def set_permission(self, device_id: str, bundle_id: str, permission: Permission) -> App:
        """What the user allows the app; without it there are tokens all the same, and no alerts (LIFE-7)."""
        if permission not in PERMISSIONS:
            raise Invalid(f"permission must be one of {', '.join(PERMISSIONS)}", field="permission")
        device = self.device(device_id)
        app = device.app(bundle_id)
        app.permission = permission
        self._tell_app(device, app, "changed")
        return app

    def force_quit(self, device_id: str, bundle_id: str) -> None:
        """Somebody swipes the app away: what was held for it is lost, and nothing wakes it until a launch (LIFE-8)."""
        device = self.device(device_id)
        app = device.app(bundle_id)
        app.wakeups = app.wakeups or Wakeups()
        app.wakeups.quit, app.wakeups.held = True, None
        self._tell_app(device, app, "quit")

    def reinstall(self, device_id: str, bundle_id: str) -> App:
        """Delete and install again: the old tokens are dead, the next launch gets a new one (LIFE-2)."""
        device = self.device(device_id)
        app = device.app(bundle_id)
        self._strip(device, app)
        self._tell_app(device, app, "installed")
        return app

    def uninstall(self, device_id: str, bundle_id: str) -> None:
        """The app goes, its notifications with it, and its tokens end (LIFE-9)."""
        device = self.device(device_id)
        app = device.app(bundle_id)
        self._strip(device, app)
        del device.apps[bundle_id]
        self._tell_app(device, app, "uninstalled")

    def expire(self, device_id: str, bundle_id: str) -> None:
        """The app's device token outlives its time: ``ExpiredToken`` from now on (LA-4)."""
        app = self.app(device_id, bundle_id)
        if app.token is not None:
            self.end_token(app.token, "expired")
            app.token = None

    def clear(self) -> None:
        """No devices and no tokens; a token given earlier is unknown from now on."""
        self.devices.clear()
        self.tokens.clear()
        self.waiting.clear()
        self.log.clear()
        self.activities.clear()
        self.reachable = True

    def _refusal(self, device: Device, app: App) -> str | None:
        """Why registration fails now, as the failure callback is told (LIFE-1); then the app tries again later."""
        wanted = MACOS_ENTITLEMENT if device.platform == "macos" else ENTITLEMENT
        if app.entitlement is not True and app.entitlement != wanted:
            return f"no valid “{wanted}” entitlement string found for application"
        error = None if self.portal is None else self.portal(app.bundle_id)
        app.registration_pending = error is None and not device.connected
        if app.registration_pending:
            self.waiting[device.id] = device
            return "APNs cannot be reached" if device.online else "the device is not connected to the network"
        return error

    def _strip(self, device: Device, app: App) -> None:
        """The app's data goes: tokens, notifications, activities, what it follows."""
        self.activities.forget(device, app)
        for token in app.tokens:
            self.end_token(token)
        app.token = app.others = app.wakeups = None
        if self.followers is not None:
            self.followers.app_gone(device.id, app.bundle_id)
        app.registration_pending = app.forward_pending = False
        if device.shown is not None:
            base = app.bundle_id.encode("ascii")
            device.shown.remove({base, *(base + suffix for suffix in SUFFIXES)}.__contains__)

    def _wipe(self, device: Device) -> None:
        for app in device.apps.values():
            self._strip(device, app)
        device.stored = device.shown = None
        self.waiting.pop(device.id, None)

    def _tell_app(self, device: Device, app: App, change: str) -> None:
        if self.feed.live:
            self.feed.publish("app", {"change": change, "deviceId": device.id, "bundleId": app.bundle_id})
