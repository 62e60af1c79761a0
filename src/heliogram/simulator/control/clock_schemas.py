"""What the control API reads of the simulator's time."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ClockIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to move the clock; exactly one of the three."""

    advance: Annotated[float, Meta(ge=0, description="Seconds that pass at once")] | None = None
    set: Annotated[float, Meta(ge=0, description="The new time, seconds since the epoch")] | None = None
    reset: Annotated[bool, Meta(description="true: back to the real time")] = False
