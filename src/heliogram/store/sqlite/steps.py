"""When the clock on the wall is set: what was written by the old time is put right before anything is claimed by the
new.

A lease and the wait before another try are spans; only the moment a send is scheduled for is a time on the wall. All of
them are kept as times, so after a step they are moved along, in the transaction of the first job that meets it.
"""

from __future__ import annotations

import apsw
import structlog

from ...ports import Clock
from . import statements

log = structlog.get_logger(__name__)
_sql = statements.load("steps")

STEP_MS = 1_000
"""What the wall's clock and the steady one come apart by before it counts: less is drift, or a clock that is slewed."""
_CLOSE_S = 0.1
_TRIES = 5


class ClockSteps:
    """Notices steps. The writer's thread settles them, any thread may look.

    After a step on, leases hold as long as they were to; waits end early, at worst at once. After a step back, both end
    when they were to; what is scheduled and has not begun waits for its time to come again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known = self.mark()

    def __repr__(self) -> str:
        return f"ClockSteps(known={self._known})"

    def mark(self) -> int:
        """How far the wall is before the steady clock, in ms: changes with steps alone."""
        for _ in range(_TRIES):  # a thread that is kept waiting between two looks must not see a step in it
            before = self._clock.monotonic()
            wall = self._clock.time()
            if self._clock.monotonic() - before < _CLOSE_S:
                break
        return int((wall - before) * 1000)

    def since(self, mark: int) -> int:
        """By how many ms the wall was set on (or back, below 0) since then; 0 for no step."""
        step = self.mark() - mark
        return step if abs(step) >= STEP_MS else 0

    def settle(self, connection: apsw.Connection) -> int:
        """Moves what is in the store by a step that has not been settled; how far (ms), for `unsettle`."""
        step = self.since(self._known)
        if not step:
            return 0
        connection.execute(_sql.shift_leases, {"step": step})
        connection.execute(_sql.shift_keys, {"step": step})
        if step < 0:
            for statement in (_sql.shift_waiting, _sql.shift_batches, _sql.shift_webhooks):
                connection.execute(statement, {"step": step})
        self._known += step
        log.warning("clock.stepped", seconds=step / 1000)
        return step

    def unsettle(self, step: int) -> None:
        """The job that settled it failed, and with it what it moved."""
        self._known -= step


def settle_start(connection: apsw.Connection, now: int) -> None:
    """At a start: what was given back, or accepted, at a time that is yet to come waits no longer for it. Only for a
    process that knows it is alone on the store."""
    connection.execute(_sql.mend_waiting, {"now": now})
