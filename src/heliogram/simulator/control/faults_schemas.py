"""What the control API reads and writes of faults."""

from __future__ import annotations

from msgspec import Struct

from ..faultspec import Fault, FaultSpec, Kind


class FaultOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """A fault that is set.

    ``fault``: what was asked for. ``hits``: how often it applied; ``left``: how often it still will, ``until``: when it
    ends, in seconds since the epoch; none of these: until it is deleted.
    """

    id: int
    kind: Kind
    fault: FaultSpec
    hits: int
    left: int | None
    until: float | None

    @classmethod
    def of(cls, fault: Fault) -> FaultOut:
        return cls(id=fault.id, kind=fault.kind, fault=fault.spec, hits=fault.hits, left=fault.left, until=fault.until)


class FaultList(Struct, frozen=True):
    faults: list[FaultOut]
