"""The control API on the simulator's time."""

from __future__ import annotations

from heliogram.rest import Call, FieldError, endpoint, invalid

from ..timing import ClockReading
from .base import Controlled, endpoints_of, problems
from .clock_schemas import ClockIn


@endpoint("GET", "/clock", summary="Read the clock", tag="Clock", returns=ClockReading, scope=None, basis="ours")
async def read_clock(call: Call[Controlled]) -> ClockReading:
    return call.state.simulator.time.read()


@endpoint(
    "POST",
    "/clock",
    summary="Move the clock",
    tag="Clock",
    body=ClockIn,
    returns=ClockReading,
    scope=None,
    basis="ours",
)
async def move_clock(call: Call[Controlled]) -> ClockReading:
    """Exactly one of ``advance``, ``set`` and ``reset``. What becomes due on the way happens before the answer.

    Tokens age on open connections too: 3,601 s on, a token that was fresh is ``ExpiredProviderToken`` (TOK-8).
    """
    body: ClockIn = call.body
    if [body.advance is not None, body.set is not None, body.reset].count(True) != 1:
        raise invalid([FieldError("$", "give exactly one of advance, set and reset")])
    moved = call.state.simulator.time
    with problems():
        if body.advance is not None:
            moved.advance(body.advance)
        elif body.set is not None:
            moved.set(body.set)
        else:
            moved.reset()
    return moved.read()


ENDPOINTS = endpoints_of(globals())
