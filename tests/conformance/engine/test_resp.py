"""RESP and ERR rules as the engine keeps them: what answers mean."""

from __future__ import annotations

import pytest
from support.apns_server import ApnsServer, Peer, header
from support.engine import HELLO, TOKEN, MakeClient

from heliogram.apns import REASONS, Accepted, OnConnection, OnToken, Rejected
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("more", [(), ((b"content-type", b"application/json"),), ((b"content-type", b"text/html"),)])
async def test_content_type_does_not_matter(
    server: ApnsServer, make_client: MakeClient, more: tuple[tuple[bytes, bytes], ...]
) -> None:
    """RESP-2, SUR-11: the reason is read from the body, whatever `content-type` says or does not."""
    server.on_request = lambda peer, request: peer.answer(request, 400, b'{"reason":"BadDeviceToken"}', *more)
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert (outcome.status, outcome.reason) == (400, "BadDeviceToken")


async def test_the_id_may_come_back_in_upper_case(server: ApnsServer, make_client: MakeClient) -> None:
    """RESP-3, SUR-10: an `apns-id` in another case, or none, does not keep the answer from its push."""

    def shout(peer: Peer, request: Received) -> None:
        own = (b"apns-id", header(request, b"apns-id").upper())
        peer.session.respond(request.stream_id, 200, (own,) if len(peer.requests) == 1 else ())
        peer.flush()

    server.on_request = shout
    client = make_client()
    for _ in range(2):
        assert isinstance(await client.send(TOKEN, HELLO), Accepted)


@pytest.mark.parametrize(("status", "body"), [(400, b'{"reason":"BadTopic"}'), (410, b'{"reason":"ExpiredToken"}')])
async def test_no_timestamp_is_no_timestamp(
    server: ApnsServer, make_client: MakeClient, status: int, body: bytes
) -> None:
    """RESP-5: without a `timestamp` in the body there is none in the outcome, with 410 too."""
    server.on_request = lambda peer, request: peer.answer(request, status, body)
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert outcome.timestamp is None


async def test_dead_tokens_do_not_cost_the_connection(server: ApnsServer, make_client: MakeClient) -> None:
    """ERR-4: 410 and `BadDeviceToken` say nothing about the connection: the same one goes on."""
    client = make_client()

    def every_second(peer: Peer, request: Received) -> None:
        count = len(peer.requests)
        if count % 3 == 1:
            peer.reject(request, 410, "Unregistered", timestamp=1_700_000_000_000)
        elif count % 3 == 2:
            peer.reject(request, 400, "BadDeviceToken")
        else:
            peer.accept(request)

    server.on_request = every_second
    outcomes = [await client.send(TOKEN, HELLO) for _ in range(30)]
    assert sum(one.ok for one in outcomes) == 10
    assert len(server.peers) == 1


def test_an_outlived_activity_token() -> None:
    """LA-4: `ExpiredToken` ends the token like `Unregistered`, and nothing else."""
    for name in ("ExpiredToken", "Unregistered"):
        row = REASONS[name]
        assert (row.statuses, row.token, row.connection) == ((410,), OnToken.REMOVE, OnConnection.KEEP)


async def test_words_nobody_has_seen(server: ApnsServer, make_client: MakeClient) -> None:
    """ERR-5, SUR-12: an undocumented reason is kept as it came and judged by its status."""
    server.on_request = lambda peer, request: peer.reject(request, 503, "MissingChannelQueueSizeÄ")
    outcome = await make_client().send(TOKEN, HELLO)
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "MissingChannelQueueSizeÄ"
    assert outcome.policy.name == outcome.reason
