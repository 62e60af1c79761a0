"""Live Activities on devices: cards that the app or a push starts, and pushes or broadcasts update (4.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from .cards import Activity, Card
from .errors import Conflict, Invalid, Missing
from .kinds import ACTIVITY_TOKEN_BYTES, KINDS
from .lockscreen import Arrival, take_apart
from .tables import Environment

if TYPE_CHECKING:
    from .device import App, Device, DeviceToken
    from .registry import Registry

ACTIVITIES_PER_DEVICE = 100
ACTIVE_SECONDS = 8 * 3600
"""How long an activity is updated before the system ends it (Apple's ActivityKit documentation)."""
LINGER_SECONDS = 4 * 3600
"""How long an ended one stays on the lock screen at most, and without a ``dismissal-date`` (4.4)."""

Updates = Literal["token", "none"]


class LiveActivities:
    """Starts, updates and ends the activities of all devices, and knows which of them listen to which channel."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._channels: dict[tuple[str, str, Environment], dict[str, Device]] = {}

    def __repr__(self) -> str:
        return f"<LiveActivities channels={len(self._channels)}>"

    def start(
        self,
        device_id: str,
        bundle_id: str,
        attributes_type: str,
        *,
        attributes: Any = None,
        content_state: Any = None,
        stale_date: float | None = None,
        channel: str | None = None,
        updates: Updates = "token",
    ) -> Activity:
        """The app starts an activity; it gets an update token (LA-4), or listens to ``channel``, or neither.

        Raises Missing, Invalid for a platform without Live Activities, Conflict for more than 100 on a device.
        """
        device = self._registry.device(device_id)
        app = device.app(bundle_id)
        if device.platform not in KINDS["liveActivity"].platforms:
            raise Invalid(f"there are no Live Activities on {device.platform}; use ios or ipados", field="id")
        if not attributes_type:
            raise Invalid("attributesType must not be empty", field="attributesType")
        if len(device.activities or ()) >= ACTIVITIES_PER_DEVICE:
            raise Conflict(f"device {device_id} has {ACTIVITIES_PER_DEVICE} activities already; end or dismiss one")
        return self._start(device, app, attributes_type, attributes, content_state, stale_date, channel, updates)

    def all(self, device_id: str) -> list[Card]:
        """The cards a device shows, oldest first."""
        device, now = self._registry.device(device_id), self._registry.clock()
        return [Card.of(activity, now) for activity in (device.activities or {}).values()]

    def find(self, device_id: str, activity_id: str) -> tuple[Device, Activity]:
        """Raises Missing."""
        device = self._registry.device(device_id)
        try:
            return device, (device.activities or {})[activity_id]
        except KeyError:
            raise Missing(f"device {device_id} has no activity {activity_id}", field="activityId") from None

    def end(self, device_id: str, activity_id: str, dismissal_date: float | None = None) -> Activity:
        """The app ends it; the card stays until ``dismissal_date``, at most 4 h. Raises Missing."""
        device, activity = self.find(device_id, activity_id)
        self._end(device, activity, self._registry.clock(), dismissal_date)
        return activity

    def dismiss(self, device_id: str, activity_id: str) -> None:
        """Somebody swipes the card away: it ends, and its token with it. Raises Missing."""
        self._remove(*self.find(device_id, activity_id))

    def forget(self, device: Device, app: App | None = None) -> None:
        """The app, or with None the whole device, has gone."""
        for activity in list((device.activities or {}).values()):
            if app is None or activity.app is app:
                self._remove(device, activity)

    def subscribers(self, bundle_id: str, channel: str, environment: Environment) -> list[Device]:
        """Each device with an activity of the app that listens to the channel, once."""
        found = self._channels.get((bundle_id, channel, environment), {})
        return list({device.id: device for device in found.values()}.values())

    def clear(self) -> None:
        self._channels.clear()

    def receive(self, device: Device, arrival: Arrival, token: DeviceToken | None, at: float) -> None:
        """A ``liveactivity`` push is on the device. What cannot be done is a line in the device's log (LA-1)."""
        aps = take_apart(arrival.body)[1]
        event = str(aps.get("event"))
        fault = _fault(aps, event)
        if fault is None:
            if arrival.channel is not None:
                fault = self._broadcast(device, arrival, aps, event, at)
            elif token is not None and token.kind == "liveActivityStart":
                fault = self._start_by_push(device, token.app, aps, event)
            else:
                fault = self._push(device, token, aps, event, at)
        if fault is not None:
            device.note(f"a Live Activity push to {arrival.topic.decode('ascii', 'replace')} was ignored: {fault}", at)

    def _broadcast(self, device: Device, arrival: Arrival, aps: dict[str, Any], event: str, at: float) -> str | None:
        if event == "start":
            return "a broadcast cannot start an activity"  # LA-3
        channel = (arrival.channel or b"").decode("ascii", "replace")
        bundle_id = arrival.topic.decode("ascii", "replace").removesuffix(KINDS["liveActivity"].suffix)
        meant = [
            activity
            for activity in (device.activities or {}).values()
            if activity.channel == channel and activity.app.bundle_id == bundle_id
        ]
        if not meant:
            return f"no activity listens to channel {channel}"
        faults = [self._apply(device, activity, aps, event, at) for activity in meant]
        return next((fault for fault in faults if fault is not None), None)

    def _push(
        self, device: Device, token: DeviceToken | None, aps: dict[str, Any], event: str, at: float
    ) -> str | None:
        activity = (device.activities or {}).get(token.name) if token is not None else None
        if activity is None:
            return "there is no such activity"
        if event == "start":
            return "the token of an activity cannot start one; use the push-to-start token"
        return self._apply(device, activity, aps, event, at)

    def _start_by_push(self, device: Device, app: App, aps: dict[str, Any], event: str) -> str | None:
        if event != "start":
            return "the push-to-start token takes nothing but event start"
        kind = aps.get("attributes-type")
        if not isinstance(kind, str) or not kind or not isinstance(aps.get("attributes"), dict) or not aps.get("alert"):
            return "event start needs attributes-type, attributes and alert"
        if len(device.activities or ()) >= ACTIVITIES_PER_DEVICE:
            return f"the device has {ACTIVITIES_PER_DEVICE} activities already"
        channel = aps.get("input-push-channel")
        if channel is not None and not isinstance(channel, str):
            return "input-push-channel is not a string"
        stale = _moment(aps.get("stale-date"))
        activity = self._start(device, app, kind, aps["attributes"], aps.get("content-state"), stale, channel, "token")
        # What its channel had stored may be newer than the push that started it.
        activity.timestamp = max(activity.timestamp, float(aps["timestamp"]))
        activity.relevance_score = _moment(aps.get("relevance-score"))
        return None

    def _start(
        self,
        device: Device,
        app: App,
        attributes_type: str,
        attributes: Any,
        content_state: Any,
        stale_date: float | None,
        channel: str | None,
        updates: Updates,
    ) -> Activity:
        registry, now = self._registry, self._registry.clock()
        activity = Activity(
            id=registry.made_id(16),
            app=app,
            attributes_type=attributes_type,
            attributes=attributes,
            content_state=content_state,
            started_at=now,
            updated_at=now,
            stale_date=stale_date,
            channel=channel,
        )
        if device.activities is None:
            device.activities = {}
        device.activities[activity.id] = activity
        if channel is not None:
            self._channels.setdefault((app.bundle_id, channel, app.signed_for), {})[activity.id] = device
        elif updates == "token":
            activity.token = registry.issue(
                device, app, "liveActivity", name=activity.id, token_bytes=ACTIVITY_TOKEN_BYTES
            )
        ends = now + ACTIVE_SECONDS
        self._when_due(device, activity, ends, lambda: self._end(device, activity, ends, None))
        device.note(f"Live Activity {activity.id} of {app.bundle_id} started", now)
        if channel is not None and registry.followers is not None:
            registry.followers.joined(device, app.bundle_id, channel, app.signed_for)
        return activity

    def _apply(self, device: Device, activity: Activity, aps: dict[str, Any], event: str, at: float) -> str | None:
        if activity.ended_at is not None:
            return "the activity has ended"
        if float(aps["timestamp"]) < activity.timestamp:
            return "its timestamp is older than that of the last push"
        activity.timestamp = float(aps["timestamp"])
        activity.updated_at = at
        if "content-state" in aps:
            activity.content_state = aps["content-state"]
        if event == "end":
            self._end(device, activity, at, _moment(aps.get("dismissal-date")))
            return None
        activity.stale_date = _moment(aps.get("stale-date"))
        score = _moment(aps.get("relevance-score"))
        activity.relevance_score = activity.relevance_score if score is None else score
        return None

    def _end(self, device: Device, activity: Activity, at: float, dismissal_date: float | None) -> None:
        if activity.ended_at is not None:
            return
        activity.ended_at = at
        latest = at + LINGER_SECONDS
        activity.dismissal_date = latest if dismissal_date is None else min(dismissal_date, latest)
        self._release(activity, at)
        device.note(f"Live Activity {activity.id} of {activity.app.bundle_id} ended", at)
        if activity.dismissal_date <= at:
            self._remove(device, activity)
        else:
            self._when_due(device, activity, activity.dismissal_date, lambda: self._remove(device, activity))

    def _remove(self, device: Device, activity: Activity) -> None:
        if device.activities is not None and device.activities.get(activity.id) is activity:
            del device.activities[activity.id]
            device.activities = device.activities or None
            if activity.ended_at is None:
                activity.ended_at = self._registry.clock()
                self._release(activity, activity.ended_at)
            device.note(f"Live Activity {activity.id} of {activity.app.bundle_id} is gone")

    def _release(self, activity: Activity, at: float) -> None:
        """Its token has outlived it (LA-4), and it listens to its channel no more."""
        if activity.token is not None:
            self._registry.end_token(activity.token, "expired", at)
            (activity.app.others or {}).pop(("liveActivity", activity.id), None)
        if activity.channel is not None:
            key = (activity.app.bundle_id, activity.channel, activity.app.signed_for)
            listening = self._channels.get(key, {})
            listening.pop(activity.id, None)
            if not listening:
                self._channels.pop(key, None)

    def _when_due(self, device: Device, activity: Activity, at: float, then: Callable[[], None]) -> None:
        def due() -> None:
            if device.activities is not None and device.activities.get(activity.id) is activity:
                then()

        self._registry.agenda.at(at, due)


def _fault(aps: dict[str, Any], event: str) -> str | None:
    """What every push of a Live Activity needs (LA-1)."""
    if event not in ("start", "update", "end"):
        return "aps.event must be start, update or end"
    if _moment(aps.get("timestamp")) is None:
        return "aps.timestamp is missing, or no number"
    if event != "end" and not isinstance(aps.get("content-state"), dict):
        return "aps.content-state is missing, or no dictionary"
    return None


def _moment(value: Any) -> float | None:
    """A number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
