"""The control API on faults."""

from __future__ import annotations

from heliogram.rest import Call, endpoint

from ..errors import Missing
from ..faultspec import FaultSpec
from .base import Controlled, endpoints_of, problems
from .faults_schemas import FaultList, FaultOut


@endpoint(
    "POST",
    "/faults",
    summary="Break something",
    tag="Faults",
    body=FaultSpec,
    returns=FaultOut,
    status=201,
    scope=None,
    errors=(404, 409),
    basis="ours",
)
async def add_fault(call: Call[Controlled]) -> FaultOut:
    """What goes wrong is `kind`: `status` (an answer of your choice to pushes that would be accepted), `delay`,
    `silence` (no answer), `reset` (RST_STREAM), `goaway`, `close` (the end without a word), `streamLimit`, `halfOpen`
    (reads and says nothing more), `wedge` (500 for ever), `split` (the connection writes in pieces from then on),
    `shuffle` (answers in any order); for new connections `tls` (an alert), `drop` (the end in the handshake) and
    `refuse` (the port is closed).

    It applies to every request, or what `token`, `device`, `connection`, `listener`, `share`, `next`, `seconds` and
    `until` leave of them. The first fault that fits a request meets it. A push can bring its own: the payload's
    top-level member `simulator` takes the same members but the scope.
    """
    with problems():
        return FaultOut.of(call.state.simulator.faults.add(call.body))


@endpoint("GET", "/faults", summary="List the faults", tag="Faults", returns=FaultList, scope=None, basis="ours")
async def list_faults(call: Call[Controlled]) -> FaultList:
    return FaultList([FaultOut.of(fault) for fault in call.state.simulator.faults.all()])


@endpoint(
    "DELETE",
    "/faults/{id}",
    summary="Mend one thing",
    tag="Faults",
    status=204,
    scope=None,
    errors=(404,),
    basis="ours",
)
async def remove_fault(call: Call[Controlled]) -> None:
    """What the fault has done to connections stays done."""
    with problems():
        call.state.simulator.faults.remove(number(call.path["id"], "fault"))


@endpoint("DELETE", "/faults", summary="Mend everything", tag="Faults", status=204, scope=None, basis="ours")
async def clear_faults(call: Call[Controlled]) -> None:
    call.state.simulator.faults.clear()


def number(text: str, what: str) -> int:
    """A number in a path. Raises Missing."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Missing(f"there is no {what} {text}: they have numbers", field="id")
    return int(text)


ENDPOINTS = endpoints_of(globals())
