"""How much may wait: the stated bounds of the durable queue, and who may use the last of it."""

from __future__ import annotations

import math

import msgspec

from .errors import Code, DomainError
from .operations import SMALL_SEND, Lane

DEFAULT_QUEUED = 5_000_000
"""Recipients that were accepted and have not ended, over all accounts."""
LEAST_QUEUED = 20_000
"""The lowest bound that may be set: the largest send fits beside the reserve, so that waiting helps everybody."""
MAX_QUEUED = 1_000_000_000
RESERVE_SHARE = 20
"""One part in so many is kept for small sends."""
MAX_RETRY_AFTER = 60
UNKNOWN_RETRY_AFTER = 5
"""Seconds to wait when nothing is known of how fast the queue empties."""


class QueueBounds(msgspec.Struct, frozen=True, kw_only=True):
    """The most recipients that may wait, over all accounts and of each account: accepted, and not ended. Scheduled ones
    count. The last twentieth of each is for small sends alone (lane TX): no campaign shuts them out."""

    total: int = DEFAULT_QUEUED
    account: int = DEFAULT_QUEUED // 2

    @classmethod
    def of(cls, total: int, account: int | None) -> QueueBounds:
        """These bounds; an account may fill half of the queue unless something else is said."""
        return cls(total=total, account=max(LEAST_QUEUED, total // 2) if account is None else account)


def share_of(bound: int, lane: Lane) -> int:
    """How much of a bound a lane may fill."""
    return bound if lane is Lane.TX else bound - bound // RESERVE_SHARE


class QueueFull(DomainError):
    """Too much waits already; nothing of the send was kept. `retry_after` is in how many seconds there may be room."""

    code = Code.QUEUE_FULL

    def __init__(self, *, bound: int, lane: Lane, account: bool, retry_after: int) -> None:
        self.retry_after = retry_after
        whose = "the account's" if account else "the service's"
        option = "--max-queued-per-account" if account else "--max-queued"
        large = f", {share_of(bound, lane)} for sends to more than {SMALL_SEND}" if lane is not Lane.TX else ""
        cure = "cancel what need not be sent, or have it raised" if account else "or have it raised"
        super().__init__(
            f"{whose} queue is full: at most {bound} recipients may wait{large}. Nothing of this send was kept; send it"
            f" again after the seconds in Retry-After, {cure} (heliogram serve {option})"
        )


def retry_after(excess: int, rate: float | None) -> int:
    """In how many whole seconds `excess` recipients will have ended at `rate` a second, 1 to 60; None: not known."""
    if rate is None:
        return UNKNOWN_RETRY_AFTER
    if rate * MAX_RETRY_AFTER <= excess:
        return MAX_RETRY_AFTER
    return max(1, math.ceil(excess / rate))
