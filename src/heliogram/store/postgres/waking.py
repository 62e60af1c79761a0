"""Work that is put or given back wakes the workers of all nodes, once it is on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...domain.backlog import QueueBounds
from ...domain.operations import Lane, NewChunk, Operation, OperationStatus
from ...ports import Hold, Lease
from ..sqlite.operations import Operations
from ..sqlite.work import Work
from .bell import Bell

SOON_MS = 1_000
"""What falls due later than this is found in time by whoever looks every second."""


class Waking(Operations, Work):
    """Rings the bell after what others may want to claim now."""

    _bell: Bell

    def wakes(self, heard: Callable[[Lane, int], object]) -> Callable[[], None]:
        """Calls `heard` with a lane and a shard when any node has put something there, or given it back: a hint, some
        tenths of a millisecond after COMMIT, which may be lost. What it returns ends this."""
        return self._bell.listen(heard)

    def hush(self) -> None:
        """Wakes nobody from here on: there is a broker that tells of work."""
        self._bell.silent = True

    async def accept(
        self,
        account: bytes,
        operation: Operation,
        chunks: Sequence[NewChunk],
        *,
        shard: int = 0,
        bounds: QueueBounds | None = None,
        hold: Hold | None = None,
    ) -> None:
        """As the port says."""
        await super().accept(account, operation, chunks, shard=shard, bounds=bounds, hold=hold)
        if hold is None and operation.status is not OperationStatus.SCHEDULED:
            self._bell.ring(operation.lane, shard)

    async def release(self, chunk: Lease, due: int, at: int, *, held: bytes | None = None) -> bool:
        """As the port says."""
        released = await super().release(chunk, due, at, held=held)
        if released and due - at < SOON_MS:
            self._bell.ring(chunk.lane, chunk.shard)
        return released
