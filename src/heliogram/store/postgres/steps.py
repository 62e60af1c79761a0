"""When this node's clock is set: what it wrote by the old time is put right, and nothing that others wrote is made to
last longer.

A lease tells whose it is: this node's are moved both ways. A wait does not: after a step back all of them end earlier
by it, at worst at once. Requests that are being handled keep their keys at least as long as they were to.
"""

from __future__ import annotations

import apsw
import structlog

from ..sqlite import statements
from ..sqlite.steps import ClockSteps

log = structlog.get_logger(__name__)
_sql = statements.load("steps")
_own = statements.load("queueing", __package__)


class NodeSteps(ClockSteps):
    """Notices steps of this node's clock. `workers` are the names it has claimed under."""

    workers: frozenset[str] = frozenset()

    @property
    def is_due(self) -> bool:
        """Whether there is a step that has not been settled."""
        return bool(self.since(self._known))

    def settle(self, connection: apsw.Connection) -> int:
        """Moves what is in the store by a step that has not been settled; how far (ms), for `unsettle`."""
        step = self.since(self._known)
        if not step:
            return 0
        connection.execute(_own.shift_own_leases, {"step": step, "workers": sorted(self.workers)})
        if step > 0:
            connection.execute(_sql.shift_keys, {"step": step})
        else:
            for statement in (_sql.shift_waiting, _sql.shift_batches, _sql.shift_webhooks):
                connection.execute(statement, {"step": step})
        self._known += step
        log.warning("clock.stepped", seconds=step / 1000)
        return step
