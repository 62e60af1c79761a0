"""The control API's endpoints: `Simulator`'s programmatic interface over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heliogram.rest import Call, Endpoint, FieldError, Problem, endpoint, invalid

from ..errors import Conflict, Invalid, Missing
from ..forward import Forwarder
from ..simulator import Simulator
from .schemas import (
    AppIn,
    AppOut,
    DeviceIn,
    DeviceList,
    DeviceOut,
    IndexOut,
    KeyIn,
    KeyList,
    KeyOut,
    LaunchOut,
    NotificationList,
    PortalKeyIn,
    PortalKeyOut,
    RequestList,
    RequestQuery,
)

NOT_FOUND = 20404
CONFLICT = 20409
CODES = {CONFLICT: "The request contradicts what the simulator holds already."}


class Controlled:
    """What the endpoints work on."""

    def __init__(self, simulator: Simulator, forwarder: Forwarder) -> None:
        self.simulator = simulator
        self.forwarder = forwarder

    def __repr__(self) -> str:
        return f"<Controlled {self.simulator!r} {self.forwarder!r}>"


@contextmanager
def problems() -> Iterator[None]:
    """Errors of the simulator as answers."""
    try:
        yield
    except Invalid as error:
        raise invalid([FieldError("$" if error.field is None else f"$.{error.field}", error.message)]) from error
    except Missing as error:
        raise Problem(404, NOT_FOUND, "Not found", error.message) from error
    except Conflict as error:
        raise Problem(409, CONFLICT, "Conflict", error.message) from error


@endpoint("GET", "/", summary="Where things are", tag="About", returns=IndexOut, scope=None, basis="ours")
async def index(call: Call[Controlled]) -> IndexOut:
    simulator = call.state.simulator
    return IndexOut(
        name="Heliogram simulator",
        listeners={name: f"{host}:{port}" for name, (host, port) in simulator.ports.items()},
        ca_file=str(simulator.ca_path.resolve()),
        connections=simulator.connections,
        links={name: f"/{name}" for name in ("docs", "openapi.json", "keys", "devices", "requests")},
    )


@endpoint(
    "POST",
    "/keys",
    summary="Import a public key",
    tag="Keys",
    body=KeyIn,
    returns=KeyOut,
    status=201,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def import_key(call: Call[Controlled]) -> KeyOut:
    """The same key again replaces its topics and environment; open connections keep what they were bound to."""
    body: KeyIn = call.body
    with problems():
        key = call.state.simulator.add_key(
            body.key_id,
            body.team_id,
            body.public_key,
            topics=body.topics,
            environment=body.environment,
            related_key_id=body.related_key_id,
        )
    return KeyOut.of(key)


@endpoint("GET", "/keys", summary="List the keys", tag="Keys", returns=KeyList, scope=None, basis="ours")
async def list_keys(call: Call[Controlled]) -> KeyList:
    return KeyList([KeyOut.of(key) for key in call.state.simulator.signing_keys()])


@endpoint(
    "POST",
    "/portal/keys",
    summary="Have a key made",
    tag="Keys",
    body=PortalKeyIn,
    returns=PortalKeyOut,
    status=201,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def issue_key(call: Call[Controlled]) -> PortalKeyOut:
    """The answer is the only place where the private half is ever seen (TOK-7). 409 past the limits of TOK-11."""
    body: PortalKeyIn = call.body
    with problems():
        issued = call.state.simulator.issue_key(
            body.team_id, topics=body.topics, environment=body.environment, related_key_id=body.related_key_id
        )
    return PortalKeyOut.of(issued)


@endpoint(
    "GET",
    "/portal/keys/{keyId}/p8",
    summary="Ask for a private key again",
    tag="Keys",
    returns=PortalKeyOut,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def download_key(call: Call[Controlled]) -> PortalKeyOut:
    """Always refused, as in the portal: a key can be downloaded once, and that was when it was made (TOK-7)."""
    with problems():
        return PortalKeyOut.of(call.state.simulator.apns.keys.download(call.path["keyId"]))


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


@endpoint(
    "GET",
    "/requests",
    summary="See the requests APNs got",
    tag="Requests",
    query=RequestQuery,
    returns=RequestList,
    scope=None,
    basis="ours",
)
async def list_requests(call: Call[Controlled]) -> RequestList:
    query: RequestQuery = call.query
    simulator = call.state.simulator
    return RequestList(simulator.requests(query.limit), dict(simulator.apns.journal.outcomes))


@endpoint("POST", "/reset", summary="Start afresh", tag="Requests", status=204, scope=None, basis="ours")
async def reset(call: Call[Controlled]) -> None:
    """Keys, devices, tokens, requests and counters are forgotten. Connections stay open."""
    call.state.simulator.reset()


ENDPOINTS: tuple[Endpoint, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Endpoint))
