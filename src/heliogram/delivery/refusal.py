"""What processes that send tell each other of credentials that fail."""

from __future__ import annotations

import msgspec

from ..domain.apps import Credential

WHOLE = ""
REACH = "\0"
"""Not a topic either: the way to the provider."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What one process tells the others of a credential that fails: in what (`WHOLE`, `REACH` or a topic), since when,
    when one push is tried again (both ms), and after how many tries. `credential` is as it was then."""

    account: bytes
    credential_id: bytes
    place: str
    reason: str
    since: int
    probe_at: int
    step: int
    credential: Credential | None = None
