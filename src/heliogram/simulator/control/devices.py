"""The control API on virtual devices and their apps."""

from __future__ import annotations

from heliogram.rest import Call, Endpoint, endpoint

from .base import Controlled, problems
from .devices_schemas import (
    AppIn,
    AppOut,
    DeviceIn,
    DeviceList,
    DeviceOut,
    LaunchOut,
    NotificationList,
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


@endpoint("GET", "/devices", summary="List the devices", tag="Devices", returns=DeviceList, scope=None, basis="ours")
async def list_devices(call: Call[Controlled]) -> DeviceList:
    return DeviceList([DeviceOut.of(device) for device in call.state.simulator.devices()])


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
    """Oldest first; one with the collapse id of another has replaced it (LIFE-8)."""
    with problems():
        return NotificationList(call.state.simulator.notifications(call.path["id"]))


@endpoint(
    "POST",
    "/devices/{id}/apps",
    summary="Install an app",
    tag="Apps",
    body=AppIn,
    returns=AppOut,
    status=201,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def install_app(call: Call[Controlled]) -> AppOut:
    body: AppIn = call.body
    with problems():
        app = call.state.simulator.install(
            call.path["id"],
            body.bundle_id,
            body.environment,
            entitlement=body.entitlement,
            forward=None if body.forward is None else body.forward.build(),
        )
    return AppOut.of(app)


@endpoint(
    "POST",
    "/devices/{id}/apps/{bundleId}/launch",
    summary="Launch an app",
    tag="Apps",
    returns=LaunchOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def launch_app(call: Call[Controlled]) -> LaunchOut:
    """It registers for remote notifications, and forwards its token if it was installed so (LIFE-1)."""
    with problems():
        return LaunchOut.of(*await call.state.forwarder.launch(call.path["id"], call.path["bundleId"]))


@endpoint(
    "POST",
    "/devices/{id}/apps/{bundleId}/reinstall",
    summary="Delete an app and install it again",
    tag="Apps",
    returns=AppOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def reinstall_app(call: Call[Controlled]) -> AppOut:
    """The old token is dead from now on; the next launch gets a new one (LIFE-2)."""
    device_id, bundle_id = call.path["id"], call.path["bundleId"]
    with problems():
        return AppOut.of(call.state.simulator.reinstall(device_id, bundle_id))


@endpoint(
    "DELETE",
    "/devices/{id}/apps/{bundleId}",
    summary="Uninstall an app",
    tag="Apps",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def uninstall_app(call: Call[Controlled]) -> None:
    """Pushes to its token answer 410 from now on."""
    with problems():
        call.state.simulator.uninstall(call.path["id"], call.path["bundleId"])


ENDPOINTS: tuple[Endpoint, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Endpoint))
