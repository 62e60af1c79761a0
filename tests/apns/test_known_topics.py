"""What a connection remembers of the topics it has carried (TOK-13, TOK-14)."""

from __future__ import annotations

import pytest
from support.apns_server import ApnsServer, Peer, header
from support.engine import HELLO, TOKEN, MakeClient
from support.twins import native_only

from heliogram.apns import Rejected, connection
from heliogram.apns.connection import TOPICS
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("known", [TOPICS - 1, TOPICS])
async def test_a_rejection_past_the_bound_stands(server: ApnsServer, make_client: MakeClient, known: int) -> None:
    """With 10,000 topics known, none is taken for a new one, for which another connection might do better (TOK-14)."""

    def knows_one_topic(peer: Peer, request: Received) -> None:
        if header(request, b"apns-topic") == b"com.example.app":
            peer.accept(request)
        else:
            peer.reject(request, 400, "TopicDisallowed")

    server.on_request = knows_one_topic
    client = make_client()
    assert (await client.send(TOKEN, HELLO)).ok
    [one] = client.pool.connections
    one._topics.update(f"com.example.app{number}" for number in range(known - 1))
    assert len(one._topics) == known
    assert isinstance(await client.send(TOKEN, HELLO, topic="com.example.new"), Rejected)
    assert len(server.peers) == (2 if known < TOPICS else 1)


@pytest.mark.parametrize("native", [pytest.param(True, marks=native_only), False])
async def test_topics_are_bounded(
    server: ApnsServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    """A connection that has accepted pushes for 10,000 topics takes no note of another one, and carries it."""
    if not native:
        monkeypatch.setattr(connection, "_accept", None)
    client = make_client()
    await client.send(TOKEN, HELLO)
    [one] = client.pool.connections
    one._topics.update(f"com.example.app{number}" for number in range(TOPICS - 2))
    for topic in ("com.example.a", "com.example.b"):
        assert (await client.send(TOKEN, HELLO, topic=topic)).ok
        assert len(one._topics) == TOPICS
    assert "com.example.a" in one._topics
