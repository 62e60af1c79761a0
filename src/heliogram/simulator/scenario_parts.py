"""How keys, devices and channels go into a scenario and come out of it again.

No secret leaves: of a signing key the public half alone (its private half was seen once, when it was made, TOK-7), of
a token's forwarding nothing, because it is made of a server's credentials. A scenario says who there is, not what
has happened to them: no notifications, no Live Activities, no stored messages, no logs.
"""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Literal

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .agenda import Agenda
from .channel import Channel
from .channels import Channels
from .device import App, Device, DeviceToken
from .errors import Conflict, Invalid
from .keys import Key, KeyRing
from .kinds import Permission, TokenKind
from .parts import taken_as
from .registry import Registry
from .tables import CHANNEL_ID_LIMIT, Environment, Platform
from .timing import LATEST

_DEVICE_ID = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_TOKEN = re.compile(r"(?:[0-9a-f]{2}){1,2048}\Z")


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    pass


class KeyPart(_Part, frozen=True, kw_only=True):
    """A signing key, its public half."""

    key_id: str
    team_id: str
    public_key: str
    topics: list[str] | None = None
    environment: Environment | None = None
    related_key_id: str | None = None
    issued: bool = False


class AppPart(_Part, frozen=True, kw_only=True):
    """An installed app. ``registrationPending``: it registers once its device reaches APNs."""

    bundle_id: str
    environment: Environment
    signed_for: Environment | None = None
    entitlement: bool | str = True
    token_bytes: int = 32
    permission: Permission = "authorized"
    registration_pending: bool = False


class DevicePart(_Part, frozen=True, kw_only=True):
    """A device and the apps on it."""

    id: str
    name: str
    platform: Platform
    online: bool = True
    awake: bool = True
    apps: list[AppPart] = []


class TokenPart(_Part, frozen=True, kw_only=True):
    """A token APNs has given; a dead one may be of a device or an app that is there no more."""

    value: str
    device_id: str
    bundle_id: str
    environment: Environment
    kind: TokenKind = "device"
    name: str = ""
    state: Literal["active", "leaving", "unregistered", "expired"] = "active"
    ended_at: Annotated[int, msgspec.Meta(ge=0, le=int(LATEST * 1000))] = 0


class DevicesPart(_Part, frozen=True, kw_only=True):
    """Devices, and every token ever given. ``reachable``: whether devices can reach APNs at all."""

    devices: list[DevicePart] = []
    tokens: list[TokenPart] = []
    reachable: bool = True


class FollowerPart(_Part, frozen=True, kw_only=True):
    """An app on a device that follows a channel."""

    device_id: str
    bundle_id: str


class ChannelPart(_Part, frozen=True, kw_only=True):
    """A broadcast channel."""

    channel_id: str
    bundle_id: str
    environment: Environment
    message_storage_policy: Literal[0, 1]
    created_at: Annotated[float, msgspec.Meta(ge=0, le=LATEST)] | None = None
    followers: list[FollowerPart] = []


