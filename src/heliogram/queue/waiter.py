"""Who waits for work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..domain.operations import Lane
from ..ports import Slots


class Waiter:
    """One waiting `lease` and the lanes it waits for."""

    def __init__(self, lanes: Sequence[Lane], slots: Slots | None = None) -> None:
        self.lanes = frozenset(lanes)
        self.slots = slots
        self.event = asyncio.Event()
        self.passed_over: int | None = None
        """Until when (ms) what is due was passed over, because an account or a queue has all the slots it may have."""
