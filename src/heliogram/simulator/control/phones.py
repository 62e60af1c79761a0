"""What the page shows of many devices at once: a window on them, each with its latest notifications."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from msgspec import Meta, Struct

from heliogram.rest import Call, endpoint

from ..cards import Card
from ..device import Device, LogLine
from ..lockscreen import Notification
from .base import Controlled, endpoints_of
from .devices_schemas import DeviceOut

SHOWN = 20
"""Notifications of each device, and lines of its log: the latest."""


class PhoneQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    first: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="How many to skip, in the order in which they were made")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=50, description="How many to see")] = 12
    search: Annotated[
        str, Meta(max_length=200, description="Part of the name or of a bundle id, or how the id or a token begins")
    ] = ""


class PhoneOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device with its latest 20 ``notifications`` and lines of its ``log``, and its Live Activities; oldest first.

    ``connected``: it is online and can reach APNs.
    """

    device: DeviceOut
    connected: bool
    notifications: list[Notification]
    activities: list[Card]
    log: list[LogLine]

    @classmethod
    def of(cls, device: Device) -> PhoneOut:
        return cls(
            device=DeviceOut.of(device),
            connected=device.connected,
            notifications=[] if device.shown is None else device.shown.latest(SHOWN),
            activities=device.home.activities.all(device.id),
            log=device.log()[-SHOWN:],
        )


class PhoneList(Struct, frozen=True, kw_only=True, rename="camel"):
    """A window on the ``matching`` of all ``total`` devices, from number ``first`` on."""

    total: int
    matching: int
    first: int
    phones: list[PhoneOut]


@endpoint(
    "GET",
    "/phones",
    summary="See many devices at once",
    tag="Devices",
    query=PhoneQuery,
    returns=PhoneList,
    scope=None,
    basis="ours",
)
async def list_phones(call: Call[Controlled]) -> PhoneList:
    """A window on the devices, each with its latest notifications: what the page reads."""
    query: PhoneQuery = call.query
    devices = call.state.simulator.apns.registry.devices
    wanted = query.search.strip().lower()
    found = list(devices.values()) if not wanted else [each for each in devices.values() if _fits(each, wanted)]
    window = islice(found, query.first, query.first + query.limit)
    return PhoneList(
        total=len(devices),
        matching=len(found),
        first=query.first,
        phones=[PhoneOut.of(device) for device in window],
    )


def _fits(device: Device, wanted: str) -> bool:
    return (
        wanted in device.name.lower()
        or device.id.startswith(wanted)
        or any(
            wanted in app.bundle_id.lower()
            or (app.token is not None and app.token.value.startswith(wanted.encode("utf-8", "replace")))
            for app in device.apps.values()
        )
    )


ENDPOINTS = endpoints_of(globals())