class KeyScenario:
    """Signing keys."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return f"<KeyScenario {self._keys!r}>"

    def export(self) -> Any:
        return plain([_key(key) for key in self._keys.all()])

    def import_(self, value: Any) -> None:
        """Raises Invalid or Conflict."""
        for part in taken_as(value, list[KeyPart], "keys"):
            self._keys.add(
                part.key_id,
                part.team_id,
                part.public_key,
                topics=part.topics,
                environment=part.environment,
                related_key_id=part.related_key_id,
                issued=part.issued,
            )


class DeviceScenario:
    """Devices, apps and tokens."""

    def __init__(self, registry: Registry, agenda: Agenda) -> None:
        self._registry = registry
        self._agenda = agenda

    def __repr__(self) -> str:
        return f"<DeviceScenario {self._registry!r}>"

    def export(self) -> Any:
        registry = self._registry
        return plain(
            DevicesPart(
                devices=[_device(device) for device in registry.devices.values()],
                tokens=[_token(token) for token in registry.tokens.values() if token.kind != "liveActivity"],
                reachable=registry.reachable,
            )
        )

    def import_(self, value: Any) -> None:
        """Raises Invalid or Conflict."""
        taken = taken_as(value, DevicesPart, "devices")
        for device in taken.devices:
            self._add_device(device)
        gone: dict[tuple[str, str], App] = {}
        for token in taken.tokens:
            self._add_token(token, gone)
        self._registry.set_reachable(taken.reachable)

    def _add_device(self, part: DevicePart) -> None:
        if not _DEVICE_ID.match(part.id):
            raise Invalid(f"device id {part.id!r} must be 1 to 100 letters, digits, dots, dashes", field="devices")
        device = self._registry.add_device(part.name, part.platform, part.id)
        device.online, device.awake = part.online, part.awake
        for app in part.apps:
            made = self._registry.install(
                part.id,
                app.bundle_id,
                app.environment,
                entitlement=app.entitlement,
                token_bytes=app.token_bytes,
                signed_for=app.signed_for,
            )
            made.permission = app.permission
            made.registration_pending = app.registration_pending
            if app.registration_pending:
                self._registry.waiting[device.id] = device

    def _add_token(self, part: TokenPart, gone: dict[tuple[str, str], App]) -> None:
        registry, value = self._registry, part.value.encode("utf-8", "replace")
        if not _TOKEN.match(part.value):
            raise Invalid(f"token {part.value[:16]!r}… must be pairs of lower-case hex digits", field="tokens")
        if value in registry.tokens:
            raise Conflict(f"token {part.value[:8]}… is there twice", field="tokens")
        device = registry.devices.get(part.device_id) or Device(
            id=part.device_id, name="gone", platform="ios", home=registry, apps={}
        )
        app = device.apps.get(part.bundle_id)
        if part.state == "active":
            if app is None or app.signed_for != part.environment:
                why = f"token {part.value[:8]}… is active, and device {part.device_id} has no such app"
                raise Invalid(why, field="tokens")
            if any((held.kind, held.name) == (part.kind, part.name) for held in app.tokens):
                raise Conflict(f"token {part.value[:8]}… is the second active one of its kind", field="tokens")
            token = registry.issue(device, app, part.kind, name=part.name, value=value)
            if part.kind == "device":
                app.token = token
            return
        of = (part.bundle_id, part.environment)
        former = gone.setdefault(
            of, App(bundle_id=part.bundle_id, environment=part.environment, signed_for=part.environment)
        )
        token = registry.issue(device, former, part.kind, name=part.name, value=value)
        former.others = None
        token.state, token.ended_at = part.state, part.ended_at
        if part.state == "leaving" and part.ended_at:
            self._agenda.at(part.ended_at / 1000, lambda: setattr(token, "state", "unregistered"))


class ChannelScenario:
    """Broadcast channels and who follows them."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def __repr__(self) -> str:
        return f"<ChannelScenario {self._channels!r}>"

    def export(self) -> Any:
        return plain([_channel(channel) for channel in self._channels.all()])

    def import_(self, value: Any) -> None:
        """Raises Invalid, Conflict, or Missing for a follower that is not there."""
        for part in taken_as(value, list[ChannelPart], "channels"):
            channel = self._channels.restore(
                _channel_id(part.channel_id), part.bundle_id, part.environment, part.message_storage_policy
            )
            if part.created_at is not None:
                channel.created_at = part.created_at
            for follower in part.followers:
                self._channels.subscribe(follower.device_id, follower.bundle_id, part.channel_id)


def plain(value: Any) -> Any:
    """As JSON values."""
    return msgspec.to_builtins(value)


def _key(key: Key) -> KeyPart:
    pem = key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPart(
        key_id=key.key_id,
        team_id=key.team_id,
        public_key=pem.decode("ascii"),
        topics=None if key.topics is None else sorted(topic.decode("ascii") for topic in key.topics),
        environment=key.environment,
        related_key_id=key.related_key_id,
        issued=key.issued,
    )


def _device(device: Device) -> DevicePart:
    return DevicePart(
        id=device.id,
        name=device.name,
        platform=device.platform,
        online=device.online,
        awake=device.awake,
        apps=[_app(app) for app in device.apps.values()],
    )


def _app(app: App) -> AppPart:
    return AppPart(
        bundle_id=app.bundle_id,
        environment=app.environment,
        signed_for=None if app.signed_for == app.environment else app.signed_for,
        entitlement=app.entitlement,
        token_bytes=app.token_bytes,
        permission=app.permission,
        registration_pending=app.registration_pending,
    )


def _token(token: DeviceToken) -> TokenPart:
    return TokenPart(
        value=token.value.decode("ascii"),
        device_id=token.device.id,
        bundle_id=token.app.bundle_id,
        environment=token.environment,
        kind=token.kind,
        name=token.name,
        state=token.state,
        ended_at=token.ended_at,
    )


def _channel(channel: Channel) -> ChannelPart:
    return ChannelPart(
        channel_id=channel.id,
        bundle_id=channel.bundle_id,
        environment=channel.environment,
        message_storage_policy=1 if channel.policy else 0,
        created_at=channel.created_at,
        followers=[
            FollowerPart(device_id=each.device.id, bundle_id=each.app.bundle_id)
            for each in channel.subscriptions.values()
            if each.holds
        ],
    )


def _channel_id(channel_id: str) -> str:
    try:
        good = 0 < len(channel_id) <= CHANNEL_ID_LIMIT and base64.b64decode(channel_id.encode("utf-8"), validate=True)
    except ValueError:
        good = False
    if not good:
        raise Invalid(f"channelId must be base64 of at most {CHANNEL_ID_LIMIT} characters", field="channels")
    return channel_id
