"""What ends a move, with what to do."""

from __future__ import annotations

from ..errors import StoreError


class MoveRefused(StoreError):
    """The move cannot go on as it was asked for; nothing was lost, and the source is as it was."""
