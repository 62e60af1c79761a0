"""TOK rules as the engine keeps them: provider tokens, teams, keys."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.apns_server import ApnsServer, Peer, accept_all, header
from support.engine import HELLO, TOKEN, MakeClient

from heliogram.apns import REASONS, OnCredential, Rejected, Retry, SigningKey
from heliogram.wire import Received

pytestmark = pytest.mark.anyio


async def test_one_token_for_all_topics(server: ApnsServer, make_client: MakeClient) -> None:
    """SUR-8, TOK-9: pushes of several topics carry one and the same provider token over one connection."""
    client = make_client()
    topics = ["com.example.app", "com.example.other", "com.example.third"]
    for topic in topics * 2:
        assert (await client.send(TOKEN, HELLO, topic=topic)).ok
    assert len(server.peers) == 1
    assert len({header(one, b"authorization") for one in server.requests}) == 1


async def test_teams_never_share_a_connection(server: ApnsServer, make_client: MakeClient) -> None:
    """TOK-12: a credential has connections of its own, so no connection ever sees a second team or key."""
    keys = [
        SigningKey(ec.generate_private_key(ec.SECP256R1()), key_id=f"ABC123DEF{n}", team_id=f"DEF123GHI{n}")
        for n in range(3)
    ]
    clients = [make_client(credential=key) for key in keys]
    await asyncio.gather(*(client.send(TOKEN, HELLO) for client in clients * 3))
    assert len(server.peers) == 3
    for peer in server.peers:
        assert len({header(one, b"authorization") for one in peer.requests}) == 1


async def test_an_unrelated_key_gets_a_new_connection(server: ApnsServer, make_client: MakeClient) -> None:
    """TOK-16: `UnrelatedKeyIdInToken` is cured by a new connection, and the push is accepted there."""
    client = make_client()
    await client.send(TOKEN, HELLO)

    def first_is_bound(peer: Peer, request: Received) -> None:
        if peer is server.peers[0]:
            peer.reject(request, 403, "UnrelatedKeyIdInToken")
        else:
            peer.accept(request)

    server.on_request = first_is_bound
    assert (await client.send(TOKEN, HELLO)).ok
    assert len(server.peers) == 2


@pytest.mark.parametrize("name", ["BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"])
def test_both_spellings(name: str) -> None:
    """TOK-17: the documented spelling and the wire's mean the same: the key is for the other environment."""
    row = REASONS[name]
    assert row.statuses == (403,)
    assert (row.retry, row.credential) == (Retry.AFTER_FIX, OnCredential.STOP)
    assert REASONS["BadEnvironmentKeyIdInToken"].meaning == REASONS["BadEnvironmentKeyInToken"].meaning


@pytest.mark.parametrize("name", ["InvalidProviderToken", "MissingProviderToken"])
def test_a_refused_credential_is_stopped(name: str) -> None:
    """TOK-19, TOK-21: a token that is not accepted is a matter of the credential, not of the push or the device."""
    assert REASONS[name].credential is OnCredential.STOP
    assert REASONS[name].retry is Retry.AFTER_FIX


@pytest.mark.parametrize("script", ["refused", "wedged"])
async def test_a_wedged_connection_is_left(server: ApnsServer, make_client: MakeClient, script: str) -> None:
    """TOK-22, SUR-5: a connection that answers 500 for ever, or after an expired token, gets no further push."""
    client = make_client()
    await client.send(TOKEN, HELLO)

    def wedged(peer: Peer, request: Received) -> None:
        if script == "refused" and len(peer.requests) == 2:
            peer.reject(request, 403, "ExpiredProviderToken")
        else:
            peer.reject(request, 500, "InternalServerError")

    server.on_request = wedged
    server.on_connect = lambda peer: setattr(server, "on_request", accept_all)
    outcomes = [await client.send(TOKEN, HELLO) for _ in range(5)]
    assert len(server.peers) == 2
    assert len(server.peers[0].requests) == 2
    assert [one.ok for one in outcomes[1:]] == [True] * 4
    assert outcomes[0].ok is (script == "refused")
    assert script == "refused" or isinstance(outcomes[0], Rejected)
