"""Broadcast channels: what they are, who follows them, and the one message some of them keep (BC-1 to BC-3)."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterable

from .agenda import Agenda
from .channel import POLICIES, Broadcast, Channel, Subscription, expires_at
from .errors import Conflict, Invalid, Missing
from .feed import Feed
from .lockscreen import Arrival
from .names import check_bundle_id
from .registry import Device, Registry
from .tables import ENVIRONMENTS, Environment, Settings

_FOLLOWERS = ("ios", "ipados")
_ID_BYTES = (12, 24)


class Channels:
    """Every channel of every app, in both environments.

    Other parts plug in here. ``enabled``: whether the Broadcast capability is on for a bundle id (BC-1); None: for
    every one. ``reachable``: whether a device can be reached now; None: every one can. ``listeners``: the devices
    with a Live Activity of the app that listens to the channel; None: only those subscribed here follow it.
    """

    def __init__(
        self, *, registry: Registry, settings: Settings, agenda: Agenda, feed: Feed, clock: Callable[[], float],
        rng: random.Random,
    ) -> None:  # fmt: skip
        self.enabled: Callable[[str], bool] | None = None
        self.reachable: Callable[[Device], bool] | None = None
        self.listeners: Callable[[str, str, Environment], list[Device]] | None = None
        self._registry = registry
        self._settings = settings
        self._agenda = agenda
        self._feed = feed
        self._clock = clock
        self._random = rng
        self._all: dict[str, Channel] = {}
        self._of_app: dict[tuple[str, Environment], dict[str, Channel]] = {}
        self._leaving: dict[str, Channel] = {}
        self._owing: dict[str, Channel] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"<Channels {len(self)} apps={len(self._of_app)} leaving={len(self._leaving)}>"

    # --- channels ---

    def create(self, bundle_id: str, environment: Environment, policy: int) -> Channel:
        """A new channel under an id never used before.

        Raises Invalid naming the field, or Conflict when the app has as many as it may (BC-2).
        """
        return self.restore(self._new_id(), bundle_id, environment, policy)

    def restore(self, channel_id: str, bundle_id: str, environment: Environment, policy: int) -> Channel:
        """A channel under an id that is known already, as `create` makes them."""
        check_bundle_id(bundle_id)
        if environment not in ENVIRONMENTS:
            raise Invalid("environment must be production or sandbox", field="environment")
        if policy not in POLICIES:
            raise Invalid("messageStoragePolicy must be 0 or 1", field="messageStoragePolicy")
        if self.full(bundle_id, environment):
            limit = self._settings.channels_per_app
            raise Conflict(f"{bundle_id} has its {limit} channels in {environment} already", field="bundleId")
        if channel_id in self._all or channel_id in self._leaving:
            raise Conflict("there is a channel of this id already", field="channelId")
        channel = Channel(
            id=channel_id, bundle_id=bundle_id, environment=environment, policy=policy, created_at=self._clock()
        )
        self._all[channel_id] = channel
        self._of_app.setdefault((bundle_id, environment), {})[channel_id] = channel
        self._tell("created", channel)
        return channel

    def full(self, bundle_id: str, environment: Environment) -> bool:
        """Whether the app has as many channels as it may (BC-2)."""
        return len(self._of_app.get((bundle_id, environment), ())) >= self._settings.channels_per_app

    def find(self, channel_id: str, bundle_id: str, environment: Environment) -> Channel | None:
        """The app's channel of this id in this environment; channels do not cross (BC-2)."""
        return self._of_app.get((bundle_id, environment), {}).get(channel_id)

    def channel(self, channel_id: str) -> Channel:
        """Raises Missing."""
        try:
            return self._all[channel_id]
        except KeyError:
            raise Missing(f"there is no channel {channel_id}", field="channelId") from None

    def all(self, bundle_id: str | None = None, environment: Environment | None = None) -> list[Channel]:
        """The channels of an app, an environment, or all; oldest first."""
        if bundle_id is not None and environment is not None:
            return [*self._of_app.get((bundle_id, environment), {}).values()]
        return [
            channel
            for channel in self._all.values()
            if bundle_id in (None, channel.bundle_id) and environment in (None, channel.environment)
        ]

    def delete(self, channel_id: str) -> None:
        """Remove a channel for good. A message it has stored still reaches those who followed it (BC-2)."""
        channel = self.channel(channel_id)
        del self._all[channel_id]
        of_app = self._of_app[channel.bundle_id, channel.environment]
        del of_app[channel_id]
        if not of_app:
            del self._of_app[channel.bundle_id, channel.environment]
        channel.deleted = True
        stored = self.stored(channel)
        if stored is not None and stored.expires_at is not None:
            self._leaving[channel_id] = channel
            self._agenda.at(stored.expires_at, lambda: self._expire(channel))
        self._tell("deleted", channel)

    def switch_off(self, bundle_id: str) -> None:
        """The app's Broadcast capability is switched off: all its channels go, in both environments (BC-1)."""
        for channel in self.all(bundle_id):
            self.delete(channel.id)

    # --- who follows them ---

    def subscribe(self, device_id: str, bundle_id: str, channel_id: str) -> Subscription:
        """An app on a device follows a channel; the message stored, if there is one, reaches it at once (BC-3).

        Raises Missing, or Conflict when the two do not fit together (BC-1, BC-2).
        """
        device, app = self._registry.device(device_id), self._registry.app(device_id, bundle_id)
        channel = self.channel(channel_id)
        if device.platform not in _FOLLOWERS:
            raise Conflict(f"a {device.platform} device has no Live Activities; take ios or ipados", field="deviceId")
        if bundle_id != channel.bundle_id:
            raise Conflict(f"channel {channel_id} belongs to {channel.bundle_id}", field="bundleId")
        if app.signed_for != channel.environment:
            raise Conflict(
                f"{bundle_id} on device {device_id} is a {app.signed_for} app, the channel is in "
                f"{channel.environment}; channels do not cross environments",
                field="channelId",
            )
        known = channel.subscriptions.get((device_id, bundle_id))
        if known is not None and known.app is app:
            return known
        subscription = channel.subscriptions[device_id, bundle_id] = Subscription(device=device, app=app)
        self._tell("subscribed", channel, deviceId=device_id)
        self._hand_over(channel, device)
        return subscription

    def unsubscribe(self, device_id: str, bundle_id: str, channel_id: str) -> None:
        """The app follows the channel no longer. Raises Missing."""
        channel = self.channel(channel_id)
        if channel.subscriptions.pop((device_id, bundle_id), None) is None:
            raise Missing(f"{bundle_id} on device {device_id} does not follow this channel", field="deviceId")
        self._tell("unsubscribed", channel, deviceId=device_id)

    def joined(self, device: Device, bundle_id: str, channel_id: str, environment: Environment) -> None:
        """A Live Activity on the device begins to listen: it gets the message stored, if there is one (BC-3)."""
        channel = self.find(channel_id, bundle_id, environment)
        if channel is not None:
            self._hand_over(channel, device)

    def app_gone(self, device_id: str, bundle_id: str) -> None:
        """The app was uninstalled, or installed anew: what it followed goes with its data."""
        for channel in (*self._all.values(), *self._leaving.values()):
            channel.subscriptions.pop((device_id, bundle_id), None)

    def came_online(self, device: Device) -> None:
        """A device can be reached again: it gets the messages stored for it meanwhile (BC-3)."""
        for channel in [channel for channel in self._owing.values() if device.id in channel.owed]:
            if device in self._followers(channel):
                self._hand_over(channel, device)
            else:
                channel.owed.discard(device.id)

    def owed(self) -> list[Device]:
        """The devices for which a channel has stored a message."""
        ids = {device_id for channel in self._owing.values() for device_id in channel.owed}
        return [device for device in map(self._registry.devices.get, ids) if device is not None]

    # --- messages ---

    def broadcast(
        self, channel: Channel, arrival: Arrival, expiration: int, findings: tuple[str, ...] = ()
    ) -> Broadcast:
        """Give a message to everybody who follows the channel and can be reached, and store it if it is to be.

        One that is not stored leaves nothing stored: an older message is not the most recent one any more.
        """
        channel.serial += 1
        followers = self._followers(channel)
        reached = [device for device in followers if self._can_be_reached(device)]
        missed = [device for device in followers if not self._can_be_reached(device)]
        broadcast = Broadcast(
            serial=channel.serial,
            arrival=arrival,
            expiration=expiration,
            expires_at=expires_at(channel.policy, arrival.received_at, expiration),
            reached=len(reached),
            missed=len(missed),
            findings=findings,
        )
        channel.broadcasts.append(broadcast)
        self._let_go(channel)
        if broadcast.expires_at is not None:
            channel.stored = broadcast
            self._owe(channel, missed)
        for device in reached:
            device.receive(arrival)
        self._tell("broadcast", channel, serial=channel.serial, reached=broadcast.reached, missed=broadcast.missed)
        return broadcast

    def stored(self, channel: Channel) -> Broadcast | None:
        """The message the channel keeps for those who come later."""
        self._expire(channel)
        return channel.stored

    def within_rate(self, channel: Channel, now: float) -> bool:
        """Count one more broadcast; False when the channel has had as many within a minute as the settings allow."""
        rate = self._settings.channel_rate
        if rate is None:
            return True
        if not 0 <= now - channel.window < 60:
            channel.window, channel.taken = now, 0
        channel.taken += 1
        return channel.taken <= rate

    def clear(self) -> None:
        """No channels; an id given earlier is unknown from now on."""
        self._all.clear()
        self._of_app.clear()
        self._leaving.clear()
        self._owing.clear()

    # --- inside ---

    def _new_id(self) -> str:
        """Base64 of 96 random bits or more, of no fixed length: none comes twice (BC-2)."""
        while True:
            size = self._random.randint(*_ID_BYTES)
            raw = self._random.getrandbits(size * 8).to_bytes(size, "big")
            channel_id = base64.b64encode(raw).decode("ascii")
            if channel_id not in self._all and channel_id not in self._leaving:
                return channel_id

    def _followers(self, channel: Channel) -> list[Device]:
        """Each device once, if it and the app are still there."""
        found: dict[str, Device] = {}
        for key, subscription in list(channel.subscriptions.items()):
            device = subscription.device
            if self._registry.devices.get(device.id) is device and subscription.holds:
                found[device.id] = device
            else:
                del channel.subscriptions[key]
        if self.listeners is not None:
            for device in self.listeners(channel.bundle_id, channel.id, channel.environment):
                found[device.id] = device
        return list(found.values())

    def _can_be_reached(self, device: Device) -> bool:
        return self.reachable is None or self.reachable(device)

    def _hand_over(self, channel: Channel, device: Device) -> None:
        """Give a device the message stored; owe it to one that cannot be reached."""
        stored = self.stored(channel)
        if stored is None:
            return
        if self._can_be_reached(device):
            channel.owed.discard(device.id)
            device.receive(stored.arrival)
        else:
            self._owe(channel, [device])

    def _owe(self, channel: Channel, devices: Iterable[Device]) -> None:
        channel.owed.update(device.id for device in devices)
        if channel.owed:
            self._owing[channel.id] = channel

    def _let_go(self, channel: Channel) -> None:
        """Nothing is stored any more, nothing is owed; a deleted channel holds nothing else."""
        channel.stored = None
        channel.owed.clear()
        self._owing.pop(channel.id, None)
        if channel.deleted:
            self._leaving.pop(channel.id, None)

    def _expire(self, channel: Channel) -> None:
        """Let go of a message whose time is over."""
        stored = channel.stored
        if stored is not None and stored.expires_at is not None and stored.expires_at <= self._clock():
            self._let_go(channel)

    def _tell(self, action: str, channel: Channel, **more: object) -> None:
        if self._feed.live:
            where = {"channelId": channel.id, "bundleId": channel.bundle_id, "environment": channel.environment}
            self._feed.publish("channel", {"action": action, **where, **more})
