"""The fate of one push: exactly one of these four, never an exception.

`Accepted` means APNs took the push over. It does not mean that a device received it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .reasons import Reason


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """APNs answered 200 (RESP-1). Accepted is not delivered."""

    device_token: str
    apns_id: str
    unique_id: str | None = None
    """The key into Apple's delivery log; the sandbox alone sends it (RESP-4)."""
    tag: Any = None
    """What the caller gave with the push."""
    wire_ms: int | None = None
    """Milliseconds from writing the push to its answer."""

    @property
    def ok(self) -> bool:
        """Whether APNs accepted the push."""
        return True


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """APNs answered with another status than 200 (RESP-2)."""

    device_token: str
    apns_id: str
    status: int
    reason: str
    """APNs' own word, kept as it came even when it is unknown (ERR-5); empty when the answer had none."""
    timestamp: int | None = None
    """Milliseconds since the epoch: when APNs found the token dead; with status 410 (RESP-6)."""
    retry_after: int | None = None
    """Seconds of a `retry-after` header, should one come (RESP-7)."""
    tag: Any = None
    wire_ms: int | None = None

    @property
    def ok(self) -> bool:
        """Whether APNs accepted the push."""
        return False

    @property
    def policy(self) -> Reason:
        """The row of the table of reasons: retry or not, and what it says of token and credential."""
        return Reason.lookup(self.status, self.reason)


class NotSent(msgspec.Struct, frozen=True, gc=False):
    """Provably not processed by APNs: sending it again cannot make a duplicate."""

    device_token: str
    apns_id: str
    cause: str
    tag: Any = None
    wire_ms: int | None = None

    @property
    def ok(self) -> bool:
        """Whether APNs accepted the push."""
        return False


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """Written, and no answer came: APNs may have processed it, so sending again may make a duplicate."""

    device_token: str
    apns_id: str
    cause: str
    tag: Any = None
    wire_ms: int | None = None

    @property
    def ok(self) -> bool:
        """Whether APNs accepted the push."""
        return False


Outcome = Accepted | Rejected | NotSent | Unknown
