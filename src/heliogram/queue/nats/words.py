"""What is said to the broker of a message, and what it says: a few words of JetStream."""

from __future__ import annotations

import json
from typing import Any

from .layout import GROUP

ACK = b"+ACK"
IN_PROGRESS = b"+WPI"
TERM = b"+TERM"


def nak(delay_s: float = 0.0) -> bytes:
    """Not now: it comes again, to whoever is to have it then."""
    return b"-NAK" if delay_s <= 0 else b'-NAK {"delay": %d}' % int(delay_s * 10**9)


def pending(reply: str) -> int:
    """How many messages of the shard waited when one was delivered: from the subject that is answered to, `$JS.ACK.…`,
    of which there are two forms."""
    parts = reply.split(".")
    return int(parts[8 if len(parts) == 9 else 10])  # with a domain and an account in front


def delivered(reply: str) -> int:
    """How often a message was delivered, this time included: from the same subject."""
    parts = reply.split(".")
    return int(parts[4 if len(parts) == 9 else 6])


def pull_request(batch: int, seconds: float, priority: int | None = None) -> bytes:
    """The body of a pull request, with a place in the consumer's priority group if it has one."""
    body: dict[str, Any] = {"batch": batch, "expires": int(seconds * 10**9)}
    if priority is not None:
        body |= {"group": GROUP, "priority": priority}
    return json.dumps(body).encode()
