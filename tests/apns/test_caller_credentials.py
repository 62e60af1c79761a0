"""Clients of channels and broadcasts change their credential as the client of pushes does (TOK-20)."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer, hold
from support.callers import CHANNEL, CREATED, STORED, MakeBroadcasts, MakeChannels, answer, goal
from support.credentials import key_id, make_key
from support.manual_clock import ManualClock

from heliogram.apns import (
    ChannelClient,
    ChannelError,
    InvalidNotification,
    InvalidSigningKey,
    NotSent,
    SigningKey,
    Unknown,
)

pytestmark = pytest.mark.anyio

PATIENCE = 20 * 60


async def test_channels_rotate(server: ApnsServer, make_channels: MakeChannels) -> None:
    """An open call finishes on the old connection; the next goes out on a new one with the new key."""
    server.on_request = CREATED
    channels = make_channels()
    await channels.create(STORED)
    server.on_request = hold
    open_call = asyncio.ensure_future(channels.create(STORED))
    await server.received(2)
    assert channels.rotate(make_key(team_id="OTHER12345")) == 0
    server.on_request = CREATED
    assert await channels.create(STORED) == CHANNEL
    assert not open_call.done()
    CREATED(server.peers[0], server.requests[1])
    assert await open_call == CHANNEL
    assert [key_id(one) for one in server.requests] == ["ABC123DEFG", "ABC123DEFG", "NEW123DEFG"]


async def test_broadcasts_rotate(server: ApnsServer, make_broadcasts: MakeBroadcasts, clock: ManualClock) -> None:
    """Another key of the team waits for the rest of the 20 minutes (TOK-9, TOK-10)."""
    broadcasts = make_broadcasts()
    await broadcasts.send(CHANNEL, goal())
    clock.advance(5)
    assert broadcasts.rotate(make_key()) == PATIENCE - 5
    await broadcasts.send(CHANNEL, goal())
    clock.advance(PATIENCE - 5)
    await broadcasts.send(CHANNEL, goal())
    assert [key_id(one) for one in server.requests] == ["ABC123DEFG", "ABC123DEFG", "NEW123DEFG"]


async def test_channels_revoke(server: ApnsServer, make_channels: MakeChannels) -> None:
    """What was written may have happened; what waits goes out with the new key."""
    server.on_request = hold
    channels = make_channels()
    written = asyncio.ensure_future(channels.create(STORED))
    await server.received(1)
    channels.revoke()
    with pytest.raises(ChannelError, match="the credential was revoked") as caught:
        await written
    assert caught.value.may_have_happened
    await server.until(lambda: server.peers[0].closed)
    server.on_request = CREATED
    waiting = asyncio.ensure_future(channels.create(STORED))
    await asyncio.sleep(0)
    assert channels.rotate(make_key()) == 0
    assert await waiting == CHANNEL
    assert [key_id(one) for one in server.requests] == ["ABC123DEFG", "NEW123DEFG"]


async def test_broadcasts_revoke(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """A broadcast on the wire ends as unknown; one that waits ends as not sent when no new key comes."""
    server.on_request = hold
    broadcasts = make_broadcasts()
    written = broadcasts.send(CHANNEL, goal())
    await server.received(1)
    broadcasts.revoke()
    assert isinstance(await written, Unknown)
    waiting = broadcasts.send(CHANNEL, goal())
    await broadcasts.close()
    outcome = waiting.result()
    assert isinstance(outcome, NotSent)
    assert "the credential was revoked" in outcome.cause


@pytest.mark.parametrize("kind", ["channels", "broadcasts"])
async def test_a_key_for_another_app(
    server: ApnsServer, make_channels: MakeChannels, make_broadcasts: MakeBroadcasts, kind: str
) -> None:
    """A new key that cannot serve the bundle id is refused, and the old one goes on (TOK-15)."""
    server.on_request = CREATED if kind == "channels" else answer(200)
    caller = make_channels() if kind == "channels" else make_broadcasts()
    with pytest.raises(InvalidSigningKey, match=r"not for com\.example\.app"):
        caller.rotate(make_key(environment="production", topics={"com.example.other"}))
    if isinstance(caller, ChannelClient):
        assert await caller.create(STORED) == CHANNEL
    else:
        assert (await caller.send(CHANNEL, goal())).ok
    assert key_id(server.requests[0]) == "ABC123DEFG"


async def test_a_broadcast_that_is_no_notification(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """The argument at fault is named, and what to give instead."""
    with pytest.raises(InvalidNotification, match=r"^notification: a NoneType; give a Notification"):
        make_broadcasts().send(CHANNEL, None)  # type: ignore[arg-type]


async def test_topics_of_the_new_key(server: ApnsServer, make_broadcasts: MakeBroadcasts) -> None:
    """A key for the app alone serves its broadcasts, which have no topic of their own (TOK-11)."""
    broadcasts = make_broadcasts()
    private = ec.generate_private_key(ec.SECP256R1())
    ids = {"key_id": "TOPICAL123", "team_id": "OTHER12345"}
    broadcasts.rotate(SigningKey(private, **ids, environment="production", topics={"com.example.app"}))
    assert (await broadcasts.send(CHANNEL, goal())).ok
    assert key_id(server.requests[0]) == "TOPICAL123"
