"""The control API on the whole world: take it down as a document, put one back."""

from __future__ import annotations

from typing import Any

from heliogram.rest import Call, endpoint

from .base import Controlled, endpoints_of, problems


@endpoint(
    "GET",
    "/scenario",
    summary="Take the world down",
    tag="Scenario",
    returns=dict[str, Any],
    scope=None,
    basis="ours",
)
async def export_scenario(call: Call[Controlled]) -> dict[str, Any]:
    """Teams, keys (their public halves), devices, apps, tokens, channels, faults and settings; no secrets, no history.

    Keep it in a file: ``heliogram simulator --scenario FILE`` begins with it.
    """
    return call.state.simulator.scenario.export()


@endpoint(
    "PUT",
    "/scenario",
    summary="Put a world back",
    tag="Scenario",
    body=dict[str, Any],
    status=204,
    scope=None,
    errors=(409,),
    basis="ours",
)
async def import_scenario(call: Call[Controlled]) -> None:
    """Everything there is is forgotten first; a document with a mistake changes nothing. Connections stay open.

    409 when it wants settings other than those in force: they are chosen at the start.
    """
    with problems():
        call.state.simulator.scenario.load(call.body)


ENDPOINTS = endpoints_of(globals())
