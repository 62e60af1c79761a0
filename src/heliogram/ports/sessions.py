"""Sessions of the dashboard that were ended before their time."""

from __future__ import annotations

from typing import Protocol

MAX_ENDED = 10_000
"""Ended sessions of an account that are remembered; of more those that would have ended first are forgotten first."""


class SessionStore(Protocol):
    """Who signed out, for all nodes and past a restart. A session itself is kept nowhere but in its cookie."""

    async def end_session(self, account: bytes, session: str, expires: int) -> None:
        """A session counts no more, though it would have until it `expires` (ms)."""

    async def is_session_ended(self, account: bytes, session: str) -> bool:
        """Whether a session was ended, as far as it is still remembered."""

    async def forget_sessions(self, now: int) -> int:
        """Removes some of those that would be over by themselves; how many."""
