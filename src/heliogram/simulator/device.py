"""A virtual device, the apps on it and their tokens (rule book, section 7)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

import msgspec

from . import delivering
from .budget import Wakeups
from .cards import Activity
from .deliverylog import DELIVERED, Delivery
from .errors import Invalid, Missing
from .kinds import Permission, TokenKind
from .lockscreen import Arrival, LockScreen, Notification, stamp
from .storage import Store
from .tables import Environment, Platform

if TYPE_CHECKING:
    from .registry import Registry

LINES = 200
"""Lines of its log a device keeps; the oldest leaves."""


class DeviceToken(msgspec.Struct, eq=False, kw_only=True):
    """A token as APNs keeps it. ``ended_at``: milliseconds since the epoch, when it is not active (RESP-6).

    ``leaving``: its app has gone and APNs does not know for sure yet: pushes are answered 200 and discarded (LIFE-9).
    ``name`` tells several tokens of one kind apart.
    """

    value: bytes
    device: Device
    app: App
    environment: Environment
    topic: bytes
    kind: TokenKind = "device"
    name: str = ""
    state: Literal["active", "leaving", "unregistered", "expired"] = "active"
    ended_at: int = 0
    window: float = 0.0
    taken: int = 0

    def __repr__(self) -> str:
        return f"<DeviceToken {self.value[:8].decode()}… {self.kind} {self.environment} {self.state}>"

    def receive(self, arrival: Arrival) -> None:
        """APNs has accepted a push to this token."""
        if self.state == "active":
            self.device.receive(arrival, self)
        else:
            self.device.home.discard(arrival, self)


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
    """An installed app.

    ``environment`` is what the app believes, and tells its server; ``signed_for`` what its entitlement says, when that
    differs: its tokens belong to the latter (LIFE-4). ``entitlement``: True for the platform's own, False for none, or
    the name it is signed with. ``token``: the device token; ``others``: those of other kinds, by kind and name.
    """

    bundle_id: str
    environment: Environment
    signed_for: Environment
    entitlement: bool | str = True
    forward: Forward | None = None
    token_bytes: int = 32
    token: DeviceToken | None = None
    others: dict[tuple[TokenKind, str], DeviceToken] | None = None
    permission: Permission = "authorized"
    forward_pending: bool = False
    registration_pending: bool = False
    wakeups: Wakeups | None = None

    def __repr__(self) -> str:
        return f"<App {self.bundle_id} {self.environment} registered={self.token is not None}>"

    @property
    def tokens(self) -> list[DeviceToken]:
        """Every token it holds, the device token first."""
        own = [] if self.token is None else [self.token]
        return own + list((self.others or {}).values())


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a device's log."""

    at: float
    text: str


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as people read it."""

    at: str
    text: str


class Device(msgspec.Struct, eq=False, kw_only=True):
    """A virtual device. What most devices never need (a screen, a store, activities, a log) is made when needed.

    ``online``: it has a network. ``awake``: somebody uses it; asleep, what is not urgent waits (LIFE-8).
    """

    id: str
    name: str
    platform: Platform
    home: Registry
    apps: dict[str, App]
    online: bool = True
    awake: bool = True
    shown: LockScreen | None = None
    stored: Store | None = None
    activities: dict[str, Activity] | None = None
    lines: deque[Line] | None = None

    def __repr__(self) -> str:
        return f"<Device {self.id} {self.platform} apps={len(self.apps)} notifications={self.notification_count}>"

    def receive(self, arrival: Arrival, token: DeviceToken | None = None) -> None:
        """A push reaches the device, or would: the one door through which everything is delivered.

        ``token``: the one it was sent to; None for a broadcast, whose ``channel`` says for which activities it is.
        """
        home = self.home
        if not (self.online and self.awake and home.reachable):
            delivering.hold(self, arrival, token)
        elif token is not None and arrival.push_type == b"alert" and token.app.permission == "authorized":
            replaced = (self.shown or self.screen).add(arrival)  # the plain case, kept short
            home.log.append(Delivery(arrival, self.id, DELIVERED))
            if home.feed.live:
                delivering.tell(self, arrival, "shown" if replaced is None else "replaced")
        else:
            delivering.deliver(self, arrival, token)

    @property
    def screen(self) -> LockScreen:
        """What it shows."""
        if self.shown is None:
            self.shown = LockScreen(self.home.settings.held)
        return self.shown

    @property
    def notification_count(self) -> int:
        return 0 if self.shown is None else len(self.shown)

    @property
    def waiting(self) -> int:
        """How many notifications APNs keeps for it."""
        return 0 if self.stored is None else len(self.stored)

    @property
    def connected(self) -> bool:
        """Whether APNs has a connection to it."""
        return self.online and self.home.reachable

    def app(self, bundle_id: str) -> App:
        """Raises Missing."""
        try:
            return self.apps[bundle_id]
        except KeyError:
            raise Missing(f"{bundle_id} is not installed on device {self.id}", field="bundleId") from None

    def connect(self, online: bool) -> None:
        """Give it a network or take it away. Back online it gets what waits for it, and registers what could not."""
        if self.online != online:
            self.online = online
            self.note("online" if online else "offline")
            self.changed()
        self.catch_up()

    def wake(self, awake: bool) -> None:
        """Wake it up, or let it sleep. Awake it gets what was not urgent enough to wake it (LIFE-8)."""
        if self.awake != awake:
            self.awake = awake
            self.note("awake" if awake else "asleep")
            self.changed()
        self.catch_up()

    def catch_up(self) -> None:
        """Have what the present state allows: what was stored for it, and the registrations that failed without it."""
        home = self.home
        delivering.release(self, home.clock())
        if self.connected:
            for app in self.apps.values():
                if app.registration_pending:
                    home.launch(self.id, app.bundle_id)
            if home.followers is not None:
                home.followers.came_online(self)
        if self.stored is None and not any(app.registration_pending for app in self.apps.values()):
            home.waiting.pop(self.id, None)

    def notifications(self) -> list[Notification]:
        """What has reached it, oldest first: what it shows and, of presentation ``none``, what only apps saw."""
        return [] if self.shown is None else self.shown.read()

    def clear_notifications(self) -> None:
        """Somebody clears the list."""
        self.shown = None
        if self.home.feed.live:
            self.home.feed.publish("notification", {"change": "cleared", "deviceId": self.id})

    def note(self, text: str, at: float | None = None) -> None:
        """Write a line into its log."""
        if self.lines is None:
            self.lines = deque(maxlen=LINES)
        self.lines.append(Line(self.home.clock() if at is None else at, text))

    def log(self) -> list[LogLine]:
        """What happened on it besides notifications, oldest first."""
        return [LogLine(at=stamp(line.at), text=line.text) for line in self.lines or ()]

    def changed(self, change: str = "changed") -> None:
        """Tell whoever watches."""
        if self.home.feed.live:
            data = {"change": change, "deviceId": self.id, "name": self.name, "platform": self.platform}
            self.home.feed.publish("device", {**data, "online": self.online, "awake": self.awake})


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What registration answered the app: a token in hex, or the error its failure callback gets (LIFE-1)."""

    device_token: str | None
    error: str | None = None


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
