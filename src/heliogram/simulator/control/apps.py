"""The control API on the apps of a device, their tokens and their Live Activities."""

from __future__ import annotations

from heliogram.rest import Call, endpoint

from ..cards import Card
from .apps_schemas import ActivityEnd, ActivityIn, AppChange, CardList, TokenIn, TokenList, TokenOut
from .base import Controlled, endpoints_of, problems
from .devices_schemas import AppIn, AppOut, LaunchOut


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
        app = call.state.simulator.registry.install(
            call.path["id"],
            body.bundle_id,
            body.environment,
            entitlement=body.entitlement,
            forward=None if body.forward is None else body.forward.build(),
            token_bytes=body.token_bytes,
            signed_for=body.signed_for,
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
    "PATCH",
    "/devices/{id}/apps/{bundleId}",
    summary="Change what the user allows an app",
    tag="Apps",
    body=AppChange,
    returns=AppOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def set_permission(call: Call[Controlled]) -> AppOut:
    """Without permission an app gets its token all the same; alerts to it are discarded (LIFE-7)."""
    body: AppChange = call.body
    with problems():
        return AppOut.of(
            call.state.simulator.registry.set_permission(call.path["id"], call.path["bundleId"], body.permission)
        )


@endpoint(
    "POST",
    "/devices/{id}/apps/{bundleId}/quit",
    summary="Force-quit an app",
    tag="Apps",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def quit_app(call: Call[Controlled]) -> None:
    """Background pushes do not wake it until its next launch; the one held for it is lost (LIFE-8)."""
    with problems():
        call.state.simulator.registry.force_quit(call.path["id"], call.path["bundleId"])


@endpoint(
    "GET",
    "/devices/{id}/apps/{bundleId}/tokens",
    summary="List an app's tokens",
    tag="Apps",
    returns=TokenList,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def list_tokens(call: Call[Controlled]) -> TokenList:
    with problems():
        app = call.state.simulator.registry.app(call.path["id"], call.path["bundleId"])
    return TokenList([TokenOut.of(token) for token in app.tokens])


@endpoint(
    "POST",
    "/devices/{id}/apps/{bundleId}/tokens",
    summary="Ask for a token of another kind",
    tag="Apps",
    body=TokenIn,
    returns=LaunchOut,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def register_token(call: Call[Controlled]) -> LaunchOut:
    """Each kind has its own token and topic (LIFE-3); the same again gives the same token."""
    body: TokenIn = call.body
    device_id, bundle_id = call.path["id"], call.path["bundleId"]
    with problems():
        return LaunchOut.of(call.state.simulator.registry.register(device_id, bundle_id, body.kind, body.name), None)


@endpoint(
    "DELETE",
    "/devices/{id}/apps/{bundleId}/tokens/{deviceToken}",
    summary="Give a token up",
    tag="Apps",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def give_up_token(call: Call[Controlled]) -> None:
    """The app unregisters, leaves the channel, removes the widget."""
    with problems():
        call.state.simulator.registry.give_up(call.path["id"], call.path["bundleId"], call.path["deviceToken"])


@endpoint(
    "POST",
    "/devices/{id}/apps/{bundleId}/activities",
    summary="Start a Live Activity from the app",
    tag="Live Activities",
    body=ActivityIn,
    returns=Card,
    status=201,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def start_activity(call: Call[Controlled]) -> Card:
    """Its ``deviceToken`` is the update token (LA-4); with a channel it has none and listens to broadcasts."""
    body: ActivityIn = call.body
    with problems():
        activity = call.state.simulator.registry.activities.start(
            call.path["id"],
            call.path["bundleId"],
            body.attributes_type,
            attributes=body.attributes,
            content_state=body.content_state,
            stale_date=body.stale_date,
            channel=body.channel,
            updates=body.updates,
        )
    return Card.of(activity, call.state.simulator.registry.clock())


@endpoint(
    "GET",
    "/devices/{id}/activities",
    summary="See the Live Activities of a device",
    tag="Live Activities",
    returns=CardList,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def list_activities(call: Call[Controlled]) -> CardList:
    """Oldest first; ended ones until their card goes."""
    with problems():
        return CardList(call.state.simulator.registry.activities.all(call.path["id"]))


@endpoint(
    "POST",
    "/devices/{id}/activities/{activityId}/end",
    summary="End a Live Activity from the app",
    tag="Live Activities",
    body=ActivityEnd,
    returns=Card,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def end_activity(call: Call[Controlled]) -> Card:
    """Its token is 410 ``ExpiredToken`` from now on (LA-4); the card goes at ``dismissalDate``, at most 4 h later."""
    body: ActivityEnd = call.body
    activities = call.state.simulator.registry.activities
    with problems():
        activity = activities.end(call.path["id"], call.path["activityId"], body.dismissal_date)
    return Card.of(activity, call.state.simulator.registry.clock())


@endpoint(
    "DELETE",
    "/devices/{id}/activities/{activityId}",
    summary="Swipe a Live Activity away",
    tag="Live Activities",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def dismiss_activity(call: Call[Controlled]) -> None:
    with problems():
        call.state.simulator.registry.activities.dismiss(call.path["id"], call.path["activityId"])


ENDPOINTS = endpoints_of(globals())
