"""The control API on the simulator as a whole: where things are, a fresh start."""

from __future__ import annotations

from starlette.responses import Response

from heliogram.rest import Call, Result, endpoint

from .about_schemas import IndexOut
from .base import Controlled, endpoints_of
from .page import INDEX, wants_html


@endpoint("GET", "/", summary="Where things are", tag="About", returns=IndexOut, scope=None, basis="ours")
async def index(call: Call[Controlled]) -> Result | Response:
    """A browser, which asks for ``text/html``, gets the page."""
    asked = call.request.headers
    if wants_html(asked.get("accept", "")):
        return call.state.page.respond(INDEX, asked.get("if-none-match"))
    simulator = call.state.simulator
    found = IndexOut(
        name="Heliogram simulator",
        listeners={name: f"{host}:{port}" for name, (host, port) in simulator.ports.items()},
        ca_file=str(simulator.ca_path.resolve()),
        connections=simulator.connections,
        links={
            name: f"/{name}"
            for name in ("docs", "openapi.json", "clock", "keys", "portal", "devices", "requests", "violations")
        },
    )
    return Result(found, headers={"Vary": "Accept"})


@endpoint("POST", "/reset", summary="Start afresh", tag="About", status=204, scope=None, basis="ours")
async def reset(call: Call[Controlled]) -> None:
    """Portal, keys, devices, tokens, requests, violations and counters are forgotten. Connections stay open."""
    call.state.simulator.reset()


ENDPOINTS = endpoints_of(globals())
