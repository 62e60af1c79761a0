"""The control API on virtual devices: what they are, where they are, what has reached them."""

from __future__ import annotations

from itertools import islice

from msgspec import UNSET

from heliogram.rest import Call, endpoint

from ..deliverylog import DeliveryRecord
from .base import Controlled, endpoints_of, problems
from .devices_schemas import (
    DeliveryList,
    DeliveryQuery,
    DeviceChange,
    DeviceIn,
    DeviceList,
    DeviceOut,
    DeviceQuery,
    LogLines,
    Network,
    NotificationList,
    RestoreIn,
)


@endpoint(
    "POST",
    "/devices",
    summary="Make a device",
    tag="Devices",
    body=DeviceIn,
    returns=DeviceOut,
    status=201,
    scope=None,
    basis="ours",
)
async def add_device(call: Call[Controlled]) -> DeviceOut:
    body: DeviceIn = call.body
    with problems():
        return DeviceOut.of(call.state.simulator.add_device(body.name, body.platform))


@endpoint(
    "GET",
    "/devices",
    summary="List the devices",
    tag="Devices",
    query=DeviceQuery,
    returns=DeviceList,
    scope=None,
    basis="ours",
)
async def list_devices(call: Call[Controlled]) -> DeviceList:
    """In the order in which they were made."""
    query: DeviceQuery = call.query
    devices = call.state.simulator.registry.devices.values()
    return DeviceList([DeviceOut.of(device) for device in islice(devices, query.skip, query.skip + query.limit)])


@endpoint(
    "GET",
    "/devices/{id}",
    summary="Look at a device",
    tag="Devices",
    returns=DeviceOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def get_device(call: Call[Controlled]) -> DeviceOut:
    with problems():
        return DeviceOut.of(call.state.simulator.device(call.path["id"]))


@endpoint(
    "GET",
    "/devices/{id}/notifications",
    summary="See what a device shows",
    tag="Devices",
    returns=NotificationList,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def list_notifications(call: Call[Controlled]) -> NotificationList:
    """Oldest first; one with the collapse id of another has replaced it (LIFE-8). Those that only an app saw, such as
    background pushes, are here too, with presentation none."""
    with problems():
        return NotificationList(call.state.simulator.notifications(call.path["id"]))


@endpoint(
    "PATCH",
    "/devices/{id}",
    summary="Take a device online or offline, wake it or let it sleep",
    tag="Devices",
    body=DeviceChange,
    returns=DeviceOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def change_device(call: Call[Controlled]) -> DeviceOut:
    """Offline, APNs stores for it (LIFE-6); asleep, what is not urgent waits (LIFE-8). Afterwards it gets both."""
    body: DeviceChange = call.body
    with problems():
        device = call.state.simulator.registry.device(call.path["id"])
    if body.awake is not UNSET:
        device.wake(body.awake)
    if body.online is not UNSET:
        device.connect(body.online)
    return DeviceOut.of(device)


@endpoint(
    "DELETE",
    "/devices/{id}",
    summary="Erase a device",
    tag="Devices",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def remove_device(call: Call[Controlled]) -> None:
    """Its apps go as if uninstalled; what was stored for it is lost."""
    with problems():
        call.state.simulator.registry.remove_device(call.path["id"])


@endpoint(
    "POST",
    "/devices/{id}/restore",
    summary="Restore a device's backup to a new one",
    tag="Devices",
    body=RestoreIn,
    returns=DeviceOut,
    status=201,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def restore_device(call: Call[Controlled]) -> DeviceOut:
    """The new one has the same apps, which get new tokens at their next launch; the old one stays as it is (LIFE-2)."""
    body: RestoreIn = call.body
    with problems():
        return DeviceOut.of(call.state.simulator.registry.restore(call.path["id"], body.name, body.platform))


@endpoint(
    "POST",
    "/devices/{id}/os-reinstall",
    summary="Install a device's system anew",
    tag="Devices",
    returns=DeviceOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def reinstall_os(call: Call[Controlled]) -> DeviceOut:
    """Apps and permissions come back from the backup; every token ends (LIFE-2)."""
    with problems():
        return DeviceOut.of(call.state.simulator.registry.reinstall_os(call.path["id"]))


@endpoint(
    "DELETE",
    "/devices/{id}/notifications",
    summary="Clear what a device shows",
    tag="Devices",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def clear_notifications(call: Call[Controlled]) -> None:
    """As somebody does who clears the list; Live Activities stay."""
    with problems():
        call.state.simulator.registry.device(call.path["id"]).clear_notifications()


@endpoint(
    "GET",
    "/devices/{id}/log",
    summary="Read a device's log",
    tag="Devices",
    returns=LogLines,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def device_log(call: Call[Controlled]) -> LogLines:
    """The latest 200 lines, oldest first: who was woken in the background, what was ignored and why."""
    with problems():
        return LogLines(call.state.simulator.registry.device(call.path["id"]).log())


@endpoint(
    "GET",
    "/devices/{id}/deliveries",
    summary="See what became of the pushes to a device",
    tag="Deliveries",
    query=DeliveryQuery,
    returns=DeliveryList,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def list_deliveries(call: Call[Controlled]) -> DeliveryList:
    """Newest first, in both environments."""
    query: DeliveryQuery = call.query
    with problems():
        device = call.state.simulator.registry.device(call.path["id"])
    return DeliveryList(call.state.simulator.registry.log.of_device(device.id, query.limit))


@endpoint(
    "GET",
    "/deliveries/{uniqueId}",
    summary="See what became of a push",
    tag="Deliveries",
    returns=DeliveryRecord,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def get_delivery(call: Call[Controlled]) -> DeliveryRecord:
    """By the ``apns-unique-id`` of its answer, for 7 days, in the push console's words (LIFE-11, LIFE-12).

    Pushes of the production environment have none, and are found by their ``apns-id``.
    """
    registry = call.state.simulator.registry
    registry.agenda.look()
    with problems():
        return registry.log.find(call.path["uniqueId"])


@endpoint(
    "GET",
    "/network",
    summary="Ask whether devices can reach APNs",
    tag="Devices",
    returns=Network,
    scope=None,
    basis="ours",
)
async def get_network(call: Call[Controlled]) -> Network:
    return Network(reachable=call.state.simulator.registry.reachable)


@endpoint(
    "PUT",
    "/network",
    summary="Cut all devices off from APNs, or let them reach it again",
    tag="Devices",
    body=Network,
    returns=Network,
    scope=None,
    basis="ours",
)
async def set_network(call: Call[Controlled]) -> Network:
    """While they are cut off apps cannot register, and what is sent to them is stored (LIFE-1, LIFE-6)."""
    body: Network = call.body
    registry = call.state.simulator.registry
    registry.set_reachable(body.reachable)
    return Network(reachable=registry.reachable)


ENDPOINTS = endpoints_of(globals())
