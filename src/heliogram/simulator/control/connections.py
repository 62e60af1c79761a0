"""The control API on connections."""

from __future__ import annotations

from heliogram.rest import Call, endpoint

from ..connection import Connection
from ..errors import Missing
from ..faultspec import check
from .base import Controlled, endpoints_of, problems
from .connections_schemas import ConnectionList, ConnectionOut, GoawayIn
from .faults import number


def _all(call: Call[Controlled]) -> list[Connection]:
    listeners = call.state.simulator.listeners.values()
    found = [connection for listener in listeners for connection in listener.connections if connection.number]
    return sorted(found, key=lambda connection: connection.number)


def _one(call: Call[Controlled]) -> Connection:
    wanted = number(call.path["number"], "connection")
    for connection in _all(call):
        if connection.number == wanted:
            return connection
    raise Missing(f"there is no open connection {wanted}; GET /connections lists them", field="number")


@endpoint(
    "GET",
    "/connections",
    summary="List the open connections",
    tag="Connections",
    returns=ConnectionList,
    scope=None,
    basis="ours",
)
async def list_connections(call: Call[Controlled]) -> ConnectionList:
    return ConnectionList([ConnectionOut.of(connection) for connection in _all(call)])


@endpoint(
    "GET",
    "/connections/{number}",
    summary="Look at a connection",
    tag="Connections",
    returns=ConnectionOut,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def get_connection(call: Call[Controlled]) -> ConnectionOut:
    with problems():
        return ConnectionOut.of(_one(call))


@endpoint(
    "POST",
    "/connections/{number}/goaway",
    summary="Retire a connection",
    tag="Connections",
    body=GoawayIn,
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def retire_connection(call: Call[Controlled]) -> None:
    """GOAWAY (CONN-20 to CONN-22). `{}` is the orderly way: what is open is answered first."""
    body: GoawayIn = call.body
    with problems():
        spec = body.spec()
        check(spec)
        _one(call).carrier.say_goodbye(spec)


@endpoint(
    "DELETE",
    "/connections/{number}",
    summary="Cut a connection",
    tag="Connections",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def cut_connection(call: Call[Controlled]) -> None:
    """Without a word: the client sees a reset."""
    with problems():
        _one(call).abort()


ENDPOINTS = endpoints_of(globals())
