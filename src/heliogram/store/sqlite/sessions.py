"""Sessions of the dashboard that were ended before their time."""

from __future__ import annotations

import apsw

from ...ports.sessions import MAX_ENDED
from . import statements
from .base import Base

_sql = statements.load("sessions")

SLICE = 1_000


class EndedSessions(Base):
    """`ports.SessionStore`."""

    async def end_session(self, account: bytes, session: str, expires: int) -> None:
        """A session counts no more."""
        values = {"account": account, "session": session, "expires": expires}

        def job(connection: apsw.Connection) -> None:
            connection.execute(_sql.end_session, values)
            connection.execute(_sql.forget_most, {"account": account, "most": MAX_ENDED - 1})

        await self._write(job)

    async def is_session_ended(self, account: bytes, session: str) -> bool:
        """Whether a session was ended."""
        values = {"account": account, "session": session}
        found: object = await self._read(lambda c: c.execute(_sql.is_session_ended, values).get)
        return found is not None

    async def forget_sessions(self, now: int) -> int:
        """Removes some of those that would be over by themselves."""

        def job(connection: apsw.Connection) -> int:
            connection.execute(_sql.forget_sessions, {"now": now, "limit": SLICE})
            return connection.changes()

        return await self._write(job)
