"""The control API on broadcast channels: make them by hand, have apps follow them, see what went through.

A channel's id is base64 and may hold a slash, so it stands in the query and never in the path.
"""

from __future__ import annotations

from heliogram.rest import Call, endpoint

from .base import Controlled, endpoints_of, problems
from .channels_schemas import (
    BroadcastList,
    BroadcastOut,
    ChannelIn,
    ChannelList,
    ChannelOut,
    ChannelQuery,
    OneChannelQuery,
    SubscriptionIn,
    SubscriptionOut,
    channel_id,
)


@endpoint(
    "GET",
    "/channels",
    summary="List the channels",
    tag="Channels",
    query=ChannelQuery,
    returns=ChannelList,
    scope=None,
    basis="ours",
)
async def list_channels(call: Call[Controlled]) -> ChannelList:
    query: ChannelQuery = call.query
    channels = call.state.simulator.channels
    found = channels.all(query.bundle_id, query.environment)
    return ChannelList([ChannelOut.of(each, channels.stored(each)) for each in found])


@endpoint(
    "POST",
    "/channels",
    summary="Make a channel",
    tag="Channels",
    body=ChannelIn,
    returns=ChannelOut,
    status=201,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def make_channel(call: Call[Controlled]) -> ChannelOut:
    """What a provider does with the management API, without a credential. 409 past the app's limit (BC-2)."""
    body: ChannelIn = call.body
    with problems():
        channel = call.state.simulator.channels.create(body.bundle_id, body.environment, body.message_storage_policy)
    return ChannelOut.of(channel, None)


@endpoint(
    "DELETE",
    "/channels",
    summary="Delete a channel",
    tag="Channels",
    query=OneChannelQuery,
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def delete_channel(call: Call[Controlled]) -> None:
    """For good: the id never returns. A message stored already still reaches those who followed it (BC-2)."""
    query: OneChannelQuery = call.query
    with problems():
        call.state.simulator.channels.delete(channel_id(query.channel_id))


@endpoint(
    "GET",
    "/channels/broadcasts",
    summary="See what went through a channel",
    tag="Channels",
    query=OneChannelQuery,
    returns=BroadcastList,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def list_broadcasts(call: Call[Controlled]) -> BroadcastList:
    """The latest 100, newest first."""
    query: OneChannelQuery = call.query
    with problems():
        channel = call.state.simulator.channels.channel(channel_id(query.channel_id))
    return BroadcastList([BroadcastOut.of(each) for each in reversed(channel.broadcasts)])


@endpoint(
    "POST",
    "/channels/subscriptions",
    summary="Have an app follow a channel",
    tag="Channels",
    body=SubscriptionIn,
    returns=SubscriptionOut,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def subscribe(call: Call[Controlled]) -> SubscriptionOut:
    """What a Live Activity on the device does; the message the channel stores reaches it at once (BC-3)."""
    body: SubscriptionIn = call.body
    with problems():
        made = call.state.simulator.channels.subscribe(body.device_id, body.bundle_id, body.channel_id)
    return SubscriptionOut.of(made)


@endpoint(
    "DELETE",
    "/channels/subscriptions",
    summary="Have an app follow a channel no longer",
    tag="Channels",
    query=SubscriptionIn,
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def unsubscribe(call: Call[Controlled]) -> None:
    query: SubscriptionIn = call.query
    with problems():
        call.state.simulator.channels.unsubscribe(query.device_id, query.bundle_id, channel_id(query.channel_id))


ENDPOINTS = endpoints_of(globals())
