"""When a batch is tried again, and when a receiver counts as down."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from ..domain.webhooks import DAY_MS, DOWN_AFTER, KEPT_MS
from ..ports import Failure
from .posting import Answer

MINUTE_MS = 60_000
MAX_RETRY_AFTER_MS = DAY_MS
MAX_ERROR = 300


class BackOff(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting times in milliseconds.

    `ladder` is for one batch, its last step repeats; `jitter` is the most that is added, as a share. `kept` is how long
    a batch is tried. When `DOWN_AFTER` attempts failed one after another the receiver is down: from then on one batch
    at a time tries it, after the wait that so many failures have in the ladder and at most `probe`.
    """

    ladder: tuple[int, ...] = (
        5_000,
        30_000,
        2 * MINUTE_MS,
        10 * MINUTE_MS,
        30 * MINUTE_MS,
        60 * MINUTE_MS,
        180 * MINUTE_MS,
        360 * MINUTE_MS,
    )
    probe: int = 30 * MINUTE_MS
    jitter: float = 0.2
    kept: int = KEPT_MS

    def failure(
        self,
        answer: Answer,
        *,
        now: int,
        created: int,
        attempts: int,
        failures: int,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> Failure:
        """What follows from an attempt that failed. `created` is when the batch was made, `attempts` how often it was
        tried before, `failures` how many attempts failed just before this one."""
        asked = 0
        if answer.retry_after is not None:
            asked = min(int(answer.retry_after * 1000), MAX_RETRY_AFTER_MS)
        held = now + asked if asked else 0
        if failures + 1 >= DOWN_AFTER:
            wait = min(self._step(failures), self.probe)
            held = max(held, now + wait + int(wait * uniform(0, self.jitter)))
        wait = self._step(attempts)
        due = max(now + wait + int(wait * uniform(0, self.jitter)), now + asked)
        end = created + self.kept
        return Failure(
            error=answer.error[:MAX_ERROR],
            at=now,
            due=None if now >= end else min(due, end),  # the last attempt is at the end itself
            held_until=held,
        )

    def _step(self, count: int) -> int:
        return self.ladder[min(count, len(self.ladder) - 1)]
