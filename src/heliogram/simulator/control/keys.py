"""The control API on signing keys."""

from __future__ import annotations

from heliogram.rest import Call, endpoint

from .base import Controlled, endpoints_of, problems
from .keys_schemas import (
    KeyIn,
    KeyList,
    KeyOut,
    PortalKeyIn,
    PortalKeyOut,
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
    """The same key again replaces its topics, environment and related key; open connections keep what they have.

    It counts towards no limit: those are the portal's, for the keys it makes (TOK-11).
    """
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
    "DELETE", "/keys/{keyId}", summary="Revoke a key", tag="Keys", status=204, scope=None, errors=(404,), basis="ours"
)
async def revoke_key(call: Call[Controlled]) -> None:
    """Every token of it is ``InvalidProviderToken`` from now on, on open connections too (TOK-19)."""
    with problems():
        call.state.simulator.revoke_key(call.path["keyId"])


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


ENDPOINTS = endpoints_of(globals())
