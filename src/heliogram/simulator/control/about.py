"""The control API on the simulator as a whole: where things are, the request log, a fresh start."""

from __future__ import annotations

from starlette.responses import Response

from heliogram.rest import Call, Endpoint, Result, endpoint

from .about_schemas import IndexOut, RequestList, RequestQuery
from .base import Controlled
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
        links={name: f"/{name}" for name in ("docs", "openapi.json", "clock", "keys", "devices", "requests")},
    )
    return Result(found, headers={"Vary": "Accept"})


@endpoint(
    "GET",
    "/requests",
    summary="See the requests APNs got",
    tag="Requests",
    query=RequestQuery,
    returns=RequestList,
    scope=None,
    basis="ours",
)
async def list_requests(call: Call[Controlled]) -> RequestList:
    query: RequestQuery = call.query
    simulator = call.state.simulator
    return RequestList(simulator.requests(query.limit), dict(simulator.apns.journal.outcomes))


@endpoint("POST", "/reset", summary="Start afresh", tag="Requests", status=204, scope=None, basis="ours")
async def reset(call: Call[Controlled]) -> None:
    """Keys, devices, tokens, requests and counters are forgotten. Connections stay open."""
    call.state.simulator.reset()


ENDPOINTS: tuple[Endpoint, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Endpoint))
