"""From APNs to a device: discard, deliver or store (LIFE-7), and what the device makes of what it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from .budget import Wakeups
from .deliverylog import (
    DELIVERED,
    DELIVERED_STORED,
    DISABLED,
    DISABLED_STORED,
    EXPIRED,
    STORED_OFFLINE,
    STORED_POWER,
    UNREGISTERED_STORED,
)
from .kinds import KINDS
from .lockscreen import Arrival, Presentation, is_silent, take_apart
from .storage import Store, Stored, keep_until

if TYPE_CHECKING:
    from .device import App, Device, DeviceToken

Change = Literal["shown", "replaced", "silent", "held", "removed"]

NOT_SHOWN = ("denied", "notDetermined")


def hold(device: Device, arrival: Arrival, token: DeviceToken | None) -> None:
    """A push for a device that is offline or asleep: discarded, stored, or urgent enough to wake it (LIFE-7)."""
    if _disabled(arrival, token):
        device.home.log.add(arrival, device.id, DISABLED)
        return
    offline = not device.connected
    if not offline and _urgent(arrival, token):
        deliver(device, arrival, token)
        release(device, arrival.received_at, riding_along=True)
        return
    until = keep_until(arrival)
    if until <= arrival.received_at:
        device.home.log.add(arrival, device.id, EXPIRED)
        tell(device, arrival, "removed")
        return
    delivery = device.home.log.add(arrival, device.id, STORED_OFFLINE if offline else STORED_POWER)
    _store(device, Stored(arrival, token, delivery, until))
    tell(device, arrival, "held")


def release(device: Device, now: float, *, riding_along: bool = False) -> None:
    """Look through what is stored: what has ended is discarded, what the device can have now is delivered.

    ``riding_along``: a device asleep was woken by something urgent and takes what is of priority 5 with it (LIFE-8).
    """
    store = device.stored
    if store is None:
        return
    done = []
    for stored in store.items():
        if stored.until <= now:
            _end(device, stored, EXPIRED, stored.until)
        elif not device.connected or not (device.awake or (riding_along and _priority(stored.arrival) != 1)):
            continue
        elif stored.token is not None and stored.token.state != "active":
            _end(device, stored, UNREGISTERED_STORED, now)
        elif _disabled(stored.arrival, stored.token):
            _end(device, stored, DISABLED_STORED, now)
        else:
            stored.delivery.step(DELIVERED_STORED, now)
            put(device, stored.arrival, stored.token, now)
        done.append(stored)
    store.drop(done)
    if len(store):
        _look_again(device, store)
    else:
        device.stored = None


def deliver(device: Device, arrival: Arrival, token: DeviceToken | None) -> None:
    """The device can have the push, and gets it unless its user does not want it."""
    if _disabled(arrival, token):
        device.home.log.add(arrival, device.id, DISABLED)
    else:
        device.home.log.add(arrival, device.id, DELIVERED)
        put(device, arrival, token, arrival.received_at)


def put(device: Device, arrival: Arrival, token: DeviceToken | None, at: float) -> None:
    """The push is on the device; what becomes of it there depends on its kind and on the app."""
    kind = nature(arrival, token)
    if kind == "background" and token is not None:
        wake(device, token.app, arrival, at)
    elif kind == "liveactivity":
        device.home.activities.receive(device, arrival, token, at)
        show(device, arrival)
    elif kind == "alert" and token is not None and token.app.permission != "authorized":
        show(device, arrival, "quiet" if token.app.permission == "provisional" else "none")
    else:
        show(device, arrival)


def show(device: Device, arrival: Arrival, presentation: Presentation | None = None) -> None:
    """Put it among what has reached the device; ``presentation`` when it is not that of its kind."""
    if presentation is not None:
        arrival = replace(arrival, presentation=presentation)
    replaced = device.screen.add(arrival)
    tell(device, arrival, "shown" if replaced is None else "replaced")


def wake(device: Device, app: App, arrival: Arrival, at: float) -> None:
    """A background push: the app is woken, or the device keeps the newest for later (LIFE-8, TYPE-3)."""
    limit, wakeups = device.home.settings.background_budget, app.wakeups
    if wakeups is None and limit is not None:
        wakeups = app.wakeups = Wakeups()
    if wakeups is None or wakeups.take(at, limit):
        device.screen.add(arrival)
        device.note(f"{app.bundle_id} was woken by a background push", at)
        tell(device, arrival, "silent")
        return
    if wakeups.held is None and not wakeups.quit:
        turn = wakeups.next_turn(at)
        device.home.agenda.at(turn, lambda: hand_over(device, app, turn))
    wakeups.held = arrival
    why = "it was force-quit" if wakeups.quit else "its budget is used up"
    device.note(f"{app.bundle_id} was not woken by a background push: {why}; the newest is held", at)
    tell(device, arrival, "held")


def hand_over(device: Device, app: App, now: float, *, launched: bool = False) -> None:
    """Give the app the background push held for it, if its budget allows it or somebody has launched it (LIFE-8)."""
    wakeups = app.wakeups
    if wakeups is None:
        return
    if launched:
        wakeups.quit = False
    held = wakeups.held
    if held is None or (not launched and not wakeups.take(now, device.home.settings.background_budget)):
        return
    wakeups.held = None
    device.screen.add(held)
    device.note(f"{app.bundle_id} got the background push held for it", now)
    tell(device, held, "silent")


def nature(arrival: Arrival, token: DeviceToken | None) -> str:
    """The push type, or without the header what the token and the payload make of it (REQ-5)."""
    if arrival.push_type is not None:
        return arrival.push_type.decode("ascii", "replace")
    if token is None:
        return "liveactivity" if arrival.channel is not None else "alert"
    if token.kind == "device" and is_silent(arrival.body):
        return "background"
    return KINDS[token.kind].push_type


def tell(device: Device, arrival: Arrival, change: Change) -> None:
    """A ``notification`` event for whoever watches."""
    feed = device.home.feed
    if feed.live:
        unique_id = arrival.unique_id
        feed.publish(
            "notification",
            {
                "change": change,
                "deviceId": device.id,
                "apnsId": arrival.apns_id.decode("ascii", "replace"),
                "uniqueId": None if unique_id is None else unique_id.decode("ascii", "replace"),
                "topic": arrival.topic.decode("ascii", "replace"),
                "pushType": None if arrival.push_type is None else arrival.push_type.decode("ascii", "replace"),
            },
        )


def _disabled(arrival: Arrival, token: DeviceToken | None) -> bool:
    """An alert to an app that may not show any, and that is not to be woken by it either (LIFE-7)."""
    if token is None or token.app.permission not in NOT_SHOWN or nature(arrival, token) != "alert":
        return False
    return take_apart(arrival.body)[1].get("content-available") != 1


def _priority(arrival: Arrival) -> int:
    return int(arrival.priority or b"10")


def _urgent(arrival: Arrival, token: DeviceToken | None) -> bool:
    # A background push is of priority 5 whatever its header, or the default of 10, says (TYPE-2).
    return _priority(arrival) == 10 and nature(arrival, token) != "background"


def _store(device: Device, stored: Stored) -> None:
    store = device.stored
    if store is None:
        store = device.stored = Store()
    device.home.waiting[device.id] = device
    replaced = store.put(stored, device.home.settings.store_by)
    if replaced is not None:
        replaced.delivery.replaced = stored.arrival
        tell(device, replaced.arrival, "removed")
    _look_again(device, store)


def _look_again(device: Device, store: Store) -> None:
    """Have the store looked at when the first of its notifications expires, at that moment or before."""
    end = store.next_end()
    if end is not None and (store.looks_at is None or end < store.looks_at):
        store.looks_at = end
        device.home.agenda.at(end, lambda: _looked(device, store, end))


def _looked(device: Device, store: Store, at: float) -> None:
    store.looks_at = None
    if device.stored is store:
        release(device, max(at, device.home.clock()))


def _end(device: Device, stored: Stored, state: str, at: float) -> None:
    stored.delivery.step(state, at)
    tell(device, stored.arrival, "removed")
