"""When to try again: the one place that turns an answer into a time.

What each APNs answer means stands in the engine's reason table; here only the waiting is decided. Retries live in the
durable queue, so every time is a moment on the clock, and nothing sleeps.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from ..domain.notifications import NOT_STORED
from ..domain.operations import Lane
from ..ports import PushResult, Retry

DAY_MS = 24 * 3600 * 1000
QUARTER_MS = 15 * 60 * 1000
PROBE_LADDER = (30_000, 120_000, 600_000)
"""Milliseconds after which one push is tried again with a credential that is refused; the last step repeats. What else
would go with it waits without being tried, see `breaker`."""


REACH_LADDER = (1_000, 5_000, 30_000, 60_000)
"""Milliseconds after which one push is tried again when the provider cannot be reached; the last step repeats."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Waiting times in milliseconds.

    `tx_ladder` is for small sends when the provider answers 5xx, each on a new connection; after it, and for bulk at
    once, `provider_wait`: Apple asks for a quarter of an hour (ERR-3). `soon_ladder` is for what provably never
    reached the provider; its last step repeats. `device_wait` doubles per attempt. A push without an expiry of its own
    is given up `give_up` after it was accepted from the caller. `jitter` is the most that is added, as a share.
    """

    tx_ladder: tuple[int, ...] = (1_000, 5_000, 30_000)
    provider_wait: int = QUARTER_MS
    soon_ladder: tuple[int, ...] = (1_000, 5_000, 30_000, 60_000)
    unknown_wait: int = 1_000
    device_wait: int = 30_000
    device_wait_max: int = 3_600_000
    give_up: int = DAY_MS
    jitter: float = 0.1

    def retry_at(
        self,
        result: PushResult,
        *,
        lane: Lane,
        attempt: int,
        unknowns: int,
        now: int,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> int | None:
        """When to try again (ms) if there is time, None for never. `attempt` is the one that just ended, counted from
        1; `unknowns` how many earlier attempts ended without an answer."""
        wait = self._wait(result, lane, attempt, unknowns)
        if wait is None:
            return None
        if result.retry_after is not None:
            wait = max(wait, int(result.retry_after * 1000))
        return now + wait + int(wait * uniform(0, self.jitter))

    def _wait(self, result: PushResult, lane: Lane, attempt: int, unknowns: int) -> int | None:
        match result.retry:
            case Retry.SOON:
                return self.soon_ladder[min(attempt, len(self.soon_ladder)) - 1]
            case Retry.LATER:
                if lane is Lane.TX and attempt <= len(self.tx_ladder):
                    return self.tx_ladder[attempt - 1]
                return self.provider_wait
            case Retry.DEVICE:
                return min(self.device_wait << min(attempt - 1, 16), self.device_wait_max)
            case Retry.ONCE if not unknowns:
                return self.unknown_wait
            case _:  # those of a credential that is refused, or cannot reach the provider, wait for its breaker
                return None


class Deadline(msgspec.Struct, frozen=True):
    """The moments (ms) from which on a push is not tried for the first time and not tried again. `own`: they are the
    notification's own end, not the service's."""

    first: int
    again: int
    own: bool

    @classmethod
    def of(cls, start: int, expires_at: int | None, policy: RetryPolicy) -> Deadline:
        """What `expires_at` says of a push that was to leave at `start`. Without it, the policy gives up some day; with
        `NOT_STORED` there is one attempt and no other."""
        if expires_at is None:
            return cls(start + policy.give_up, start + policy.give_up, own=False)
        if expires_at == NOT_STORED:
            return cls(start + policy.give_up, NOT_STORED, own=False)
        return cls(expires_at, expires_at, own=True)
