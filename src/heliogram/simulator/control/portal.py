"""The control API on the developer portal: teams, App IDs, client certificates, and changes to keys."""

from __future__ import annotations

import asyncio

from heliogram.rest import Call, FieldError, endpoint, invalid

from ..clientcerts import make
from ..portal import AppId, Team
from .base import Controlled, endpoints_of, problems
from .keys_schemas import KeyOut
from .portal_schemas import (
    AppIdIn,
    AppIdPatch,
    CertificateIn,
    CertificateList,
    CertificateOut,
    IssuedOut,
    KeyPatch,
    PortalIn,
    PortalOut,
    TeamIn,
)


@endpoint("GET", "/portal", summary="See all of the portal", tag="Portal", returns=PortalOut, scope=None, basis="ours")
async def read_portal(call: Call[Controlled]) -> PortalOut:
    """Teams, App IDs, keys and certificates at a glance."""
    return PortalOut.of(call.state.simulator.portal)


@endpoint(
    "PATCH",
    "/portal",
    summary="Make the portal strict, or tolerant",
    tag="Portal",
    body=PortalIn,
    returns=PortalOut,
    scope=None,
    basis="ours",
)
async def change_portal(call: Call[Controlled]) -> PortalOut:
    """A strict portal allows no topic that is not an App ID of the credential's team: ``TopicDisallowed``.

    As always, connections that have pushed already keep what they were bound to (TOK-13).
    """
    body: PortalIn = call.body
    portal = call.state.simulator.portal
    portal.strict = body.strict
    return PortalOut.of(portal)


@endpoint(
    "POST",
    "/portal/teams",
    summary="Declare a team",
    tag="Portal",
    body=TeamIn,
    returns=Team,
    status=201,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def add_team(call: Call[Controlled]) -> Team:
    body: TeamIn = call.body
    with problems():
        return call.state.simulator.portal.add_team(body.name, body.id)


@endpoint(
    "DELETE",
    "/portal/teams/{teamId}",
    summary="Remove a team",
    tag="Portal",
    status=204,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def remove_team(call: Call[Controlled]) -> None:
    """409 while it has App IDs. Its keys stay: revoke them."""
    with problems():
        call.state.simulator.portal.remove_team(call.path["teamId"])


@endpoint(
    "POST",
    "/portal/apps",
    summary="Declare an App ID",
    tag="Portal",
    body=AppIdIn,
    returns=AppId,
    status=201,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def add_app(call: Call[Controlled]) -> AppId:
    """It is its team's alone from now on, for connections that push for the first time (TOK-14)."""
    body: AppIdIn = call.body
    with problems():
        return call.state.simulator.portal.add_app(
            body.bundle_id, body.team_id, push=body.push, broadcast=body.broadcast
        )


@endpoint(
    "PATCH",
    "/portal/apps/{bundleId}",
    summary="Transfer an app, or switch its capabilities",
    tag="Portal",
    body=AppIdPatch,
    returns=AppId,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def change_app(call: Call[Controlled]) -> AppId:
    """Connections that have pushed keep what they were bound to: the old team's go on, the new team's do not begin
    before they connect anew (TOK-13, TOK-14).
    """
    body: AppIdPatch = call.body
    if body.team_id is None and body.push is None and body.broadcast is None:
        raise invalid([FieldError("$", "give at least one of teamId, push and broadcast")])
    with problems():
        return call.state.simulator.portal.change_app(
            call.path["bundleId"], team_id=body.team_id, push=body.push, broadcast=body.broadcast
        )


@endpoint(
    "DELETE",
    "/portal/apps/{bundleId}",
    summary="Remove an App ID",
    tag="Portal",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def remove_app(call: Call[Controlled]) -> None:
    with problems():
        call.state.simulator.portal.remove_app(call.path["bundleId"])


@endpoint(
    "PATCH",
    "/portal/keys/{keyId}",
    summary="Change a topic-specific key",
    tag="Keys",
    body=KeyPatch,
    returns=KeyOut,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def change_key(call: Call[Controlled]) -> KeyOut:
    """Its topics, or its related key. Connections that have used it keep what it was (TOK-14, TOK-15)."""
    body: KeyPatch = call.body
    with problems():
        return KeyOut.of(
            call.state.simulator.portal.change_key(
                call.path["keyId"], topics=body.topics, related_key_id=body.related_key_id
            )
        )


@endpoint(
    "POST",
    "/portal/certificates",
    summary="Have a client certificate made",
    tag="Certificates",
    body=CertificateIn,
    returns=IssuedOut,
    status=201,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def issue_certificate(call: Call[Controlled]) -> IssuedOut:
    """Signed by the simulator's CA, with Apple's extensions (CERT-1 to CERT-5). The private key is in this answer and
    nowhere else.
    """
    body: CertificateIn = call.body
    simulator = call.state.simulator
    certificates = simulator.portal.certificates
    with problems():
        order, authority = simulator.portal.complete(body.build()), certificates.ready()
        # An RSA key takes a tenth of a second, for which pushes should not wait.
        made = certificates.take(await asyncio.to_thread(make, authority, order, simulator.apns.clock()))
        return IssuedOut.of(made, certificates.get(made.contents.serial), body.password)


@endpoint(
    "GET",
    "/portal/certificates",
    summary="List the client certificates",
    tag="Certificates",
    returns=CertificateList,
    scope=None,
    basis="ours",
)
async def list_certificates(call: Call[Controlled]) -> CertificateList:
    """Those made in this run, and others of the same CA that clients have presented since."""
    return CertificateList([CertificateOut.of(one) for one in call.state.simulator.portal.certificates])


@endpoint(
    "DELETE",
    "/portal/certificates/{serial}",
    summary="Revoke a client certificate",
    tag="Certificates",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def revoke_certificate(call: Call[Controlled]) -> None:
    """New handshakes get the TLS alert ``certificate revoked``, pushes on open connections ``BadCertificate``
    (CERT-10).
    """
    with problems():
        call.state.simulator.portal.certificates.revoke(call.path["serial"])


ENDPOINTS = endpoints_of(globals())
